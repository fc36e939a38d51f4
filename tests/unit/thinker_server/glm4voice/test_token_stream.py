"""The law of the speech tokenizer: a stream gives at any time the tokens of all samples so far."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.unit.thinker_server.glm4voice.fixtures import GOLDEN, tiny_speech_encoder
from thinker_server.glm4voice.speech.encoder import BlockMemory, SpeechEncoder
from thinker_server.glm4voice.speech.log_mel import log_power, normalised
from thinker_server.glm4voice.speech.token_stream import SpeechTokenStream

pytestmark = pytest.mark.unit

ENCODER = tiny_speech_encoder()
SEGMENT_SAMPLES = ENCODER.geometry.segment_samples
BLOCK_SAMPLES = ENCODER.geometry.block_positions * 320
FACTS = json.loads((GOLDEN / "m2_speech_tokenizer_tiny.json").read_text())


@torch.inference_mode()
def offline_tokens(pcm: np.ndarray) -> list[int]:
    """Upstream's way: segments as one batch, padded to the longest, encoded whole."""
    wave = torch.from_numpy(pcm.astype(np.float32) / 32768.0)
    tokens: list[int] = []
    segments = wave.split(SEGMENT_SAMPLES)
    length = -(-len(segments[0]) // 1280) * 1280
    for segment in segments:
        padded = torch.cat([segment, torch.zeros(length - len(segment))])
        log_mel = log_power(padded, 0, length // 160)
        mel = normalised(log_mel, log_mel.max())
        valid = torch.arange(length // 320)[None] * 320 < len(segment)
        codes = ENCODER.nearest_codes(ENCODER(mel[None], valid))[0]
        tokens += codes[valid[0, ::4]].tolist()
    return tokens


def speech(samples: int, seed: int, gain: float = 0.1) -> np.ndarray:
    """Noise and tones that swell, stop and swell again, as voices do."""
    dice = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    tone = np.sin(2 * np.pi * 180 * time * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time)))
    swell = np.clip(np.sin(2 * np.pi * 1.3 * time), 0, 1) ** 2
    sound = gain * swell * (tone + 0.3 * dice.standard_normal(samples))
    return np.clip(sound * 32768, -32768, 32767).astype(np.int16)


def heard_in_pieces(pcm: np.ndarray, seed: int, ask: bool) -> SpeechTokenStream:
    """A stream fed with pieces of random length; `ask`: with questions in between."""
    dice = np.random.default_rng(seed)
    stream, at = SpeechTokenStream(ENCODER), 0
    while at < len(pcm):
        step = int(dice.integers(1, 4000))
        stream.hear(pcm[at : at + step])
        at += step
        if ask and dice.random() < 0.3:
            stream.tokens()
    return stream


@pytest.mark.parametrize("samples", [1, 1280, 1281, BLOCK_SAMPLES, BLOCK_SAMPLES + 40, 21_400])
@pytest.mark.parametrize("ask", [False, True])
def test_a_stream_gives_the_tokens_of_the_whole(samples: int, ask: bool) -> None:
    pcm = speech(samples, seed=samples)
    assert heard_in_pieces(pcm, seed=1, ask=ask).tokens() == offline_tokens(pcm)


def test_every_prefix_has_its_own_tokens() -> None:
    pcm = speech(30_000, seed=3)
    stream = SpeechTokenStream(ENCODER)
    for at in range(0, len(pcm), 3000):
        stream.hear(pcm[at : at + 3000])
        assert stream.tokens() == offline_tokens(pcm[: at + 3000])


def test_a_louder_sound_changes_closed_blocks_as_it_changes_the_whole() -> None:
    quiet, loud = speech(3 * BLOCK_SAMPLES, 4, gain=0.0005), speech(BLOCK_SAMPLES, 5, gain=0.9)
    stream = SpeechTokenStream(ENCODER)
    stream.hear(quiet)
    before = stream.tokens()
    stream.hear(loud)
    after = stream.tokens()
    assert after == offline_tokens(np.concatenate([quiet, loud]))
    assert after[: len(before)] != before, "else this test shows nothing"


@pytest.mark.parametrize("extra", [1, 1280, 9000, SEGMENT_SAMPLES + 700])
def test_speech_longer_than_a_segment_goes_on_in_the_next(extra: int) -> None:
    pcm = speech(SEGMENT_SAMPLES + extra, seed=extra)
    assert heard_in_pieces(pcm, seed=2, ask=True).tokens() == offline_tokens(pcm)


def test_the_recorded_wave_has_the_recorded_tokens() -> None:
    recorded = load_file(GOLDEN / "m2_speech_tokenizer_tiny.safetensors")
    stream = SpeechTokenStream(ENCODER)
    stream.hear((recorded["in.wave0"] * 32768).round().to(torch.int16).numpy())
    assert stream.tokens() == recorded["out.tokens0"].tolist()


@pytest.mark.parametrize("samples", [int(n) for n in FACTS["token_count_table"] if int(n) < 5e4])
def test_there_is_a_token_for_every_80_ms_begun(samples: int) -> None:
    stream = SpeechTokenStream(ENCODER)
    stream.hear(np.ones(samples, np.int16))
    assert len(stream.tokens()) == FACTS["token_count_table"][str(samples)]["tokens"]


def test_no_speech_has_no_tokens() -> None:
    assert SpeechTokenStream(ENCODER).tokens() == []


def test_closed_blocks_are_not_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    encode = SpeechEncoder.block

    def counted(
        self: SpeechEncoder, mel: torch.Tensor, valid: torch.Tensor, past: list[BlockMemory]
    ) -> tuple[torch.Tensor, BlockMemory]:
        lengths.append(mel.shape[2])
        return encode(self, mel, valid, past)

    monkeypatch.setattr(SpeechEncoder, "block", counted)
    stream = SpeechTokenStream(ENCODER)
    noise = np.random.default_rng(0).integers(-9000, 9000, 4 * BLOCK_SAMPLES).astype(np.int16)
    stream.hear(noise)
    assert lengths == [ENCODER.geometry.block_frames] * 3
    lengths.clear()
    for _ in range(3):
        stream.tokens()
    assert lengths == [ENCODER.geometry.block_frames] * 3, "the open block each time, no other"
