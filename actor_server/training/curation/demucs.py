"""Speech without music and noise by Demucs (MIT), which a user installs."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from actor_server.training.curation.media import Sound


class Demucs:
    """A Denoiser. `repo`: folder with the released files of `name` (955717e8-8726e21a.th and
    htdemucs.yaml for htdemucs); what it takes for singing is kept, which is speech here.
    """

    def __init__(self, repo: str, name: str = "htdemucs", device: str = "cpu") -> None:
        if not Path(repo).is_dir():
            raise FileNotFoundError(f"repo = {repo!r} is no folder with Demucs' files")
        try:
            from demucs.apply import apply_model
            from demucs.pretrained import get_model
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "Demucs is not installed: `uv pip install demucs==4.1.0`"
            ) from error
        self._apply: Any = apply_model
        self._model: Any = get_model(name, Path(repo)).eval()
        self._device = device

    @property
    def rate_hz(self) -> int:
        """44.1 kHz for the released models."""
        return int(self._model.samplerate)

    def denoise(self, sound: Sound) -> Sound:
        """Mean and spread are taken out before and put back after, as Demucs' own command does."""
        mix = torch.from_numpy(sound).expand(self._model.audio_channels, -1)
        mean, spread = mix.mean(), mix.std() + 1e-8
        with torch.inference_mode():
            parts = self._apply(self._model, ((mix - mean) / spread)[None], device=self._device)[0]
        voice = parts[self._model.sources.index("vocals")] * spread + mean
        return np.asarray(voice.mean(0).cpu().numpy(), np.float32)
