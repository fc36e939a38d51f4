"""The caller's process, in a namespace of its own: one scenario, whose figures go to stdout.

python -m tests.integration.network.caller_side SCENARIO URL TOKEN CONTROL_FD
"""

import asyncio
import json
import socket
import sys

from tests.integration.network.relay import CallerEnd
from tests.integration.network.scenarios import SCENARIOS, play
from tests.integration.room_agent.caller import call


async def main(name: str, url: str, token: str, control_fd: str) -> None:
    """Join, play the scenario, tell."""
    network = CallerEnd(socket.socket(fileno=int(control_fd)))
    scenario = SCENARIOS[name]
    await network.set(scenario.weather)
    async with call(url, token) as caller:
        figures = await play(scenario, caller, network)
        sys.stdout.write(json.dumps(figures))
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
