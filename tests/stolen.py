"""What real time is worth on a host that gives a virtual machine's processors to others.

A call needs its two cores for milliseconds, often. Where the host keeps a good part of them from
the machine, moments are missed that say nothing about the product. So a test of real time that
failed in its last try is told as skipped, with its failure and what the host took meanwhile.
Broken promises (tests/promises.py) and all other tests are never excused.
"""

import pytest

from tests.promises import PromiseBroken

TOO_MUCH_STOLEN = 0.15
"""Of the processors' time. Hosts that leave the machine alone take none of it."""


def excuse(stolen: float | None, error: BaseException, *, last_try: bool) -> str | None:
    """Why a failed test of real time tells nothing; None: it does, or may be tried again."""
    if not last_try or isinstance(error, PromiseBroken) or stolen is None:
        return None
    if stolen <= TOO_MUCH_STOLEN:
        return None
    return f"the host took {stolen:.0%} of the processors while it ran: {_first_line(error)}"


def excuse_report(report: pytest.TestReport, reason: str) -> None:
    """Turn a report of a failure into one of a test that was skipped."""
    path, line, _ = report.location
    report.outcome, report.longrepr = "skipped", (path, (line or 0) + 1, f"Skipped: {reason}")


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"
