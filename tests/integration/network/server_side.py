"""The server's process, in a namespace of its own: LiveKit, the agent's worker, engine doubles.

Plays scenarios one after the other and writes their figures as JSON:
unshare --user --map-root-user --net python -m tests.integration.network.server_side OUT NAME...
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from services.settings import GatewayTable, LiveKitTable
from services.supervisor.credentials import LiveKitKey
from services.supervisor.livekit_config import livekit_config
from tests.integration.network.relay import SERVER, Relay, open_tun
from tests.integration.network.scenarios import (
    MEDIA_TCP,
    MEDIA_UDP,
    REPLY_CHUNKS,
    SIGNAL,
    TURN_UDP,
)
from tests.integration.room_agent.engine_doubles import ActorDouble, ThinkerDouble
from tests.integration.test_room_agent import (
    AGENT,
    KEY,
    SECRET,
    Stage,
    Worker,
    _answers,
    _livekit_binary,
    _wait,
    running_worker,
)

SEED = 9
SCENARIO_TIMEOUT_S = 100
DEPARTURE_S, LEAVE_AFTER_S = 15, 16
"""The product's own: how long the room, and the agent, wait for a caller who was lost."""


@contextmanager
def running_livekit(folder: Path) -> Iterator[str]:
    """A LiveKit server with the product's own configuration, and signalling without a gateway."""
    table = LiveKitTable(
        port=SIGNAL,
        rtc_tcp_port=MEDIA_TCP,
        rtc_udp_port=MEDIA_UDP,
        metrics_port=0,
        node_ip=SERVER,
        turn_udp_port=TURN_UDP,
    )
    settings = json.loads(livekit_config(table, GatewayTable(), LiveKitKey(KEY, SECRET)))
    settings |= {"bind_addresses": [SERVER], "webhook": {}}
    config = folder / "livekit.json"
    config.write_text(json.dumps(settings))
    with (folder / "livekit.log").open("w") as log:
        server = subprocess.Popen(
            [_livekit_binary(), "--config", config], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait("LiveKit server", lambda: _answers(f"http://{SERVER}:{SIGNAL}"), 20)
            yield f"ws://{SERVER}:{SIGNAL}"
        finally:
            server.terminate()
            server.wait(10)


async def play(name: str, worker: Worker, server_tun: int, portrait: Path) -> dict[str, Any]:
    """One call of one caller."""
    thinker = ThinkerDouble(worker.endpoints["thinker"], REPLY_CHUNKS)
    actor = ActorDouble(worker.endpoints["actor"])
    async with actor.running(), thinker.running():
        stage = Stage(worker.url, thinker, actor, worker.process, departure_s=DEPARTURE_S)
        token = await stage.create_call(portrait)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        module = "tests.integration.network.caller_side"
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--net", sys.executable, "-m", module),
            *(name, worker.url, token, str(theirs.fileno())),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        _, (caller_tun,), _, _ = await asyncio.to_thread(socket.recv_fds, ours, 16, 1)
        ours.setblocking(False)
        relay = Relay(SEED)
        with relay.carrying(caller_tun, server_tun):
            obeying = asyncio.create_task(relay.obey(ours))
            ending = asyncio.get_running_loop().call_later(SCENARIO_TIMEOUT_S, process.kill)
            out, complaint = await process.communicate()
            ending.cancel()
            obeying.cancel()
        os.close(caller_tun)
        ours.close()
    if not out:
        sys.stderr.buffer.write(complaint)
        why = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        return {"failed": why, "network": relay.report()}
    # LiveKit's native client sometimes aborts when its process ends: the call was over by then.
    figures: dict[str, Any] = json.loads(out)
    return figures


def main(out: str, *names: str) -> None:
    """Play these scenarios; what has been played is written after each."""
    played: dict[str, Any] = {}
    server_tun = open_tun(SERVER)
    with TemporaryDirectory() as where:
        folder = Path(os.environ.get("XSTREAMER_NETWORK_LOGS", where))
        portrait = folder / "portrait.png"
        portrait.write_bytes(b"what the double does not look at")
        with (
            running_livekit(folder) as url,
            running_worker(url, folder, AGENT, LEAVE_AFTER_S) as worker,
        ):
            for name in names:
                played[name] = asyncio.run(play(name, worker, server_tun, portrait))
                told = {"scenarios": played, "worker_log": worker.log.read_text()}
                Path(out).write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
