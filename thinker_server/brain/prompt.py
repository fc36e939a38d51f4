"""What the brain is told before the conversation: who it is, and examples of how it talks.

The examples are what makes a model of 135 million parameters answer to the point; larger models
need them less and are not harmed. The instruction must stay as short as it is for the same reason.
"""

from thinker_server.brain.brain import ChatMessage

_INSTRUCTION = (
    "You are {name}, a friendly person on a video call. {persona} You answer every question "
    "correctly, in one or two short sentences of plain spoken English."
)
_MARKS = (
    "Before a sentence you may write how your face looks: [warm], [serious], [surprised] or "
    "[neutral], and where you look: [look left], [look right], [look up], [look down] or "
    "[look ahead]. Nobody hears or reads these marks."
)
_EXAMPLES = (
    ("Hi, who are you?", "Hi, I'm {name}, nice to meet you. How can I help?"),
    ("How are you?", "I'm doing great, thank you. How about you?"),
    ("Thanks for your help.", "You're welcome. It was nice talking with you."),
    ("I had a long day today.", "That sounds tiring. What kept you so busy?"),
    ("What is the capital of Spain?", "The capital of Spain is Madrid."),
)


def opening(name: str, persona: str, *, marks: bool = False) -> list[ChatMessage]:
    """The messages that every conversation with this person begins with.

    `marks`: it is told of those of `speaking/mood.py`.
    """
    instruction = _INSTRUCTION.format(name=name, persona=persona.strip())
    if marks:
        instruction = f"{instruction} {_MARKS}"
    messages = [ChatMessage("system", " ".join(instruction.split()))]
    for question, answer in _EXAMPLES:
        messages.append(ChatMessage("user", question))
        messages.append(ChatMessage("assistant", answer.format(name=name)))
    return messages
