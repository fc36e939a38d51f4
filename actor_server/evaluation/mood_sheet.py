"""A picture of every expression on shipped portraits, to be looked at:

    python -m actor_server.evaluation.mood_sheet --out moods.jpg [--avatars mara,imani]

The motion is the same in every row (the rules', or with `--motion auto` the shipped transformer's);
only the mood differs. Columns: before a word, in the middle of three sounds, looking aside.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from actor_server.codec.mesh.latent import portrait_latent
from actor_server.codec.mesh.prepared import Image
from actor_server.evaluation.articulation import middle_frame
from actor_server.evaluation.rendered import Avatar, default_avatars
from actor_server.evaluation.sheets import (
    FACE_COLUMNS,
    FACE_PX,
    FACE_ROWS,
    LABEL_PX,
    NAME_PX,
    paper,
    write,
)
from actor_server.motion.choice import choose_motion
from actor_server.motion.source import Condition, Floats, MotionSource, Visibility
from actor_server.speech_queue import TurnSpeech
from proto.messages import Expression, HiddenChunk, Mood, Phone
from proto.time_law import AUDIO_TOKEN_US, CHUNK_AUDIO_TOKENS, CHUNK_FRAMES, TOKEN_SAMPLES

EXPRESSIONS: Final[tuple[Expression, ...]] = ("neutral", "warm", "serious", "surprised")
SAID: Final = "HH AH L OW M AA M IY W EH L K AH M"
PHONE_US: Final = 160_000
SHOWN: Final = (4, 5, 7)
"""Places in SAID of M, AA and IY."""
QUIET_CHUNKS: Final = 5
"""Before the first word: a mood is there by then."""
JPEG: Final = (cv2.IMWRITE_JPEG_QUALITY, 82)
ASIDE: Final = {"look left": Mood(yaw_deg=8.0), "look down": Mood(pitch_deg=5.0)}


def phones() -> tuple[Phone, ...]:
    """SAID with times."""
    return tuple(
        Phone(symbol=symbol, start_us=PHONE_US * n, end_us=PHONE_US * (n + 1))
        for n, symbol in enumerate(SAID.split())
    )


def conditions(mood: Mood, sight: Visibility) -> list[Condition]:
    """Silence, then SAID, all in one mood."""
    tokens = -(-phones()[-1].end_us // AUDIO_TOKEN_US)
    speech = TurnSpeech(1, sight.history_tokens, sight.lookahead_tokens)
    speech.extend(
        HiddenChunk(
            session_id="sheet",
            turn=1,
            first_token=0,
            audio_tokens=tokens,
            final=True,
            phones=phones(),
            pcm=np.zeros(tokens * TOKEN_SAMPLES, np.int16),
        )
    )
    moods = (mood,) * CHUNK_AUDIO_TOKENS
    made = [Condition("idle", 0, moods=moods)] * QUIET_CHUNKS
    while speech.playable:
        made.append(Condition("speaking", 1, speech.cut().window, moods=moods))
    return made


def played(source: MotionSource, mood: Mood) -> Floats:
    """The latents (F, 31) of `conditions`."""
    stream = source.open(portrait_latent(), 3)
    chunks: list[Floats] = []
    for condition in conditions(mood, source.sight):
        stream.offer(condition)
        while (chunk := stream.next_chunk()) is None:
            pass
        chunks.append(chunk)
    stream.close()
    return np.concatenate(chunks)


def columns(source: MotionSource, expression: Expression) -> dict[str, Floats]:
    """What a row shows: labels and latents (31,)."""
    own = Mood(expression=expression)
    latents = played(source, own)
    begin = QUIET_CHUNKS * CHUNK_FRAMES
    spoken = [phones()[place] for place in SHOWN]
    quiet = {"before": own} | {name: mood.over(own) for name, mood in ASIDE.items()}
    before = {name: played(source, mood)[begin - 1] for name, mood in quiet.items()}
    return before | {phone.symbol: latents[begin + middle_frame(phone)] for phone in spoken}


def sheet(source: MotionSource, avatars: Sequence[Avatar]) -> Image:
    """A row for each avatar and expression."""
    rows = {expression: columns(source, expression) for expression in EXPRESSIONS}
    names = list(rows["neutral"])
    picture = paper(LABEL_PX + FACE_PX * len(avatars) * len(rows), NAME_PX + FACE_PX * len(names))
    for column, name in enumerate(names):
        write(picture, name, NAME_PX + column * FACE_PX + 6, LABEL_PX - 6)
    places = [(avatar, expression) for avatar in avatars for expression in EXPRESSIONS]
    for row, (avatar, expression) in enumerate(places):
        y = LABEL_PX + row * FACE_PX
        write(picture, f"{avatar.name}: {expression}", 4, y + FACE_PX // 2, 0.36)
        for column, name in enumerate(names):
            x = NAME_PX + column * FACE_PX
            (face,) = avatar.draw(rows[expression][name][None])
            picture[y : y + FACE_PX, x : x + FACE_PX] = face[FACE_ROWS, FACE_COLUMNS]
    return picture


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--avatars", default="mara,imani")
    parser.add_argument("--assets", type=Path, default=Path("~/.cache/xstreamer/assets"))
    parser.add_argument("--motion", choices=("teacher", "auto"), default="teacher")
    options = parser.parse_args()
    avatars = default_avatars(options.avatars.split(","), options.assets.expanduser())
    drawn = sheet(choose_motion(options.motion, None, 1), avatars)
    if not cv2.imwrite(str(options.out), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), JPEG):
        raise SystemExit(f"{options.out} cannot be written")


if __name__ == "__main__":
    main()
