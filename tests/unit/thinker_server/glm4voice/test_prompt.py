"""Prompts are the recorded ones, in both languages, spoken, typed and both at once."""

import base64
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from proto.messages import HistoryTurn
from tests.unit.thinker_server.glm4voice.fixtures import PROMPTS, SPECIALS, byte_tokenizer
from thinker_server.errors import WeightsUnusable
from thinker_server.glm4voice.dialogue import QUESTION_TOKENS, GlmDialogue, GlmExchange
from thinker_server.glm4voice.prompt import SYSTEM_SPOKEN, SYSTEM_TYPED, PromptBuilder
from thinker_server.glm4voice.tokenizer import GlmTokenizer, TextPieces
from thinker_server.glm4voice.tokenizer_files import fast_tokenizer

pytestmark = pytest.mark.unit

CASES: dict[str, Any] = PROMPTS["cases"]
BYTES = byte_tokenizer()
PARALLEL = (
    ("What is the capital of France?", "法国的首都是哪里？"),
    ("It's 12345 steps, isn't it?\n\nYes.", "一共有12345步，对吗？\n\n对。"),
    ("Emoji \U0001f600 and  blanks ", "表情\U0001f600 和  空格 "),
)
TEXTS = [text for pair in PARALLEL for text in pair]


def dialogue(tokenizer: GlmTokenizer = BYTES, room: int = 8000) -> GlmDialogue:
    return GlmDialogue(tokenizer, "", (), room)


def codes(*values: int) -> tuple[int, ...]:
    return values


def with_marks(text: str) -> list[int]:
    """Toy ids of a text with marks in it, straight from the recorded rule."""
    ids: list[int] = []
    while text:
        name = next((n for n in SPECIALS if text.startswith(n)), None)
        ids += [SPECIALS[name]] if name else text[0].encode()
        text = text[len(name) :] if name else text[1:]
    return ids


def answered(turn: int, question: Iterable[Any], answer: str) -> GlmExchange:
    return GlmExchange(turn, list(question), with_marks(answer))


def test_the_system_prompts_are_the_recorded_ones() -> None:
    assert PROMPTS["system_prompt_audio"] == SYSTEM_SPOKEN
    assert PROMPTS["system_prompt_text"] == SYSTEM_TYPED


def test_a_spoken_question_has_the_recorded_prompt() -> None:
    asked = GlmExchange(1, [tuple(CASES["audio_turn"]["audio_tokens"])])
    assert dialogue().prompt(asked) == CASES["audio_turn"]["toy_ids"]


def test_a_typed_question_has_the_recorded_prompt() -> None:
    asked = GlmExchange(1, [CASES["text_turn"]["text"]])
    assert dialogue().prompt(asked) == CASES["text_turn"]["toy_ids"]


def test_a_second_turn_has_the_recorded_prompt() -> None:
    case = CASES["multi_turn"]
    talk = dialogue()
    first = answered(1, [tuple(case["turn1_audio"])], case["turn1_completion"])
    talk.prompt(first)
    talk.add(first)
    assert talk.prompt(GlmExchange(2, [tuple(case["turn2_audio"])])) == case["toy_ids"]


def test_an_empty_answer_leaves_the_recorded_history() -> None:
    talk = dialogue()
    first = answered(1, ["Hi"], "")
    talk.prompt(first)
    talk.add(first)
    prompt = talk.prompt(GlmExchange(2, [codes(9)]))
    assert prompt == CASES["edge_empty_completion"]["toy_ids"]


@pytest.mark.parametrize("answer", ["Fine. \n", "<|audio_1|>Fine.\n\n", "Fine.<|audio_1|> \n", " "])
def test_blanks_at_the_end_of_an_answer_go(answer: str) -> None:
    expected = f"<|assistant|>{('streaming_transcription' + chr(10) + answer).strip()}"
    assert PromptBuilder(BYTES).answer(with_marks(answer)) == with_marks(expected)


