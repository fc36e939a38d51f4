"""Plays scenarios in namespaces of their own, and says what a caller would complain about."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from services.paths import REPOSITORY
from tests.integration.network.relay import NAMESPACE
from tests.integration.network.scenarios import REPLY_CHUNKS, SCENARIOS, SIGNAL, Scenario

OFFSET_MS_MEDIAN, OFFSET_MS_P95 = 120, 185
"""Sound and picture are this close together 5 s after the trouble: where our alert begins, and
where people no longer accept it when the sound is late (ITU-R BT.1359; when it is early, 90).
Browsers put the two in step; the receiver here, LiveKit's Python client, does not."""
LATE_MS = 25.0
"""A relay that is this late measures the machine, not the network."""
FPS = 23.0
RECOVERED_S = {"address": 20.0}
"""From the end of the trouble until the picture moves: LiveKit's clients notice by the silence of a
connection that the address they had is gone."""
RECOVERED_ELSE_S = 5.0
REPLY = "".join(f"word{index} " for index in range(REPLY_CHUNKS))
CRASHES = ("Traceback", "call failed", "process exited with non-zero")


def play_scenarios(*names: str) -> dict[str, Any]:
    """Figures of each scenario, and the log of the agent's worker."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "played.json"
        module = "tests.integration.network.server_side"
        command = [*NAMESPACE, sys.executable, "-m", module, str(out), *names]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the scenarios could not be played:\n{done.stderr[-4000:]}")
        played: dict[str, Any] = json.loads(out.read_text())
        return played


def complaints(name: str, figures: dict[str, Any]) -> list[str]:
    """What was not as it must be; empty if all was well."""
    if "failed" in figures:
        return [f"the call broke off: {figures['failed']}"]
    scenario, after = SCENARIOS[name], figures["after"]
    questions = scenario.questions
    if not after["beeps"] or not after["flashes"]:
        return [f"nothing was heard or seen afterwards: {after}"]
    return [
        *_caption_complaints(figures["captions"], questions),
        *_recovery_complaints(name, figures),
        *_unless(figures["same_call"], "it was another call afterwards"),
        *_unless(
            figures["turns"] == [["completed", 4 * REPLY_CHUNKS]] * questions,
            f"turns were {figures['turns']}",
        ),
        *_unless(
            min(after["beeps"], after["flashes"]) >= REPLY_CHUNKS - 1, f"afterwards came {after}"
        ),
        *_unless(
            abs(after["offset_ms_median"]) <= OFFSET_MS_MEDIAN
            and after["offset_ms_p95"] <= OFFSET_MS_P95,
            f"sound and picture were apart: {after}",
        ),
        *_unless(after["fps"] >= FPS, f"the picture was slow afterwards: {after}"),
        *_path_complaints(scenario, figures["network"]["passed_bytes"]),
        *_unless(
            figures["network"]["late_ms_p99"] <= LATE_MS,
            "this machine was too busy to measure: the relay itself was late",
        ),
    ]


def captions_complete(captions: dict[str, Any], questions: int) -> bool:
    """Whether every word of every answer came, in order, and was called final."""
    return not _caption_complaints(captions, questions)


def _caption_complaints(captions: dict[str, Any], questions: int) -> list[str]:
    wanted = {f"reply-{turn}": [REPLY, True] for turn in range(1, questions + 1)}
    wanted |= {f"user-{turn}": ["what I heard", True] for turn in range(1, questions + 1)}
    return [
        f"caption {segment} is {captions.get(segment)}"
        for segment, caption in wanted.items()
        if captions.get(segment) != caption
    ]


def _recovery_complaints(name: str, figures: dict[str, Any]) -> list[str]:
    bound = RECOVERED_S.get(name, RECOVERED_ELSE_S)
    recovered = figures.get("recovered_s", 0.0)
    return _unless(recovered <= bound, f"the picture came back after {recovered} s")


def _path_complaints(scenario: Scenario, passed: dict[str, int]) -> list[str]:
    media = {port: count for port, count in passed.items() if port != f"tcp/{SIGNAL}"}
    path = max(media, key=lambda port: media[port], default="nothing")
    return _unless(path == scenario.path, f"media went by {path}, not {scenario.path}: {passed}")


def _unless(well: bool, complaint: str) -> list[str]:
    return [] if well else [complaint]
