"""A reply in blocks: the recorded stream, and laws that hold for any reply and any blocks."""

import itertools
import random

import numpy as np
import pytest
import torch
from torch import Tensor

from actor_server.speech.assembly import PROMPT_TOKENS, SpeechAssembly
from actor_server.speech.chance import FixedChance
from actor_server.speech.harmonic_source import Draws
from actor_server.speech.mel_clock import HOP_SAMPLES, SAMPLE_HZ, TOKEN_SAMPLES, mel_frames
from tests.unit.actor_server.speech.golden import (
    close,
    facts,
    numbers,
    tiny_flow,
    tiny_vocoder,
)

pytestmark = pytest.mark.unit

TEN_MINUTES_TOKENS = 7500
FIXED_CASES = [
    name
    for name, case in facts("m5_streaming_counts")["cases"].items()
    if case["drift_fix"] and not name.startswith("invalid")
]
HELD_BACK_FRAMES = 35
"""The tail, and the vocoder's one frame."""


class RecordedChance:
    """The random numbers of the recorded stream, block by block."""

    def __init__(self) -> None:
        self._recorded = numbers("m5_streaming_tiny")
        self.block = 0

    def mel(self, first_frame: int, frames: int) -> Tensor:
        del first_frame
        return self._recorded[f"in.noise_{self.block}"][:, :, :frames]

    def draws(self, first_frame: int, frames: int) -> Draws:
        del first_frame
        noise = self._recorded[f"in.src_noise_{self.block}"]
        assert noise.shape[2] == frames * HOP_SAMPLES
        return Draws(self._recorded[f"in.phase_{self.block}"], noise)


class NoChance:
    """Nothing is random: the telling models read only the lengths."""

    def mel(self, first_frame: int, frames: int) -> Tensor:
        del first_frame
        return torch.zeros(1, 1, 1).expand(1, 80, frames)

    def draws(self, first_frame: int, frames: int) -> Draws:
        del first_frame
        nothing = torch.zeros(1, 1, 1)
        return Draws(nothing, nothing.expand(1, 9, frames * HOP_SAMPLES))


