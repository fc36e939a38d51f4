"""Recorded speech is read as if the model had said it: 13 and 26, each predicted by its past."""

import numpy as np
import pytest
import torch

from thinker_server.glm4voice.clip_states import ClipStates, laid_out
from thinker_server.glm4voice.language_model import load_language_model
from thinker_server.glm4voice.prompt import PromptBuilder
from thinker_server.glm4voice.speech.token_stream import SpeechTokenStream
from thinker_server.glm4voice.speech.weights import load_speech_encoder
from thinker_server.glm4voice.tiny import TinyModels, write_tiny_models
from thinker_server.glm4voice.tokenizer import GlmTokenizer

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    return write_tiny_models(tmp_path_factory.mktemp("glm"), codes=64)


def test_thirteen_and_twentysix_until_the_speech_ends() -> None:
    text, codes = list(range(30)), list(range(100, 160))
    answer, slots = laid_out(text, codes)
    assert answer[:13] == text[:13]
    assert answer[13:39] == codes[:26]
    assert answer[39:52] == text[13:26]
    assert answer[52:78] == codes[26:52]
    assert answer[78:] == [*text[26:], *codes[52:]]
    assert slots[slots >= 0].tolist() == text
    short, slots = laid_out(text, codes[:10])
    assert short == [*text[:13], *codes[:10]]
    assert np.sum(slots >= 0) == 13
    assert laid_out([], codes)[0] == codes


def test_a_state_is_that_of_the_position_before_its_token(models: TinyModels) -> None:
    states = ClipStates(str(models.model), str(models.speech_tokenizer), "cpu", "float32")
    dice = np.random.default_rng(0)
    speech = (0.3 * dice.normal(size=30 * 1280)).clip(-1, 1).astype(np.float32)
    audio, text, slots = states.states("It rains in Spain.", speech)
    assert (audio.shape, audio.dtype) == ((30, 64), np.float16)
    assert slots.tolist() == list(range(18))

    tokenizer = GlmTokenizer.load(models.model)
    model = load_language_model(models.model, tokenizer, CPU, torch.float32)
    stream = SpeechTokenStream(load_speech_encoder(models.speech_tokenizer, CPU))
    stream.hear(np.round(speech * 32767).astype(np.int16))
    codes = [tokenizer.first_code + code for code in stream.tokens()]
    words = tokenizer.text_ids("It rains in Spain.")
    prompts = PromptBuilder(tokenizer)
    said = [*prompts.opening(spoken=True), *prompts.question([]), *prompts.answer_begins()]

    def state_after(ids: list[int]) -> np.ndarray:
        with torch.inference_mode():
            out = model.model(input_ids=torch.tensor([ids]), use_cache=False)
        return out.last_hidden_state[0, -1].numpy()

    said_13 = said + words[:13]
    assert np.abs(text[0] - state_after(said)).max() < 0.01
    assert np.abs(text[12] - state_after(said + words[:12])).max() < 0.01
    assert np.abs(audio[0] - state_after(said_13)).max() < 0.01
    assert np.abs(audio[25] - state_after(said_13 + codes[:25])).max() < 0.01
    second = said_13 + codes[:26]
    assert np.abs(text[13] - state_after(second)).max() < 0.01
    assert np.abs(audio[29] - state_after(second + words[13:] + codes[26:29])).max() < 0.01
    assert np.abs(audio[0] - audio[1]).max() > 0.1
