"""What training reads of a clip: LTX latents of its face, the Thinker's states of its speech.

The codec's latent 0 is the clip's first picture alone and becomes the reference, as a portrait does
in a call; latent c + 1 shows pictures 8 c + 1 to 8 c + 8 and is chunk c. So speech begins with
picture 1, 40 ms into the clip. K chunks, W width of a state, S text tokens.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from actor_server.codec.ltx.checkpoint import load_autoencoder
from actor_server.codec.ltx.latents import LatentSpace, pixels_of
from actor_server.motion.conditioning import KINDS
from actor_server.training.curation.clip import Clip
from actor_server.training.curation.judges import ModelsUnusable, make
from actor_server.training.curation.media import ClipUnusable, Sound
from actor_server.training.latent_clip import LatentClip, LatentLayout
from actor_server.training.latent_store import write_shard
from proto.time_law import (
    CHUNK_AUDIO_TOKENS,
    CHUNK_FRAMES,
    FRAME_WIDTH,
    FRAMES_PER_SECOND,
    HEARING_HZ,
)

FRAME_SAMPLES: Final = HEARING_HZ // FRAMES_PER_SECOND
CHUNK_SAMPLES: Final = CHUNK_FRAMES * FRAME_SAMPLES
SILENT: Final = 10 ** (-50 / 20)
"""RMS of a chunk, full scale 1: quieter ones at either end of a clip are idle."""
IDLE: Final = KINDS.index("idle")
SPEAKING: Final = KINDS.index("speaking")

States = NDArray[np.float16]


class SpeechReader(Protocol):
    """A Thinker that reads what was said as if it had said it."""

    def states(self, words: str, speech: Sound) -> tuple[States, States, NDArray[np.int32]]:
        """Of (S,) at 16 kHz: audio states (tokens, W), one for each 80 ms; text states (S, W) and
        their slots, 13 to a segment of 26 audio tokens.
        """


class LtxAndThinker:
    """An Embedder. `autoencoder`: folder of an LTX-Video VAE for diffusers. `states`: a table with
    `use`, the `package.module:Class` of a SpeechReader, and its arguments.
    """

    def __init__(
        self, autoencoder: str, states: dict[str, Any], device: str = "cpu", dtype: str = "float32"
    ) -> None:
        arguments = dict(states)
        use = arguments.pop("use", None)
        if not isinstance(use, str):
            raise ModelsUnusable('[latents.states] needs `use = "package.module:Class"`')
        self._reader: SpeechReader = make("[latents.states]", use, arguments)
        self._autoencoder = load_autoencoder(Path(autoencoder), device, getattr(torch, dtype))
        self._space = LatentSpace.of(self._autoencoder, FRAME_WIDTH, FRAME_WIDTH)

    def write(self, clips: Sequence[Clip], shard: Path) -> Mapping[str, str]:
        """A shard of those that can be embedded."""
        made, failed = list[LatentClip](), dict[str, str]()
        for clip in clips:
            try:
                made.append(self._embedded(clip))
            except ClipUnusable as error:
                failed[clip.name] = str(error)
        if made:
            tokens, channels = self._space.token_shape
            layout = LatentLayout(tokens, tokens, channels, made[0].audio.shape[1])
            write_shard(shard, layout, made)
        return failed

    def _embedded(self, clip: Clip) -> LatentClip:
        chunks = (clip.frames - 1) // CHUNK_FRAMES
        if chunks < 1 or clip.language is None:
            raise ClipUnusable(f"{clip.seconds:.2f} s make no chunk, or nobody knows the language")
        speech = clip.speech()[FRAME_SAMPLES:][: chunks * CHUNK_SAMPLES]
        if len(speech) < chunks * CHUNK_SAMPLES:
            raise ClipUnusable("its sound ends before its pictures")
        audio, text, slots = self._reader.states(clip.transcript or "", speech)
        if len(audio) != chunks * CHUNK_AUDIO_TOKENS:
            raise ClipUnusable(f"{len(audio)} audio states for {chunks} chunks")
        latents = self._latents(clip, chunks)
        if not all(np.isfinite(array).all() for array in (audio, text, latents)):
            raise ClipUnusable("latents or states are not numbers of half precision")
        return LatentClip(
            clip.name, clip.language, latents[0], latents[1:], audio, text, slots, _kinds(speech)
        )

    @torch.inference_mode()
    def _latents(self, clip: Clip, chunks: int) -> States:
        """Normalised tokens (1 + K, T, D): the reference, then the chunks."""
        faces = np.stack(list(clip.faces(FRAME_WIDTH))[: 1 + chunks * CHUNK_FRAMES])
        pixels = pixels_of(faces, like=self._autoencoder.encoder.conv_in.conv.weight)
        encoded = self._autoencoder.encode(pixels).latent_dist.mode()
        tokens = self._space.tokens(encoded)[0].cpu()
        shaped = tokens.reshape(1 + chunks, *self._space.token_shape)
        return shaped.to(torch.float16).numpy()


def _kinds(speech: Sound) -> NDArray[np.uint8]:
    """(K,): speaking, but for silent chunks before the first sound and after the last."""
    loudness = np.sqrt(np.square(speech.reshape(-1, CHUNK_SAMPLES)).mean(1))
    heard = np.flatnonzero(loudness >= SILENT)
    kinds = np.full(len(loudness), IDLE, np.uint8)
    if len(heard):
        kinds[heard[0] : heard[-1] + 1] = SPEAKING
    return kinds
