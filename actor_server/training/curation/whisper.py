"""Words by Whisper (MIT) with transformers; Chinese ones by Paraformer, if there is one."""

from pathlib import Path
from typing import Any

import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from actor_server.training.curation.media import Sound
from proto.time_law import HEARING_HZ

CHINESE = "zh"


class Whisper:
    """A Transcriber. `model`: folder of a multilingual Whisper for transformers, as
    openai/whisper-large-v3 is. `paraformer`: folder of a Paraformer for FunASR, which a user
    installs; without it Whisper writes Chinese as well.
    """

    def __init__(self, model: str, paraformer: str | None = None, device: str = "cpu") -> None:
        for folder in (model, paraformer):
            if folder is not None and not Path(folder).is_dir():
                raise FileNotFoundError(f"{folder} is no folder of a model")
        dtype = torch.float16 if device.startswith("cuda") else torch.float32
        self._processor: Any = WhisperProcessor.from_pretrained(model, local_files_only=True)
        network: Any = WhisperForConditionalGeneration.from_pretrained(
            model, local_files_only=True, dtype=dtype
        )
        self._model = network.to(device)
        if not self._model.generation_config.is_multilingual:
            raise ValueError(f"{model} knows English only: take a multilingual Whisper")
        self._chinese = None if paraformer is None else _paraformer(paraformer, device)

    def transcribe(self, speech: Sound) -> tuple[str, str]:
        """The language of the first 30 s, and all words."""
        heard = self._processor(
            speech,
            sampling_rate=HEARING_HZ,
            return_tensors="pt",
            truncation=False,
            padding="longest" if len(speech) > 30 * HEARING_HZ else "max_length",
            return_attention_mask=True,
        ).to(self._model.device, self._model.dtype)
        mark = int(self._model.detect_language(heard.input_features[..., :3000])[0])
        language = self._processor.tokenizer.decode([mark]).strip("<|>")
        if language == CHINESE and self._chinese is not None:
            return language, self._chinese.generate(input=speech)[0]["text"].replace(" ", "")
        written = self._model.generate(
            **heard, language=language, task="transcribe", return_timestamps=True
        )
        words: str = self._processor.batch_decode(written, skip_special_tokens=True)[0]
        return language, words.strip()


def _paraformer(folder: str, device: str) -> Any:
    try:
        from funasr import AutoModel
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "FunASR, which Paraformer needs, is not installed: `uv pip install funasr==1.4.16`"
        ) from error
    return AutoModel(model=folder, device=device, disable_update=True)
