"""GRID as it is published: words become phones, videos the motion that is seen in them."""

from pathlib import Path

import av
import numpy as np
import pytest

from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.decoder import MeshDecoder
from actor_server.codec.mesh.latent import LATENT_DIM, LIDS, MOUTH, portrait_latent
from actor_server.codec.mesh.portrait import MeshPortrait
from actor_server.motion.procedural import ProceduralMotion
from actor_server.motion.source import Floats
from actor_server.portrait.intake import PortraitIntake
from actor_server.training.grid_corpus import find_clips, grid_arrays
from actor_server.training.grid_motion import read_grid_clips
from actor_server.training.grid_words import read_align, word_phones
from actor_server.training.video_clips import pictures_of
from tests.unit.actor_server.conditions import reply, speaking
from tests.unit.actor_server.conftest import default_picture

pytestmark = pytest.mark.unit

FRAMES = 48
TONE = slice(20, 30)
"""Frames with sound."""
ALIGN = "0 10000 sil\n10000 17500 bin\n17500 25000 blue\n25000 48000 sil\n"
GAP = mouth_basis().features["gap"]


@pytest.fixture(scope="module")
def mara(intake: PortraitIntake) -> MeshDecoder:
    """A face without a beard, whose lips the landmarker sees well."""
    return MeshDecoder(MeshPortrait.build(intake.prepare(default_picture("mara"))))


def performed() -> Floats:
    """(FRAMES, 31) of the procedural Actor, with one blink of three frames."""
    stream = ProceduralMotion().open(portrait_latent(), seed=4)
    chunks = []
    for condition in speaking(reply("SIL M AA B IY SIL P EY M OW B AA SIL M EH B UW")):
        stream.offer(condition)
        chunk = stream.next_chunk()
        assert chunk is not None
        chunks.append(chunk)
    latents = np.concatenate(chunks).reshape(-1, LATENT_DIM)[:FRAMES]
    assert len(latents) == FRAMES
    latents[:, LIDS] = 0.0
    latents[25:28, LIDS] = 1.0
    return latents


def write_video(path: Path, decoder: MeshDecoder, latents: Floats, rate: int = 25) -> None:
    """What the corpus looks like: MPEG-1, 360x288, MP2 sound; here it is a tone in the middle."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg1video", rate, width=360, height=288)
        pictures.bit_rate, pictures.pix_fmt = 2_000_000, "yuv420p"
        sound = container.add_stream("mp2", 44_100, layout="mono")
        for latent in latents:
            picture = np.full((288, 360, 3), 127, np.uint8)
            picture[16:272, 52:308] = decoder.render_rgb(latent)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(pictures.encode(None))
        wave = np.zeros(len(latents) * 1764, np.int16)
        heard = slice(TONE.start * 1764, TONE.stop * 1764)
        wave[heard] = 9000 * np.sin(np.arange(len(wave))[heard] * 0.05)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate = 44_100
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def test_videos_of_a_talking_face_give_back_its_lips_its_blink_and_its_sound(
    tmp_path: Path, mara: MeshDecoder, assets_dir: Path
) -> None:
    corpus, out = tmp_path / "s1", tmp_path / "arrays"
    corpus.mkdir()
    latents = performed()
    write_video(corpus / "aa1.mpg", mara, latents)
    write_video(corpus / "bb2.mpg", mara, latents[:8])
    (corpus / "aa1.align").write_text(ALIGN)
    arrays = grid_arrays(corpus, out, assets_dir)
    said, silent = read_grid_clips(arrays)
    assert (said.name, silent.name) == ("aa1", "bb2")
    assert len(said.usable) == FRAMES
    assert said.usable.all()
    gaps = latents[:, MOUTH] @ GAP
    assert np.corrcoef(said.mouths @ GAP, gaps)[0, 1] > 0.95
    assert said.lids[25:28].min() > 0.8 > 0.2 > np.delete(said.lids, range(24, 29), axis=0).max()
    loud = said.features.reshape(FRAMES, -1).mean(1)
    quiet = np.delete(loud, range(TONE.start - 2, TONE.stop + 2))
    assert loud[TONE.start + 1 : TONE.stop - 1].min() > quiet.max() + 0.3
    assert said.phones is not None
    assert " ".join(phone.symbol for phone in said.phones) == "SIL B IH N B L UW SIL"
    assert silent.phones is None
    assert grid_arrays(arrays, tmp_path, assets_dir) == arrays


def test_a_word_shares_its_time_among_its_phones_and_silence_is_one() -> None:
    phones = word_phones("seven", 1.0, 1.5)
    assert [phone.symbol for phone in phones] == ["S", "EH", "V", "AH", "N"]
    assert phones[0].start_s == 1.0
    assert sum(phone.duration_s for phone in phones) == pytest.approx(0.5)
    assert all(0.03 < phone.duration_s < 0.2 for phone in phones)
    assert [phone.symbol for phone in word_phones("sp", 0, 1)] == ["SIL"]


def test_an_alignment_is_in_samples_and_anything_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "aa1.align"
    path.write_text(ALIGN)
    phones = read_align(path)
    assert (phones[1].symbol, phones[1].start_s) == ("B", 0.4)
    path.write_text("0 10000 sil\n10000 20000 hello\n")
    with pytest.raises(ValueError, match=r"line 2.*hello"):
        read_align(path)


def test_a_folder_without_videos_or_of_several_speakers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nor videos"):
        find_clips(tmp_path)
    for speaker in ("s1", "s2"):
        (tmp_path / speaker).mkdir()
        (tmp_path / speaker / "aa1.mpg").touch()
    with pytest.raises(ValueError, match="one speaker's folder"):
        find_clips(tmp_path)


def test_another_frame_rate_is_refused(tmp_path: Path, mara: MeshDecoder) -> None:
    write_video(tmp_path / "aa1.mpg", mara, np.zeros((3, LATENT_DIM), np.float32), rate=30)
    with pytest.raises(ValueError, match="30 frames a second"):
        list(pictures_of(tmp_path / "aa1.mpg"))
