"""One filled-in example of every message; the golden bytes are made from these."""

import numpy as np

from proto.message import Message, Stamp
from proto.messages import (
    AVChunk,
    CheckPortrait,
    CloseSession,
    EngineStatus,
    Failure,
    Grant,
    HiddenChunk,
    HistoryTurn,
    Interrupt,
    Listen,
    Mood,
    MoodChange,
    OpenActorSession,
    OpenThinkerSession,
    Phone,
    Ping,
    PortraitChecked,
    SessionReady,
    SetMood,
    SpokenMood,
    TextDelta,
    Transcript,
    TurnBoundary,
    TurnEnd,
    TurnState,
    UserAudio,
    UserFrame,
    UserText,
)

S = "call-1"
IMAGE = np.arange(16, dtype=np.uint8)


def ramp(dtype: str, *shape: int) -> np.ndarray:
    """A small deterministic tensor."""
    return (np.arange(np.prod(shape)) % 61).astype(dtype).reshape(shape)


EXAMPLES: tuple[Message, ...] = (
    Ping(session_id=S, stamps=(Stamp(name="asked", at_us=5, host="h"),)),
    OpenThinkerSession(
        session_id=S,
        name="Mara",
        persona="A warm host.",
        voice="hibari",
        language="en",
        history=(HistoryTurn(role="user", text="Grüß dich"),),
        actor_endpoint="ipc:///run/actor",
    ),
    OpenActorSession(session_id=S, portrait=IMAGE, seed=7),
    CloseSession(session_id=S),
    SessionReady(session_id=S, engine="thinker", labels={"brain": "SmolLM2-135M"}),
    EngineStatus(session_id=S, engine="actor", real_time_factor=0.25, queue_depth=1, sessions=2),
    CheckPortrait(session_id=S, image=IMAGE),
    PortraitChecked(session_id=S, code="ok", checks={"face_px": 220.5}, crop=IMAGE),
    TurnBoundary(session_id=S, epoch=3, phase="ended", turn=2),
    UserAudio(session_id=S, pts_us=20_000, pcm=ramp("int16", 320)),
    UserText(session_id=S, text="hello", turn=2),
    UserFrame(session_id=S, pts_us=1, jpeg=IMAGE),
    Interrupt(session_id=S, epoch=4, turn=2, heard_tokens=17, last_shown_chunk=12),
    Listen(session_id=S, speaking=True, features=ramp("float16", 1, 8, 80)),
    Grant(session_id=S, credit=2),
    SetMood(session_id=S, mood=Mood(expression="warm", strength=0.5, yaw_deg=-4.0)),
    Transcript(session_id=S, turn=2, text="what is", final=False),
    TextDelta(session_id=S, turn=2, text="Paris ", first_token=4),
    TurnState(session_id=S, turn=2, state="thinking"),
    TurnEnd(session_id=S, turn=2, audio_tokens=30, reason="completed"),
    HiddenChunk(
        session_id=S,
        turn=2,
        first_token=0,
        audio_tokens=4,
        final=False,
        phones=(Phone(symbol="AA", start_us=0, end_us=90_000),),
        features=ramp("float16", 4, 8, 80),
        pcm=ramp("int16", 7680),
        text_ids=ramp("int32", 3),
        text_states=ramp("float16", 3, 6),
    ),
    AVChunk(
        session_id=S,
        chunk=12,
        pts_us=3_840_000,
        turn=2,
        first_token=0,
        audio_tokens=4,
        motion_level=0.5,
        pcm=ramp("int16", 7680),
        frames=ramp("uint8", 8, 384, 256),
    ),
    Failure(session_id=S, code="unknown_voice", message="Choose another.", retryable=False),
    HiddenChunk(
        session_id=S,
        turn=2,
        first_token=4,
        audio_tokens=3,
        final=True,
        audio_ids=ramp("int32", 3),
        audio_states=ramp("float16", 3, 6),
        moods=(MoodChange(first_token=5, mood=SpokenMood(meant=Mood(expression="serious"))),),
    ),
)
