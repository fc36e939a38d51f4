"""The steps in their order: what each finds out about clips, and which it rejects.

A step's work takes its judge, some clips, the criteria and a folder for files, and gives the clips
on, richer by what was found. A rejected one keeps what was measured and the reason.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import ceil, floor
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile

from actor_server.training.curation.clip import Clip
from actor_server.training.curation.criteria import Bound, Criteria
from actor_server.training.curation.judges import (
    Box,
    Denoiser,
    Embedder,
    FaceFinder,
    LipSyncJudge,
    PersonCounter,
    QualityJudge,
    SceneCutter,
    TextFinder,
    Transcriber,
)
from actor_server.training.curation.media import ClipUnusable, resampled
from proto.time_law import FRAMES_PER_SECOND, HEARING_HZ

PEOPLE_EVERY: Final = 12
"""One picture in so many is looked at: two a second."""
FACES_EVERY: Final = 5
QUALITY_EVERY: Final = 25
TEXT_EVERY: Final = 25
FACE_SHARE_OF_CROP: Final = 0.46
"""Of the square's height, as portraits are cut for calls (`actor_server.portrait.cropping`)."""
FACE_MIDDLE: Final = 0.48
SAME_FRAME_S: Final = 0.001

Work = Callable[[Any, Sequence[Clip], Criteria, Path], Iterable[Clip]]


@dataclass(frozen=True)
class Step:
    """name: of its folder and of its table in the TOML file. judge: `package.module:Class`.

    criteria: those that it heeds, so that a change of another one leaves its rows valid. batch: how
    many clips it takes at once. finish: what is left to do with the folder when all are through;
    gets how the clips were chosen.
    """

    name: str
    work: Work
    judge: str
    criteria: tuple[str, ...] = ()
    batch: int = 16
    finish: Callable[[Path, dict[str, Any]], None] | None = None


def one_by_one(
    work: Callable[[Any, Clip, Criteria, Path], Iterable[Clip]],
) -> Work:
    """The work of a step that needs one clip at a time; one that cannot be read is rejected."""

    def batch(
        judge: Any, clips: Sequence[Clip], criteria: Criteria, folder: Path
    ) -> Iterator[Clip]:
        for clip in clips:
            try:
                yield from list(work(judge, clip, criteria, folder))
            except ClipUnusable as error:
                yield clip.found(rejected=str(error))

    return batch


def cut_scenes(
    cutter: SceneCutter, video: Clip, criteria: Criteria, folder: Path
) -> Iterator[Clip]:
    """The shots of a whole video, in parts that are not too long."""
    for begin_s, end_s in cutter.scenes(Path(video.video)):
        first = ceil((begin_s - SAME_FRAME_S) * FRAMES_PER_SECOND)
        frames = floor((end_s + SAME_FRAME_S) * FRAMES_PER_SECOND) - first
        parts = max(1, ceil(frames / floor(criteria.longest_s * FRAMES_PER_SECOND)))
        for part in range(parts):
            length = frames // parts
            begin = first + part * length
            clip = Clip(_name(video.name, begin), video.video, begin, length)
            short = clip.seconds < criteria.shortest_s
            reason = f"{clip.seconds:.2f} s long, shortest is {criteria.shortest_s:g} s"
            yield clip.found(rejected=reason if short else None)


def judge_lip_sync(
    judge: LipSyncJudge, clip: Clip, criteria: Criteria, folder: Path
) -> Iterator[Clip]:
    """Do the lips belong to the voice?"""
    yield _judged(clip, "lip_sync", judge.score(clip), criteria.lip_sync)


def count_people(
    counter: PersonCounter, clip: Clip, criteria: Criteria, folder: Path
) -> Iterator[Clip]:
    """The number that is wrong in some picture, or else the one that is right in all."""
    counts = [counter.count(picture) for picture in clip.pictures(PEOPLE_EVERY)]
    wrong = [count for count in counts if not criteria.people.holds(count)]
    yield _judged(clip, "people", max(wrong or counts), criteria.people)


def track_face(finder: FaceFinder, clip: Clip, criteria: Criteria, folder: Path) -> Iterator[Clip]:
    """In how many pictures is there exactly one face, and which square holds it in all of them?"""
    found = [finder.faces(picture) for picture in clip.pictures(FACES_EVERY)]
    track = [faces[0] for faces in found if len(faces) == 1]
    judged = _judged(clip, "face_share", len(track) / len(found), criteria.face_share)
    if judged.rejected is None:
        left, top, side = _crop(track)
        judged = judged.found(crop_left=left, crop_top=top, crop_side=side)
    yield judged