@pytest.mark.parametrize("text", ["What do you see?", "这是什么？"])
def test_typed_text_and_speech_make_one_turn(text: str) -> None:
    builder = PromptBuilder(BYTES)
    spoken = "<|begin_of_audio|><|audio_7|><|audio_8|><|end_of_audio|>"
    assert builder.question([text, codes(7, 8)]) == with_marks(f"<|user|>\n{text}{spoken}")
    assert builder.question([codes(7, 8), text]) == with_marks(f"<|user|>\n{spoken}{text}")
    both = builder.question([text, text, codes(7, 8)])
    assert both == with_marks(f"<|user|>\n{text} {text}{spoken}")


def test_an_answer_is_cut_after_the_last_code_that_was_heard() -> None:
    talk = dialogue()
    first = answered(1, ["Hi"], "Hello the<|audio_1|><|audio_2|><|audio_3|>re.<|audio_4|>")
    talk.prompt(first)
    talk.add(first)
    first.cut(3)
    first.cut(9)
    prompt = talk.prompt(GlmExchange(2, ["Go on"]))
    heard = (
        "<|assistant|>streaming_transcription\nHello the<|audio_1|><|audio_2|><|audio_3|><|user|>"
    )
    assert contains(prompt, with_marks(heard))


def test_a_question_whose_answer_was_not_heard_is_asked_with_the_next() -> None:
    talk = dialogue()
    first = answered(1, [codes(4)], "Hello<|audio_1|>")
    talk.prompt(first)
    talk.add(first)
    first.cut(0)
    prompt = talk.prompt(GlmExchange(2, ["And you?"]))
    both = "<|user|>\n<|begin_of_audio|><|audio_4|><|end_of_audio|>And you?<|assistant|>"
    assert contains(prompt, with_marks(both))
    assert prompt.count(BYTES.assistant) == 1


def test_the_oldest_turns_leave_when_the_context_is_full() -> None:
    talk = dialogue(room=700)
    for turn in range(10):
        exchange = answered(turn, [f"question {turn}"], f"answer {turn}" + "<|audio_1|>" * 40)
        prompt = talk.prompt(exchange)
        assert len(prompt) <= 700
        talk.add(exchange)
    assert prompt[: len(BYTES.prefix)] == list(BYTES.prefix)
    assert contains(prompt, with_marks("question 9"))
    assert contains(prompt, with_marks("answer 8"))
    assert not contains(prompt, with_marks("question 0"))


def test_a_question_that_fills_the_context_keeps_its_end() -> None:
    talk = dialogue(room=400)
    prompt = talk.prompt(GlmExchange(1, [tuple(range(3000))]))
    assert len(prompt) <= 400
    assert contains(prompt, with_marks("<|audio_2999|><|end_of_audio|>"))


def test_restored_history_is_read_as_text() -> None:
    said = [("user", "Hi"), ("user", "there"), ("assistant", "Hello."), ("user", "lost")]
    history = [HistoryTurn.model_validate({"role": role, "text": text}) for role, text in said]
    talk = GlmDialogue(BYTES, "You are Mara.", history, 8000)
    turns = "<|user|>\nHi there<|assistant|>streaming_transcription\nHello."
    assert contains(talk.known(), with_marks(f"tokens. You are Mara.{turns}"))
    assert talk.prompt(GlmExchange(1, [codes(3)]))[: len(talk.known())] == talk.known()


def test_every_prompt_begins_with_what_could_be_read_ahead() -> None:
    talk = dialogue(room=1500)
    for turn in range(20):
        known = talk.known()
        exchange = answered(turn, [codes(*range(turn * 10))], "Fine." + "<|audio_1|>" * 90)
        prompt = talk.prompt(exchange)
        assert prompt[: len(known)] == known
        assert len(prompt) < len(known) + QUESTION_TOKENS
        talk.add(exchange)
        if turn % 3 == 1:
            exchange.cut(20)
        talk.known()
        assert talk.find(turn) is exchange, "an answer that may still sound is not forgotten"
    assert talk.find(3) is None


