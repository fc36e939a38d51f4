"""The Actor as a system: weights, and the sampler that the product runs.

Takes are performed together, as sessions of one sampler; the batch does not change a stream.

Shapes: T tokens of a chunk (frames here), D = 31 latent numbers.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch

from actor_server.codec.mesh.latent import portrait_latent
from actor_server.evaluation.systems import SEED_STRIDE
from actor_server.evaluation.takes import Take
from actor_server.model.conditioner import Conditions
from actor_server.model.mask import SightRules
from actor_server.model.video_transformer import VideoTransformer
from actor_server.motion.head_noise import steady_noise
from actor_server.motion.limits import within_limits
from actor_server.motion.source import Floats
from actor_server.sampler import PyramidSampler, SamplerStream
from actor_server.weights import SamplerDefaults, load_actor

ROWS: Final = 8
"""Takes performed at once."""
SEED: Final = 2026


@dataclass(frozen=True)
class Actor:
    """A video transformer with N passes a chunk and W chunks in flight."""

    label: str
    model: VideoTransformer
    sampler: SamplerDefaults
    rules: SightRules = field(default_factory=SightRules)
    seed: int = SEED

    @property
    def about(self) -> dict[str, Any]:
        """For the report."""
        parameters = sum(weights.numel() for weights in self.model.parameters())
        return asdict(self.sampler) | asdict(self.rules) | {"parameters": parameters}

    def perform(self, takes: Sequence[Take]) -> list[Floats]:
        """Motion (F, D) of each take, each stream begun at the portrait."""
        order = sorted(range(len(takes)), key=lambda at: len(takes[at].conditions))
        made: dict[int, Floats] = {}
        for first in range(0, len(order), ROWS):
            places = order[first : first + ROWS]
            latents = self._together([takes[at] for at in places], places)
            made |= dict(zip(places, latents, strict=True))
        return [made[at] for at in range(len(takes))]

    def with_seed(self, seed: int) -> "Actor":
        return replace(self, seed=SEED + seed * SEED_STRIDE)

    @torch.inference_mode()
    def stream(self, takes: Iterable[Take]) -> Iterator[Floats]:
        """Chunk after chunk, CHUNK_LATENTS, of take after take: one session of a call."""
        sampler = self._sampler(rows=1)
        stream = sampler.open(self._reference(), self.seed)
        for condition in (condition for take in takes for condition in take.conditions):
            stream.offer(Conditions.stack([[condition]]))
            while stream.in_flight == self.sampler.window:
                yield from self._clean(sampler, stream)
        while stream.in_flight:
            yield from self._clean(sampler, stream)

    def _clean(self, sampler: PyramidSampler, stream: SamplerStream) -> Iterator[Floats]:
        """One pass: the chunk that has become clean, or none."""
        (chunk,) = sampler.run_pass([stream])
        if chunk is not None:
            yield self._latents([chunk])

    @torch.inference_mode()
    def _together(self, takes: Sequence[Take], places: Sequence[int]) -> list[Floats]:
        sampler = self._sampler(len(takes))
        streams = [sampler.open(self._reference(), self.seed + place) for place in places]
        chunks: list[list[torch.Tensor]] = [[] for _ in takes]
        while any(
            len(done) < len(take.conditions) for done, take in zip(chunks, takes, strict=True)
        ):
            for stream, take in zip(streams, takes, strict=True):
                _fill(stream, take, self.sampler.window)
            for done, chunk in zip(chunks, sampler.run_pass(streams), strict=True):
                if chunk is not None:
                    done.append(chunk)
        return [self._latents(done) for done in chunks]

    def _sampler(self, rows: int) -> PyramidSampler:
        """As the product's, but for the sight."""
        steps, window = self.sampler.steps, self.sampler.window
        return PyramidSampler(self.model, steps, window, rows, rules=self.rules, noise=steady_noise)

    def _reference(self) -> torch.Tensor:
        """The portrait, normalised, (R, D)."""
        model = self.model
        portrait = torch.from_numpy(portrait_latent()).to(model.latent_mean)
        normalised: torch.Tensor = (portrait - model.latent_mean) / model.latent_std
        return normalised.expand(model.geometry.reference_tokens, -1)

    def _latents(self, chunks: list[torch.Tensor]) -> Floats:
        mean, std = self.model.latent_mean, self.model.latent_std
        return within_limits((torch.cat(chunks) * std + mean).float().cpu().numpy())


def _fill(stream: SamplerStream, take: Take, window: int) -> None:
    """Offer conditions until the window is full or the take is over."""
    while stream.in_flight < window and stream.made + stream.in_flight < len(take.conditions):
        condition = take.conditions[stream.made + stream.in_flight]
        stream.offer(Conditions.stack([[condition]]))


def actors_in(
    weights: Path | None, folder: Path | None, steps: int | None, window: int | None
) -> list[Actor]:
    """The Actor of a weights file first, then those of a folder's files by name.

    `steps` and `window` replace what the weights recommend. A file that is named after an ablation
    is sampled with what its training left out.
    """
    files = [] if weights is None else [("Actor", weights)]
    if folder is not None:
        files += [(f"Actor {file.stem}", file) for file in sorted(folder.glob("*.safetensors"))]
    return [_load(label, file, steps, window) for label, file in files]


def _load(label: str, file: Path, steps: int | None, window: int | None) -> Actor:
    model, own = load_actor(file)
    sampler = SamplerDefaults(steps or own.steps, window or own.window)
    rules = SightRules(
        token_causal="token_causal" in file.stem, use_reference="no_reference" not in file.stem
    )
    return Actor(label, model, sampler, rules)
