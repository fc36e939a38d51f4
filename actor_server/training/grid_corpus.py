"""The GRID corpus as it is published, turned into the arrays that training reads.

Below one speaker's folder lie `<clip>.mpg`, 25 frames a second with sound, and `<clip>.align`. The
arrays are `tracks.npz`, `phones.json` and `audio/<clip>.flac`, see `grid_tracks`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.progress import track

from actor_server.portrait.intake import LANDMARKER_FILE
from actor_server.portrait.landmarker import FaceLandmarker
from actor_server.training.grid_tracks import (
    PHONES_NAME,
    TRACKS_NAME,
    GridTracks,
    audio_path,
    write_tracks,
)
from actor_server.training.grid_words import read_align
from actor_server.training.video_clips import VIDEO_KINDS, pictures_of
from proto.time_law import HEARING_HZ

LANDMARKS: Final = 478


@dataclass(frozen=True)
class CorpusClip:
    """One sentence: a video with sound, and the times of its words where there are any."""

    name: str
    video: Path
    align: Path | None


def grid_arrays(grid: Path, out: Path, assets: Path) -> Path:
    """The folder with GRID's arrays: `grid` itself, or what is extracted from it into `out`."""
    if (grid / TRACKS_NAME).is_file():
        return grid
    if not (out / TRACKS_NAME).is_file():
        with FaceLandmarker(assets / LANDMARKER_FILE) as landmarker:
            extract(grid, out, landmarker)
    return out


def find_clips(corpus: Path) -> list[CorpusClip]:
    """The clips of one speaker, by name. Raises ValueError where there are none, or of several."""
    videos = sorted(path for path in corpus.rglob("*") if path.suffix.lower() in VIDEO_KINDS)
    aligns = {path.stem: path for path in sorted(corpus.rglob("*.align"))}
    if not videos:
        raise ValueError(
            f"{corpus} holds neither tracks.npz nor videos: give the folder with one speaker's "
            "videos and alignments of GRID (doi.org/10.5281/zenodo.3625687)"
        )
    clips = {path.stem: CorpusClip(path.stem, path, aligns.get(path.stem)) for path in videos}
    if len(clips) < len(videos):
        raise ValueError(f"{corpus} holds several videos of one name: give one speaker's folder")
    return [clips[name] for name in sorted(clips)]


def extract(corpus: Path, out: Path, landmarker: FaceLandmarker) -> None:
    """Write the arrays of every clip into `out`, `tracks.npz` last."""
    clips = find_clips(corpus)
    (out / "audio").mkdir(parents=True, exist_ok=True)
    points, phones = [], {}
    for clip in track(clips, description="looking at GRID"):
        points.append(landmarks_of(clip.video, landmarker))
        soundfile.write(audio_path(out, clip.name), sound_of(clip.video), HEARING_HZ)
        timed = [] if clip.align is None else read_align(clip.align)
        phones[clip.name] = {
            "phones": [[phone.symbol, phone.start_s, phone.duration_s] for phone in timed],
            "aligned": clip.align is not None,
        }
    (out / PHONES_NAME).write_text(json.dumps(phones))
    landmarks = np.concatenate(points)
    names = tuple(clip.name for clip in clips)
    bounds = np.cumsum([0, *(len(one) for one in points)])
    valid = np.asarray(landmarks.any((1, 2)))
    write_tracks(out, GridTracks(landmarks, valid, names, bounds))


def landmarks_of(video: Path, landmarker: FaceLandmarker) -> NDArray[np.float32]:
    """(F, 478, 3) pixels; zeros where no face is found."""
    rows = []
    for picture in pictures_of(video):
        faces = landmarker.find(picture)
        rows.append(faces[0] if faces else np.zeros((LANDMARKS, 3)))
    return np.stack(rows).astype(np.float32)


def sound_of(video: Path) -> NDArray[np.int16]:
    """Its sound (S,), mono at 16 kHz, from the first picture on. Raises ValueError without any."""
    with av.open(str(video)) as container:
        if not container.streams.audio:
            raise ValueError(f"{video} has no sound: GRID's .mpg files do")
        resampler = av.AudioResampler("s16", "mono", HEARING_HZ)
        parts = [
            heard.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for heard in resampler.resample(frame)
        ]
        parts += [heard.to_ndarray()[0] for heard in resampler.resample(None)]
        lead_s = _start_s(container.streams.audio[0]) - _start_s(container.streams.video[0])
    samples = np.concatenate(parts)
    late = round(lead_s * HEARING_HZ)
    return np.pad(samples, (late, 0)) if late > 0 else samples[-late:]


def _start_s(stream: av.VideoStream | av.AudioStream) -> float:
    """When the stream's first frame is due, seconds."""
    if stream.start_time is None or stream.time_base is None:
        return 0.0
    return float(stream.start_time * stream.time_base)