def judge_quality(
    judge: QualityJudge, clip: Clip, criteria: Criteria, folder: Path
) -> Iterator[Clip]:
    """The mean over a picture each second."""
    scores = [judge.score(picture) for picture in clip.pictures(QUALITY_EVERY)]
    yield _judged(clip, "quality", float(np.mean(scores)), criteria.quality)


def find_text(finder: TextFinder, clip: Clip, criteria: Criteria, folder: Path) -> Iterator[Clip]:
    """The most that one picture shows."""
    most = max(finder.pieces(picture) for picture in clip.pictures(TEXT_EVERY))
    yield _judged(clip, "text", most, criteria.text)


def denoise(denoiser: Denoiser, clip: Clip, criteria: Criteria, folder: Path) -> Iterator[Clip]:
    """Keep the clip's speech as a file."""
    clean = denoiser.denoise(clip.original_sound(denoiser.rate_hz))
    speech = resampled(clean, denoiser.rate_hz, HEARING_HZ)
    file = folder / f"{clip.name}.flac"
    soundfile.write(file, np.clip(speech, -1, 1), HEARING_HZ)
    yield clip.found(sound_file=str(file))


def transcribe(
    transcriber: Transcriber, clip: Clip, criteria: Criteria, folder: Path
) -> Iterator[Clip]:
    """Language and words; other languages and clips without words are rejected."""
    language, words = transcriber.transcribe(clip.speech())
    reason = None if words.strip() else "nothing is said"
    if language not in criteria.languages:
        reason = f"language {language} is none of {', '.join(criteria.languages)}"
    yield clip.found(language=language, transcript=words.strip(), rejected=reason)


def write_latents(
    embedder: Embedder, clips: Sequence[Clip], criteria: Criteria, folder: Path
) -> Iterator[Clip]:
    """One shard of the dataset."""
    shard = folder / f"{clips[0].name}.safetensors"
    failed = embedder.write(clips, shard)
    for clip in clips:
        reason = failed.get(clip.name)
        yield clip.found(shard=None if reason else shard.name, rejected=reason)


def finish_latents(folder: Path, recipe: dict[str, Any]) -> None:
    """Make the shards a dataset, if there are any."""
    from actor_server.training.latent_store import SHARDS, finish_dataset  # brings torch

    if any(folder.glob(SHARDS)):
        finish_dataset(folder, recipe)


_HERE: Final = "actor_server.training.curation"
STEPS: Final = (
    Step(
        "scenes",
        one_by_one(cut_scenes),
        f"{_HERE}.scene_cuts:PySceneDetect",
        ("shortest_s", "longest_s"),
    ),
    Step("lip_sync", one_by_one(judge_lip_sync), f"{_HERE}.syncnet:SyncNet", ("lip_sync",)),
    Step("people", one_by_one(count_people), f"{_HERE}.yolox:Yolox", ("people",)),
    Step("faces", one_by_one(track_face), f"{_HERE}.faces:Landmarker", ("face_share",)),
    Step("quality", one_by_one(judge_quality), f"{_HERE}.koniq:KonIQ", ("quality",)),
    Step("text", one_by_one(find_text), f"{_HERE}.overlay_text:EasyOcr", ("text",)),
    Step("sound", one_by_one(denoise), f"{_HERE}.demucs:Demucs"),
    Step("transcript", one_by_one(transcribe), f"{_HERE}.whisper:Whisper", ("languages",)),
    Step(
        "latents",
        write_latents,
        f"{_HERE}.latents:LtxAndThinker",
        batch=64,
        finish=finish_latents,
    ),
)


def _judged(clip: Clip, name: str, value: float, bound: Bound) -> Clip:
    reason = None if bound.holds(value) else f"{name} {value:.4g} is not {bound}"
    return clip.found(**{name: float(value)}, rejected=reason)


def _crop(track: list[Box]) -> tuple[float, float, float]:
    """Left, top and side of one square, which holds every face of the track."""
    left, top, width, height = np.array(track).T
    low, high = np.array([left.min(), top.min()]), np.array([left + width, top + height]).max(1)
    middle = (low + high) / 2
    side = max(np.median(height) / FACE_SHARE_OF_CROP, *(high - low))
    return float(middle[0] - side / 2), float(middle[1] - side * FACE_MIDDLE), float(side)


def _name(video: str, first_frame: int) -> str:
    """Fit for a file, and one for each clip: of the video's place and the clip's."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(video).stem)[:40]
    return f"{stem}-{sha256(video.encode()).hexdigest()[:8]}-{first_frame:07d}"