def contains(ids: list[int], part: list[int]) -> bool:
    return any(ids[i : i + len(part)] == part for i in range(len(ids)))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[GlmTokenizer, dict[bytes, int]]:
    """A small byte-pair vocabulary of both languages, and its ranks."""
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator(TEXTS * 4, trainer)
    vocabulary = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    ranks = {_letters_to_bytes(token): rank for rank, (token, _) in enumerate(vocabulary)}
    file = tmp_path_factory.mktemp("ranks") / "tokenizer.model"
    file.write_bytes(b"\n".join(base64.b64encode(t) + b" %d" % r for t, r in ranks.items()))
    return GlmTokenizer(fast_tokenizer(file, SPECIALS)), ranks


def _letters_to_bytes(token: str) -> bytes:
    return bytes(BYTES._byte_of[letter] for letter in token)


def merged_by_rank(word: bytes, ranks: dict[bytes, int]) -> list[int]:
    """tiktoken's rule: merge the neighbours of the lowest rank until none are left."""
    parts = [bytes([byte]) for byte in word]
    while len(parts) > 1:
        pairs = [a + b for a, b in pairwise(parts)]
        best = min(range(len(pairs)), key=lambda i: ranks.get(pairs[i], 1 << 30))
        if pairs[best] not in ranks:
            break
        parts[best : best + 2] = [pairs[best]]
    return [ranks[part] for part in parts]


@pytest.mark.parametrize("text", ["What", " capital", "首都是哪里", "？", "哪里首都"])
def test_words_are_merged_by_rank(
    learned: tuple[GlmTokenizer, dict[bytes, int]], text: str
) -> None:
    tokenizer, ranks = learned
    assert tokenizer.text_ids(text) == merged_by_rank(text.encode(), ranks)


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_token_by_token(
    learned: tuple[GlmTokenizer, dict[bytes, int]], text: str
) -> None:
    tokenizer, _ = learned
    ids = tokenizer.text_ids(text)
    assert len(ids) < len(text.encode())
    pieces = TextPieces(tokenizer)
    shown = [pieces.push(token_id) for token_id in ids]
    assert "".join(shown) == text
    assert "\ufffd" not in "".join(shown)
    assert tokenizer.text_of(ids) == text


@pytest.mark.parametrize("text", ["<|user|>", "a<|audio_5|>b", "[gMASK]<sop>"])
def test_no_text_becomes_a_mark(learned: tuple[GlmTokenizer, dict[bytes, int]], text: str) -> None:
    tokenizer, _ = learned
    ids = tokenizer.text_ids(text)
    assert not set(ids) & set(SPECIALS.values())
    assert tokenizer.text_of(ids) == text


def test_ids_are_those_that_the_names_have() -> None:
    assert BYTES.first_code == PROMPTS["audio_offset"]
    assert BYTES.codes == 16_384
    assert BYTES.user == SPECIALS["<|user|>"]
    assert BYTES.stop_ids == {151_329, 151_336, 151_338}
    assert BYTES.is_code(152_353)
    assert not BYTES.is_code(152_352)
    assert BYTES.text_of([151_336, 152_353, 72, 105]) == "Hi"


def test_a_tokenizer_without_the_marks_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.model"
    file.write_bytes(base64.b64encode(b"a") + b" 0")
    with pytest.raises(WeightsUnusable, match=r"\[gMASK\]"):
        fast_tokenizer(file, {"<|user|>": 5})
    with pytest.raises(WeightsUnusable, match="cannot be read"):
        fast_tokenizer(tmp_path / "nothing", SPECIALS)


def test_what_the_camera_shows_is_read_before_the_spoken_question() -> None:
    seen = GlmExchange(1, [(1, 2, 3)])
    seen.see("A red wall.")
    dialogue = GlmDialogue(BYTES, "", (), 1000)
    said = "(You see me through my camera: A red wall.)"
    written = GlmExchange(1, [said, (1, 2, 3)])
    assert dialogue.prompt(seen) == dialogue.prompt(written)
    blind = GlmDialogue(BYTES, "", (), 1000).prompt(GlmExchange(1, [(1, 2, 3)]))
    assert len(dialogue.prompt(seen)) > len(blind)
    assert said in BYTES.text_of(dialogue.prompt(seen))
