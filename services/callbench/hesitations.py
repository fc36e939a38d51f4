"""Do pauses inside a sentence end the turn? They must not: the answer would cut the caller off."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.callbench.recording import CallRecording, Spoken

PAUSES_S = (0.25, 0.4, 0.55, 0.7)
"""People pause for breath and thought for up to about 0.7 s."""
ANSWERING = {"thinking", "speaking"}
STATE_LATE_S = 0.3
"""The state that the page shows is that much behind the agent's decision at most."""


@dataclass(frozen=True)
class Hesitation:
    """One question with a pause inside. `false_end`: the agent began to answer before its end."""

    question: str
    pause_s: float
    false_end: bool


def hesitation(call: CallRecording, spoken: Spoken, pause_s: float) -> Hesitation:
    """Look whether the agent took the pause for the end."""
    until_s = spoken.voice_end_s
    since_s = spoken.voice_start_s + STATE_LATE_S
    states = [mark for mark in call.marks if mark.name == "state" and mark.detail in ANSWERING]
    early = any(since_s < mark.at_s < until_s for mark in states)
    return Hesitation(spoken.question_id, pause_s, early)


def false_end_percent(hesitations: Sequence[Hesitation]) -> float | None:
    """Share of pauses that were taken for the end of the turn."""
    if not hesitations:
        return None
    return 100 * sum(item.false_end for item in hesitations) / len(hesitations)
