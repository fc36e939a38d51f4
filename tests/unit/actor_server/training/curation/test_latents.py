"""What is cached of a clip is what a call would make of the same face and the same words."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from actor_server.codec.ltx.checkpoint import load_autoencoder, save_autoencoder
from actor_server.codec.ltx.codec import LtxCodec
from actor_server.codec.ltx.latents import pixels_of
from actor_server.codec.ltx.tiny import TINY, random_autoencoder
from actor_server.motion.conditioning import KINDS
from actor_server.training.curation.clip import Clip
from actor_server.training.curation.judges import ModelsUnusable
from actor_server.training.curation.latents import LtxAndThinker
from actor_server.training.curation.media import Sound
from actor_server.training.latent_clip import LANGUAGES
from actor_server.training.latent_store import finish_dataset
from tests.unit.actor_server.training.curation.footage import SOUND_HZ, Shot, write_video

pytestmark = pytest.mark.unit

WIDTH = 4


class Loudness:
    """A SpeechReader whose states are the loudness of their 80 ms, and letters."""

    def states(
        self, words: str, speech: Sound
    ) -> tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.int32]]:
        loud = speech.reshape(-1, SOUND_HZ * 80 // 1000).std(1)
        letters = np.array([ord(letter) for letter in words])
        return (
            np.repeat(loud[:, None], WIDTH, 1).astype(np.float16),
            np.repeat(letters[:, None], WIDTH, 1).astype(np.float16),
            np.arange(len(letters), dtype=np.int32),
        )


class Unheard:
    """A SpeechReader that overflows half precision."""

    def states(
        self, words: str, speech: Sound
    ) -> tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.int32]]:
        audio, text, slots = Loudness().states(words, speech)
        return np.full_like(audio, np.inf), text, slots


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ltx") / "vae"
    save_autoencoder(folder, random_autoencoder(TINY))
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    """0.92 s: two chunks, the first silent, and some frames too many."""
    shot = Shot(1.2, begins_s=0.6)
    write_video(tmp_path / "a.mkv", [shot])
    voice = shot.sound()[: round(0.92 * SOUND_HZ)]
    voice[: round(0.55 * SOUND_HZ)] = 0
    soundfile.write(tmp_path / "a.flac", voice, SOUND_HZ)
    return Clip(
        "a",
        str(tmp_path / "a.mkv"),
        0,
        23,
        crop_left=50.0,
        crop_top=30.0,
        crop_side=60.0,
        sound_file=str(tmp_path / "a.flac"),
        language="zh",
        transcript="ab",
    )


def embedder(vae: Path, reader: str = "Loudness") -> LtxAndThinker:
    return LtxAndThinker(str(vae), {"use": f"{__name__}:{reader}"})


def test_the_reference_is_the_first_picture_and_chunks_are_what_follows(
    vae: Path, clip: Clip, tmp_path: Path
) -> None:
    assert embedder(vae).write([clip], tmp_path / "one.safetensors") == {}
    arrays = load_file(tmp_path / "one.safetensors")
    faces = np.stack(list(clip.faces(256)))
    codec = LtxCodec(load_autoencoder(vae))
    reference = codec.encode_reference(faces[0]).numpy()
    assert arrays["reference"].shape == (1, 64, 128)
    assert np.abs(arrays["reference"][0] - reference).max() < 4e-3
    with torch.inference_mode():
        pixels = pixels_of(faces[:17], like=torch.zeros(1))
        encoded = codec.autoencoder.encode(pixels).latent_dist.mode()
    tokens = codec.space.tokens(encoded)[0].reshape(3, 64, 128).numpy()
    assert arrays["latents"].shape == (2, 64, 128)
    assert np.abs(arrays["latents"] - tokens[1:]).max() < 4e-3
    assert np.abs(tokens[1] - tokens[2]).max() > 0.05


def test_speech_begins_with_the_second_picture_and_silence_before_it_is_idle(
    vae: Path, clip: Clip, tmp_path: Path
) -> None:
    embedder(vae).write([clip], tmp_path / "one.safetensors")
    arrays = load_file(tmp_path / "one.safetensors")
    assert clip.sound_file is not None
    voice, _ = soundfile.read(clip.sound_file)
    tokens = voice[SOUND_HZ // 25 :][: 8 * 1280].reshape(8, 1280).std(1)
    assert np.abs(arrays["audio"][:, 0] - tokens).max() < 1e-3
    assert [KINDS[kind] for kind in arrays["kinds"]] == ["idle", "speaking"]
    assert arrays["text"][:, 0].tolist() == [ord("a"), ord("b")]
    assert [LANGUAGES[place] for place in arrays["languages"]] == ["zh"]
    index = finish_dataset(tmp_path, {"made": "here"})
    assert (index.clips, index.seconds, index.layout.state_width) == (1, 0.64, WIDTH)


def test_a_clip_that_cannot_be_embedded_does_not_spoil_the_others(
    vae: Path, clip: Clip, tmp_path: Path
) -> None:
    short = clip.found(name="short", frames=5)
    late = clip.found(name="late", frames=30)
    failed = embedder(vae).write([short, clip, late], tmp_path / "some.safetensors")
    assert failed.keys() == {"short", "late"}
    assert "make no chunk" in failed["short"]
    assert failed["late"] == "its sound ends before its pictures"
    assert len(load_file(tmp_path / "some.safetensors")["languages"]) == 1
    failed = embedder(vae, "Unheard").write([clip], tmp_path / "none.safetensors")
    assert "not numbers of half precision" in failed["a"]
    assert not (tmp_path / "none.safetensors").exists()


def test_whoever_reads_speech_must_be_named(vae: Path) -> None:
    with pytest.raises(ModelsUnusable, match=r"\[latents\.states\] nobody:Knows cannot be imp"):
        LtxAndThinker(str(vae), {"use": "nobody:Knows"})
    with pytest.raises(ModelsUnusable, match=r"\[latents\.states\] needs `use = "):
        LtxAndThinker(str(vae), {})
