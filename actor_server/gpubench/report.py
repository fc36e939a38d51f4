"""What was found beside what was wanted and what the paper reports."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from rich.console import Group
from rich.table import Table

from actor_server.gpubench.sizes import DISTILLED, SERVED
from actor_server.gpubench.streams import CHUNK_MS

PAPER_THINKER_S: Final = 51.2
PAPER_ACTOR_S: Final = 58.2
PAPER_TOTAL_S: Final = PAPER_THINKER_S + PAPER_ACTOR_S
"""Seconds for a minute of response on one A100, X-Streamer (arXiv 2509.21574); and their sum."""
PAPER: Final = {
    "thinker_s_per_minute": PAPER_THINKER_S,
    "actor_s_per_minute": PAPER_ACTOR_S,
    "peak_gb": 53.0,
    "device": "A100",
}
"""X-Streamer (arXiv 2509.21574): both models on one A100."""
Verdict = Literal["met", "missed", "not measured"]


@dataclass(frozen=True)
class Goal:
    """Of one H200; `found` is None where it was not measured at full size on a GPU."""

    name: str
    wanted: float
    is_most: bool
    found: float | None

    @property
    def verdict(self) -> Verdict:
        if self.found is None:
            return "not measured"
        good = self.found <= self.wanted if self.is_most else self.found >= self.wanted
        return "met" if good else "missed"


def end_to_end(found: dict[str, Any]) -> dict[str, float | None]:
    """Seconds for a minute of response, one after the other as the paper adds them, and memory.

    Without the Thinker's figures only the Actor's are known.
    """
    actor_s, held = stream(found, SERVED)["s_per_minute"], sessions_held(found, SERVED)
    whole: dict[str, float | None] = {"actor_s": actor_s, "sessions": held}
    thinker = found["thinker"]
    if thinker is None:
        unknown = ("thinker_s", "speech_s", "total_s", "peak_gb", "sessions_beside_thinker")
        return whole | dict.fromkeys(unknown)
    thinker_s = thinker["seconds_per_minute_of_response"]
    speech_s = 60 * thinker["speech_decode_real_time_factor"]
    return whole | {
        "thinker_s": thinker_s,
        "speech_s": speech_s,
        "total_s": thinker_s + speech_s + actor_s,
        "peak_gb": thinker["device_memory_gb"] + found["actor_peak_gb"],
        "sessions_beside_thinker": sessions_held(found, SERVED, _thinking_ms(thinker)),
    }


def _thinking_ms(thinker: dict[str, Any]) -> dict[int, float]:
    """What the Thinker's steps of a chunk take on the same device, by sessions at once."""
    steps = thinker["real_time_tokens_per_s"] * CHUNK_MS / 1000
    return {int(sessions): steps * ms for sessions, ms in thinker["step_ms"].items()}


def stream(found: dict[str, Any], way: tuple[int, int]) -> dict[str, Any]:
    """The one session with N, W."""
    row: dict[str, Any] = next(
        row for row in found["streams"] if (row["steps"], row["window"]) == way
    )
    return row


def sessions_held(
    found: dict[str, Any], way: tuple[int, int], beside_ms: Mapping[int, float] | None = None
) -> int:
    """The most sessions that were measured to have all their frames.

    beside_ms: what else the device does while it makes a chunk, for so many sessions or fewer.
    """
    rows = [row for row in found["sessions"] if (row["steps"], row["window"]) == way]
    held = 0
    for row in rows:
        enough = [ms for most, ms in (beside_ms or {}).items() if most >= row["sessions"]]
        if beside_ms is not None and not enough:
            continue
        if row["chunk_ms"] + min(enough, default=0.0) <= CHUNK_MS:
            held = max(held, row["sessions"])
    return held


