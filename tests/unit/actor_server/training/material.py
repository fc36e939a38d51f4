"""A tiny recital and a tiny GRID: what the data builder reads, without models or a corpus."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from actor_server.codec.mesh.basis import mouth_basis
from actor_server.codec.mesh.canonical import canonical_face
from actor_server.motion.source import Floats
from actor_server.training.grid_motion import GridClip, without_gaps
from actor_server.training.grid_tracks import GridTracks, write_tracks
from proto.message_file import write_messages
from proto.messages import HiddenChunk, Phone
from proto.speech_features import MEL_BINS
from proto.time_law import SEGMENT_AUDIO_TOKENS, SEGMENT_TEXT_SLOTS
from tests.unit.actor_server.conditions import parts_of, reply

STATE_WIDTH = 576
SPEECH = "M AA M IY B AA P UW F EH SIL T EY K AE T S IY B OW SIL D AH N W EH R IY M EY"
CLIP_FRAMES = 75
PIXELS = 60.0


def recited_parts(symbols: str, text_slots: int = 6) -> list[HiddenChunk]:
    """A reply in parts of four tokens; each part adds text slots until its segment is full."""
    parts = []
    for part in parts_of(reply(symbols), [4] * 100):
        segment, within = divmod(part.first_token, SEGMENT_AUDIO_TOKENS)
        first = segment * SEGMENT_TEXT_SLOTS + min(within, SEGMENT_TEXT_SLOTS)
        count = min(text_slots, (segment + 1) * SEGMENT_TEXT_SLOTS - first, 4)
        update: dict[str, Any] = {"first_text_slot": first}
        if count > 0:
            states = np.full((count, STATE_WIDTH), 1 + part.first_token, np.float16)
            update |= {"text_states": states, "text_ids": np.zeros(count, np.int32)}
        parts.append(part.model_copy(update=update))
    return parts


def write_recital(folder: Path, texts: int = 10, voices: tuple[str, str] = ("one", "two")) -> None:
    """Replies of two voices."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(texts):
        parts = recited_parts(" ".join(SPEECH.split()[number % 5 :]))
        write_messages(folder / f"{number}.messages", parts)
        lines.append(
            {
                "file": f"{number}.messages",
                "text": f"text {number}",
                "voice": voices[0] if number % 2 else voices[1],
                "pace": 1.0,
                "audio_tokens": sum(part.audio_tokens for part in parts),
            }
        )
    (folder / "index.json").write_text(json.dumps({"replies": lines}))


def write_grid(folder: Path, names: tuple[str, ...] = ("aa1", "bb2")) -> None:
    """Clips in which the canonical face opens its mouth and says a vowel in the middle."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    frames = CLIP_FRAMES * len(names)
    gaps = np.tile(np.maximum(0, np.sin(np.linspace(0, 6 * np.pi, CLIP_FRAMES))), len(names))
    jaw = mouth_basis().displacements[0]
    face = canonical_face().vertices + 0.5 * gaps[:, None, None] * jaw
    pixels = face * PIXELS + np.array([180, 144, 0])
    valid = np.ones(frames, np.bool_)
    valid[40:43] = False
    bounds = np.arange(0, frames + 1, CLIP_FRAMES)
    write_tracks(folder, GridTracks(pixels.astype(np.float32), valid, names, bounds))
    phones = [["SIL", 0.0, 1.0], ["AA", 1.0, 1.0], ["SIL", 2.0, 1.0]]
    listed = {name: {"phones": phones, "aligned": True} for name in names}
    (folder / "phones.json").write_text(json.dumps(listed))
    tone = np.zeros(3 * 16_000)
    tone[16_000:32_000] = 0.3 * np.sin(2 * np.pi * 220 * np.arange(16_000) / 16_000)
    for name in names:
        soundfile.write(folder / "audio" / f"{name}.flac", tone, 16_000)


def grid_clip(name: str = "aa1", frames: int = CLIP_FRAMES, level: float = 1.0) -> GridClip:
    """A clip whose mouth, lids and gaze hold one value each."""
    phones = (Phone(symbol="AA", start_us=1_000_000, end_us=2_000_000),)
    features: Floats = np.full((4 * frames, MEL_BINS), -1.4, np.float32)
    features[100:200] = 0.3
    return GridClip(
        name=name,
        mouths=np.full((frames, 16), level, np.float32),
        lids=np.full((frames, 2), 0.5, np.float32),
        gaze=np.full((frames, 2), 0.25, np.float32),
        usable=np.ones(frames, np.bool_),
        sees=np.ones(frames, np.bool_),
        features=features,
        phones=without_gaps(phones, frames * 40_000),
    )
