"""What becomes of tests of real time that fail, in a pytest of their own with the suite's rules."""

import subprocess
import sys

import pytest

from services.paths import REPOSITORY
from tests.promises import PromiseBroken
from tests.stolen import TOO_MUCH_STOLEN, excuse

pytestmark = pytest.mark.integration

SUITE = """
import pytest
import tests.conftest
from tests.conftest import STOLEN
from tests.promises import promise

tests.conftest.REALTIME_PAUSE_S = 0

class Host:
    def __init__(self, stolen): self.stolen = stolen
    def share(self): return self.stolen

tries = {"late": 0}

@pytest.fixture
def host(request, pytestconfig):
    def takes(stolen): request.node.stash[STOLEN] = Host(stolen)
    return takes

@pytest.mark.integration
@pytest.mark.realtime
class TestRealTime:
    def test_missed_on_a_host_that_takes_much(self, host):
        host(0.3)
        assert False, "too late"

    def test_missed_on_a_quiet_host(self, host):
        host(0.0)
        assert False, "too late"

    def test_broken_promise(self, host):
        host(0.3)
        promise(False, "another caller's words")

    def test_met_in_the_last_try(self, host):
        host(0.3)
        tries["late"] += 1
        assert tries["late"] == 3

@pytest.mark.integration
def test_of_other_things(host):
    host(0.3)
    assert False
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The short report of that suite."""
    suite = tmp_path_factory.mktemp("suite") / "test_suite.py"
    suite.write_text(SUITE)
    settings = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-q"]
    settings += ["--rootdir", str(suite.parent), "-c", str(REPOSITORY / "pyproject.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, str(suite)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def summary(told: str, outcome: str) -> list[str]:
    return [line for line in told.splitlines() if line.startswith(outcome)]


def test_a_miss_is_a_failure_unless_the_host_took_the_processors(told: str) -> None:
    (skipped,) = summary(told, "SKIPPED [")
    assert "the host took 30% of the processors while it ran: AssertionError: too late" in skipped
    failed = " ".join(summary(told, "FAILED"))
    for name in ("missed_on_a_quiet_host", "broken_promise", "of_other_things"):
        assert name in failed
    assert "3 failed, 1 passed, 1 skipped" in told


def test_what_misses_its_moments_is_tried_three_times_and_nothing_else_is(told: str) -> None:
    tried_again = " ".join(summary(told, "RERUN"))
    assert tried_again.count("missed_on_a_host_that_takes_much") == 2
    assert tried_again.count("missed_on_a_quiet_host") == 2
    assert tried_again.count("met_in_the_last_try") == 2
    assert "broken_promise" not in tried_again
    assert "of_other_things" not in tried_again


@pytest.mark.parametrize("stolen", [None, 0.0, TOO_MUCH_STOLEN])
def test_a_host_that_takes_little_or_does_not_tell_excuses_nothing(stolen: float | None) -> None:
    assert excuse(stolen, AssertionError("late"), last_try=True) is None


def test_nothing_is_excused_while_it_may_be_tried_again_nor_a_broken_promise() -> None:
    assert excuse(0.5, AssertionError("late"), last_try=False) is None
    assert excuse(0.5, PromiseBroken("words"), last_try=True) is None
    assert excuse(0.5, AssertionError(), last_try=True) is not None