def goals(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Each with its verdict."""
    shares = [row["share_of_matmul_ceiling"] for row in found["passes"] if row["window"] >= 5]
    minute_s, sessions = (found["end_to_end"][name] for name in ("total_s", "sessions"))
    first_ms, soon_ms = (stream(found, way)["first_frame_ms"] for way in (SERVED, DISTILLED))
    wanted: list[tuple[str, float, bool, float | None]] = [
        ("seconds per minute of response, N = 25, W = 5", 25.0, True, minute_s),
        ("first frame, ms, N = 25, W = 5", 400.0, True, first_ms),
        ("condition to first chunk, ms, N = 4, W = 1", 200.0, True, soon_ms),
        ("share of the matmul ceiling, least of W >= 5", 0.6, False, min(shares)),
        ("sessions at 25 fps, N = 25, W = 5", 4.0, False, sessions),
    ]
    counts = found["size"] == "full" and found["on_gpu"]
    judged = [
        Goal(name, value, is_most, measured if counts else None)
        for name, value, is_most, measured in wanted
    ]
    return [asdict(goal) | {"verdict": goal.verdict} for goal in judged]


def tables(found: dict[str, Any]) -> Group:
    """For people."""
    best = found["ceilings"]
    title = (
        f"Actor, {found['size']}, random weights, {found['device']}\n"
        f"products {best['matmul_tflops']:.3g} TFLOP/s, copies {best['copy_gb_per_s']:.4g} GB/s"
    )
    passes = Table("W", "pass, ms", "floor, ms", "TFLOP", "of matmul", title=title)
    for row in found["passes"]:
        passes.add_row(
            str(row["window"]),
            f"{row['pass_ms']:.2f} ({row['without_clean_ms']:.2f} without a clean chunk)",
            f"{row['floor_ms']:.2f}",
            f"{row['tflop']:.3g}",
            f"{row['share_of_matmul_ceiling']:.0%}",
        )
    heads = ("N", "W", "sessions", "chunk, ms", "drawing", "of real time", "first frame, ms")
    streams = Table(*heads, title=f"Whole streams: {CHUNK_MS:.0f} ms a chunk is real time")
    for row in (*found["streams"], *(row for row in found["sessions"] if row["sessions"] > 1)):
        streams.add_row(
            *(str(row[name]) for name in ("steps", "window", "sessions")),
            f"{row['chunk_ms']:.1f}",
            f"{row['drawing_ms']:.1f}",
            f"{row['real_time_factor']:.2f}",
            f"{row['first_frame_ms']:.0f}",
        )
    return Group(passes, streams, _ways(found), _paper(found), _goals(found))


def _ways(found: dict[str, Any]) -> Table:
    steps, window = SERVED
    shown = Table("way", "ms", title=f"Ways to compute, N = {steps}, W = {window}")
    for name, ms in found["ways_chunk_ms"].items():
        shown.add_row(f"passes of a chunk, {name}", _number(ms))
    float8 = found["float8"]
    shown.add_row(
        f"pass with float8 weights, {float8['weights_gb']:.1f} GB, "
        f"velocities change by {float8['velocity_error']:.1%}",
        f"{float8['pass_ms']:.2f}",
    )
    for name, ms in found["attention_ms"].items():
        shown.add_row(f"self-attention of a layer, {name}", _number(ms, 3))
    decoder = found["decoder"]
    shown.add_row(
        f"causal decoding of a chunk, {decoder['gflop']:.0f} GFLOP", f"{decoder['chunk_ms']:.1f}"
    )
    return shown


def _paper(found: dict[str, Any]) -> Table:
    here = f"{found['size']} size, {found['device']}"
    shown = Table("a minute of response", here, f"the paper, {PAPER['device']}")
    whole = found["end_to_end"]
    shown.add_row("Thinker, s", _number(whole["thinker_s"]), f"{PAPER_THINKER_S}")
    shown.add_row("speech decoder, s", _number(whole["speech_s"]), "")
    shown.add_row("Actor, s", _number(whole["actor_s"]), f"{PAPER_ACTOR_S}")
    shown.add_row("all, s", _number(whole["total_s"]), _number(PAPER_TOTAL_S))
    shown.add_row("sessions at 25 fps, the Actor alone", _number(whole["sessions"], 0), "")
    beside = _number(whole["sessions_beside_thinker"], 0)
    shown.add_row("sessions beside the Thinker's steps", beside, "")
    shown.add_row("memory at most, GB", _number(whole["peak_gb"]), str(PAPER["peak_gb"]))
    return shown


def _goals(found: dict[str, Any]) -> Table:
    shown = Table("goal, one H200", "wanted", "found", "")
    for goal in found["goals"]:
        wanted = f"{'<=' if goal['is_most'] else '>='} {goal['wanted']:g}"
        shown.add_row(goal["name"], wanted, _number(goal["found"], 2), goal["verdict"])
    return shown


def _number(value: float | None, places: int = 1) -> str:
    return "not measured" if value is None else f"{value:.{places}f}"