class TellingModels:
    """A flow whose frames tell the number of their token, and a voice that says it.

    The second bin is 1: fading scales both, so their quotient is the number again.
    """

    def __init__(self) -> None:
        self.seen_tokens: list[int] = []
        self.known_frames: list[int] = []

    def flow(self, tokens: Tensor, known: Tensor, noise: Tensor) -> Tensor:
        self.seen_tokens.append(tokens.shape[1])
        self.known_frames.append(known.shape[2])
        count, frames = tokens.shape[1], noise.shape[2]
        number = tokens[0, torch.arange(frames) * count // frames].float()
        mel = torch.zeros(1, 80, frames)
        mel[0, 0], mel[0, 1] = number, 1.0
        return mel[:, :, known.shape[2] :]

    def voice(self, mel: Tensor, draws: Draws, earlier: Tensor | None) -> tuple[Tensor, Tensor]:
        del earlier
        assert draws.noise.shape[2] == mel.shape[2] * HOP_SAMPLES
        said = (mel[0, 0] / mel[0, 1]).repeat_interleave(HOP_SAMPLES)[None]
        return said, said[None]


def cut(tokens: int, sizes: list[int]) -> list[list[int]]:
    """The numbers of the tokens in blocks of these sizes, the last size again and again."""
    blocks: list[list[int]] = []
    first = 0
    for size in itertools.chain(sizes, itertools.repeat(sizes[-1])):
        if first + size >= tokens:
            return [*blocks, list(range(first, tokens))]
        blocks.append(list(range(first, first + size)))
        first += size
    raise AssertionError


def test_the_recorded_stream_comes_out_again() -> None:
    recorded, chance, heard = numbers("m5_streaming_tiny"), RecordedChance(), []
    vocoder = tiny_vocoder()

    def voice(mel: Tensor, draws: Draws, earlier: Tensor | None) -> tuple[Tensor, Tensor]:
        heard.append(mel)
        samples: tuple[Tensor, Tensor] = vocoder(mel, draws, earlier)
        return samples

    speech = SpeechAssembly(tiny_flow(), voice, chance)
    tokens = recorded["in.tokens"][0].tolist()
    tolerances = facts("m5_streaming_tiny")["tolerances"]
    for block, codes in enumerate([tokens[:15], tokens[15:30], tokens[30:]]):
        chance.block = block
        samples = speech.finish(codes) if block == 2 else speech.extend(codes)
        atol = tolerances["wav"]["atol"]
        close(samples, recorded[f"out.wav_{block}"].flatten(), atol=atol)
        atol = tolerances["flow_mel"]["atol"]
        close(heard[block], recorded[f"mid.vocoder_mel_{block}"], atol=atol)


@pytest.mark.parametrize("case", FIXED_CASES)
def test_every_block_has_the_recorded_number_of_samples(case: str) -> None:
    models = TellingModels()
    speech = SpeechAssembly(models.flow, models.voice, NoChance())
    for row in facts("m5_streaming_counts")["cases"][case]["rows"]:
        codes = list(range(row["tokens"]))
        samples = speech.finish(codes) if row["finalize"] else speech.extend(codes)
        assert len(samples) == row["samples"]


@pytest.mark.parametrize("sizes", [[6, 4, 8, 8, 13], [26], [7, 3], [25, 25, 50, 50, 50, 200]])
def test_sound_and_tokens_stay_within_one_mel_frame_for_ten_minutes(sizes: list[int]) -> None:
    models = TellingModels()
    speech = SpeechAssembly(models.flow, models.voice, NoChance())
    *blocks, last = cut(TEN_MINUTES_TOKENS, sizes)
    said = []
    for codes in blocks:
        said.append(speech.extend(codes).numpy())
        decided = mel_frames(codes[-1] + 1) - HELD_BACK_FRAMES
        assert sum(map(len, said)) == HOP_SAMPLES * decided
    said.append(speech.finish(last).numpy())
    number = np.concatenate(said)
    assert len(number) == HOP_SAMPLES * mel_frames(TEN_MINUTES_TOKENS)
    sample = np.arange(len(number))
    assert (sample >= number * TOKEN_SAMPLES - HOP_SAMPLES).all()
    assert (sample < (number + 1) * TOKEN_SAMPLES + HOP_SAMPLES).all()
    assert abs(len(number) / SAMPLE_HZ - 600) < HOP_SAMPLES / SAMPLE_HZ


def test_the_prompt_is_bounded_and_goes_with_its_tokens() -> None:
    models = TellingModels()
    speech = SpeechAssembly(models.flow, models.voice, NoChance())
    for codes in cut(2000, [6, 4, 8, 8, 13])[:-1]:
        speech.extend(codes)
    prompts = [seen - 13 for seen in models.seen_tokens[20:]]
    assert min(prompts) >= PROMPT_TOKENS
    assert max(prompts) < PROMPT_TOKENS + 10
    for tokens, frames in zip(prompts, models.known_frames[20:], strict=True):
        assert abs(frames - (tokens * TOKEN_SAMPLES / HOP_SAMPLES - 34)) < 1


def test_six_tokens_make_the_first_samples_and_ten_the_first_chunk() -> None:
    models = TellingModels()
    speech = SpeechAssembly(models.flow, models.voice, NoChance())
    first = speech.extend(list(range(6)))
    assert len(first) == 6 * HOP_SAMPLES
    second = speech.extend(list(range(6, 10)))
    assert (len(first) + len(second)) / SAMPLE_HZ > 0.32
    five = SpeechAssembly(models.flow, models.voice, NoChance())
    with pytest.raises(ValueError, match="begins with 6"):
        five.extend(list(range(5)))


@pytest.mark.parametrize("tokens", [1, 5, 6, 7, 40])
def test_a_reply_that_ends_gives_out_all_that_was_held_back(tokens: int) -> None:
    models = TellingModels()
    at_once = SpeechAssembly(models.flow, models.voice, NoChance())
    assert len(at_once.finish(list(range(tokens)))) == HOP_SAMPLES * mel_frames(tokens)
    if tokens >= 6:
        flushed = SpeechAssembly(models.flow, models.voice, NoChance())
        early = flushed.extend(list(range(tokens)))
        late = flushed.finish([])
        assert len(late) == facts("m5_streaming_counts")["recommended_flush"]["samples"]
        assert len(early) + len(late) == HOP_SAMPLES * mel_frames(tokens)


def test_a_reply_of_no_tokens_is_silent() -> None:
    models = TellingModels()
    assert len(SpeechAssembly(models.flow, models.voice, NoChance()).finish([])) == 0


def test_the_same_tokens_sound_the_same_and_leave_the_global_dice_alone() -> None:
    chance = random.Random(1)
    codes = [[chance.randrange(64) for _ in range(size)] for size in (6, 4, 8, 13, 30, 9)]
    flow, vocoder = tiny_flow(), tiny_vocoder()
    heard = []
    for _ in range(2):
        torch.rand(1)  # another user of the global dice changes nothing
        before = torch.get_rng_state()
        speech = SpeechAssembly(flow, vocoder, FixedChance())
        parts = [speech.extend(block) for block in codes[:-1]]
        heard.append(torch.cat([*parts, speech.finish(codes[-1])]))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(heard[0], heard[1])


def test_noise_belongs_to_a_frames_place_in_the_reply() -> None:
    chance = FixedChance(3)
    assert torch.equal(chance.mel(100, 50)[:, :, 20:], chance.mel(120, 30))
    late = 4096 * 5 + 7
    assert torch.equal(chance.mel(late, 9), chance.mel(7, 9))
    assert torch.equal(chance.draws(2, 4).noise[:, :, 512:], chance.draws(4, 2).noise)
    assert not torch.equal(chance.mel(0, 9), FixedChance(4).mel(0, 9))
