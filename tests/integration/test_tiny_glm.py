"""The engines of preset tiny-glm, as the supervisor starts them: a question, a speaking face."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from proto.messages import (
    AVChunk,
    EngineStatus,
    Grant,
    OpenActorSession,
    OpenThinkerSession,
    Ping,
    SessionReady,
    TurnEnd,
    UserText,
)
from proto.time_law import CHUNK_AUDIO_TOKENS
from proto.wire.sockets import ClientSocket, request
from services.provenance import ProvenanceKey
from services.settings import Settings
from services.supervisor.credentials import LiveKitKey
from services.supervisor.directories import Directories
from services.supervisor.plan import Machine
from services.supervisor.presets import prepare

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).resolve().parents[2]
PORTRAIT = REPOSITORY / "gateway" / "data" / "portraits" / "mara.jpg"
READY_WITHIN_S = 180.0
ANSWER_WITHIN_S = 120.0


@dataclass(frozen=True)
class Engines:
    """Where both engines listen, and what they say of themselves."""

    thinker: str
    actor: str
    labels: dict[str, str]


@pytest.fixture(scope="module")
def engines(assets_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "run").mkdir()
    (folder / "cache").mkdir()
    (folder / "cache" / "assets").symlink_to(assets_dir)
    settings = Settings(
        preset="tiny-glm",
        data=folder,
        cache=folder / "cache",
        thinker={"metrics_port": 0, "recognisers": {}},
        actor={"metrics_port": 0, "motion": "teacher"},
    )
    prepare(settings, lambda who, what: None)
    machine = Machine(
        settings=settings,
        directories=Directories(folder, folder / "run"),
        livekit_program=Path("livekit-server"),
        livekit_key=LiveKitKey("key", "secret" * 6),
        provenance_key=ProvenanceKey.new(),
        certificate=None,
        environ=os.environ,
    )
    with ExitStack() as started:
        for plan in machine.plans():
            if plan.name in ("thinker", "actor"):
                process = subprocess.Popen(plan.command, env=dict(plan.env), cwd=REPOSITORY)
                started.callback(process.wait)
                started.callback(process.terminate)
        labels: dict[str, str] = {}
        for endpoint in (machine.thinker_endpoint, machine.actor_endpoint):
            status = asyncio.run(request(endpoint, Ping(session_id="ping"), READY_WITHIN_S))
            assert isinstance(status, EngineStatus)
            labels |= status.labels
        yield Engines(machine.thinker_endpoint, machine.actor_endpoint, labels)


async def until_the_turn_ends(thinker: ClientSocket) -> TurnEnd:
    while not isinstance(message := await thinker.recv(), TurnEnd):
        pass
    return message


async def spoken_chunks(actor: ClientSocket) -> list[AVChunk]:
    """All chunks in which the reply sounds, up to its last."""
    spoken: list[AVChunk] = []
    while not (spoken and spoken[-1].last):
        await actor.send(Grant(session_id="call", epoch=1, credit=1))
        chunk = await actor.recv()
        assert isinstance(chunk, AVChunk), chunk
        if chunk.audio_tokens or chunk.last:
            spoken.append(chunk)
    return spoken


async def test_a_question_is_answered_by_a_voice_and_a_face(engines: Engines) -> None:
    assert engines.labels["brain"] == "GLM-4-Voice"
    assert engines.labels["speech"] == "glm-4-voice"
    portrait = np.frombuffer(PORTRAIT.read_bytes(), np.uint8)
    opening = OpenThinkerSession(
        session_id="call",
        name="Mara",
        voice="default",
        language="en-US",
        actor_endpoint=engines.actor,
    )
    async with (
        asyncio.timeout(ANSWER_WITHIN_S),
        ClientSocket(engines.actor) as actor,
        ClientSocket(engines.thinker) as thinker,
    ):
        await actor.send(OpenActorSession(session_id="call", portrait=portrait))
        assert isinstance(await actor.recv(), SessionReady)
        await thinker.send(opening)
        assert isinstance(await thinker.recv(), SessionReady)
        await thinker.send(UserText(session_id="call", epoch=1, text="Who are you?", turn=1))
        end, spoken = await asyncio.gather(until_the_turn_ends(thinker), spoken_chunks(actor))
    assert end.reason == "completed"
    assert sum(chunk.audio_tokens for chunk in spoken) == end.audio_tokens > 0
    firsts = [chunk.first_token for chunk in spoken]
    assert firsts == list(range(0, end.audio_tokens, CHUNK_AUDIO_TOKENS))
    voice = np.concatenate([chunk.pcm for chunk in spoken]).astype(int)
    assert np.abs(voice).mean() > 100
    frames = np.concatenate([chunk.frames for chunk in spoken]).astype(np.int16)
    assert np.abs(np.diff(frames, axis=0)).mean() > 0.1
