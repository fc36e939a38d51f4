"""States of somebody's recorded speech, as if the model had said it: for training an Actor.

Words and speech codes are laid out as an answer, 13 text tokens and 26 codes in turn, behind an
empty question. The state of a token is the one at the position before it, which predicted it, as in
a call. S samples, W width of a state.
"""

from pathlib import Path

import numpy as np
import torch

from proto.time_law import SEGMENT_AUDIO_TOKENS, SEGMENT_TEXT_SLOTS
from thinker_server.glm4voice.language_model import device_of, load_language_model
from thinker_server.glm4voice.prompt import PromptBuilder
from thinker_server.glm4voice.speech.token_stream import SpeechTokenStream
from thinker_server.glm4voice.speech.weights import load_speech_encoder
from thinker_server.glm4voice.tokenizer import GlmTokenizer

_LOUDEST = 32767.0


class ClipStates:
    """Holds GLM-4-Voice and its speech tokenizer. Not thread-safe."""

    def __init__(
        self,
        language_model: str,
        speech_tokenizer: str,
        device: str = "auto",
        dtype: str = "bfloat16",
    ) -> None:
        """Directories of the converted model and of the hub's tokenizer. Raises WeightsUnusable."""
        there = device_of(device)
        self._tokenizer = GlmTokenizer.load(Path(language_model))
        self._prompts = PromptBuilder(self._tokenizer)
        self._encoder = load_speech_encoder(Path(speech_tokenizer), there)
        self._model = load_language_model(
            Path(language_model), self._tokenizer, there, getattr(torch, dtype)
        )

    @torch.inference_mode()
    def states(self, words: str, speech: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Audio states (tokens, W), one for each 80 ms of speech (S,) at 16 kHz; text states (T, W)
        and their slots (T,) int32. States are float16. Words that no speech is left for have none.
        """
        stream = SpeechTokenStream(self._encoder)
        stream.hear(np.round(speech.clip(-1, 1) * _LOUDEST).astype(np.int16))
        codes = [self._tokenizer.first_code + code for code in stream.tokens()]
        answer, slots = laid_out(self._tokenizer.text_ids(words), codes)
        prompt = self._prompts.opening(spoken=True) + self._prompts.question([])
        prompt += self._prompts.answer_begins()
        ids = torch.tensor([prompt + answer], device=self._model.device)
        states = self._model.model(input_ids=ids, use_cache=False).last_hidden_state[0]
        before = states[len(prompt) - 1 : -1].to(torch.float16).cpu().numpy()
        spoken = slots < 0
        return before[spoken], before[~spoken], slots[~spoken].astype(np.int32)


def laid_out(text: list[int], codes: list[int]) -> tuple[list[int], np.ndarray]:
    """An answer of text tokens and codes, and for each token its text slot, or -1 for a code."""
    answer, slots = list[int](), list[int]()
    segments = -(-len(codes) // SEGMENT_AUDIO_TOKENS)
    for segment in range(segments):
        first = segment * SEGMENT_TEXT_SLOTS
        written = text[first : first + SEGMENT_TEXT_SLOTS]
        spoken = codes[segment * SEGMENT_AUDIO_TOKENS :][:SEGMENT_AUDIO_TOKENS]
        answer += written + spoken
        slots += [*range(first, first + len(written)), *(-1 for _ in spoken)]
    return answer, np.array(slots, int)
