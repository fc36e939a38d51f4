"""What working ahead rests on (docs/decisions/0007), held against the real models."""

import io
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import resample_poly

from proto.time_law import HEARING_HZ
from services.callbench.questions import MICROPHONE_HZ, clip, questions
from thinker_server.brain.brain import BrainLabel, ChatMessage
from thinker_server.brain.gguf_conversion import smollm2_directory
from thinker_server.brain.kv_context import KVContext
from thinker_server.brain.prompt import opening
from thinker_server.brain.single_token import ScoresLinear
from thinker_server.brain.transformers_brain import TransformersBrain
from thinker_server.brain.weights import load_brain
from thinker_server.dialogue import Dialogue, Exchange
from thinker_server.hearing.moonshine import MoonshineRecogniser
from thinker_server.listening import BREAK_US
from thinker_server.speaking.voice import TimedWord

pytestmark = pytest.mark.integration

TOKENS = 20
ROOM_TOKENS = 512
MOST_NEW_TOKENS = 40
"""A question of 14 words in the model's template, and what begins the answer."""
ANSWER = "It is a fine number, and I like it for its shape and for its sound in a song or two."
LATER_S = 0.4


def test_a_question_has_its_whole_text_at_the_break_after_it() -> None:
    recogniser = MoonshineRecogniser("tiny-en")

    def text(pcm: np.ndarray) -> str:
        stream = recogniser.open()
        stream.hear(pcm)
        words = stream.transcribe()
        stream.close()
        return words

    for question_id in questions():
        spoken = clip(question_id)
        recorded, _ = soundfile.read(io.BytesIO(spoken.wav), dtype="int16")
        heard = resample_poly(recorded.astype(np.float64), HEARING_HZ, MICROPHONE_HZ)
        pcm = np.concatenate([heard.round().astype(np.int16), np.zeros(HEARING_HZ, np.int16)])
        at_the_break, later = (
            text(pcm[: round((spoken.voice_end_s + after_s) * HEARING_HZ)])
            for after_s in (BREAK_US / 1e6, LATER_S)
        )
        assert at_the_break == later


@pytest.fixture(scope="module")
def brain(assets_dir: Path) -> TransformersBrain:
    source = str(smollm2_directory(assets_dir, assets_dir.parent))
    return load_brain(source, BrainLabel("smollm2", ""), gives_states=True, fetch=False)


@torch.inference_mode()
def test_rough_scores_lose_no_token_of_the_chat_model(brain: TransformersBrain) -> None:
    scores = brain.model.get_output_embeddings()
    assert isinstance(scores, ScoresLinear)
    for question in questions().values():
        context = KVContext(brain.model)
        asked = [*opening("Ann", ""), ChatMessage("user", question.text)]
        context.begin(brain.ids(asked, answer=True))
        made = 0
        while made < TOKENS:
            if (step := context.next_token()) is not None:
                state, made = step[1], made + 1
                assert scores(state).argmax() == torch.mv(scores.weight, state).argmax()


@pytest.mark.parametrize("ahead", [True, False])
async def test_no_question_waits_until_what_stays_is_read_anew(
    brain: TransformersBrain, ahead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve questions into a context that holds six of them."""
    read = 0
    read_in = KVContext._read_in

    def counted(context: KVContext, ids: list[int]) -> torch.Tensor:
        nonlocal read
        read += len(ids)
        return read_in(context, ids)

    monkeypatch.setattr(KVContext, "_read_in", counted)
    conversation = brain.open()
    dialogue = Dialogue(opening("Ann", ""), (), brain.count_tokens, ROOM_TOKENS)
    waited: list[int] = []
    for turn in range(12):
        exchange = Exchange(turn, f"What do you think of the number {turn} in a long talk?")
        if ahead:
            await conversation.warm(dialogue.known())
        read = 0
        async with aclosing(conversation.reply(dialogue.prompt(exchange))) as tokens:
            await anext(tokens)
        waited.append(read)
        dialogue.add(exchange)
        exchange.reply.words = [TimedWord(word, 0, 1) for word in ANSWER.split()]
    assert (max(waited) < MOST_NEW_TOKENS) == ahead, waited
    assert dialogue.find(0) is None, "the context was full"
    await conversation.close()
