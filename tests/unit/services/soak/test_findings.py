"""Verdicts on soaks whose truth is known."""

import pytest

from services.soak.findings import Finding, findings
from services.soak.samples import Soak
from tests.unit.services.soak.scene import soak

pytestmark = pytest.mark.unit


def verdicts(of: Soak) -> dict[str, Finding]:
    return {one.key: one for one in findings(of)}


def test_a_flat_noisy_hour_meets_every_goal() -> None:
    found = verdicts(soak())
    assert {
        key: one.verdict for key, one in found.items() if one.wanted and one.verdict != "met"
    } == {}
    assert sum(one.verdict == "met" for one in found.values()) >= 12


def test_a_leak_is_found_and_its_process_named() -> None:
    found = verdicts(soak(leak_mb=60))
    assert found["memory_slope"].verdict == "missed"
    assert found["memory_thinker_slope"].value == pytest.approx(60, abs=10)
    assert found["memory_actor_slope"].value == pytest.approx(0, abs=5)


def test_growth_below_the_bound_is_no_leak() -> None:
    assert verdicts(soak(leak_mb=10))["memory_slope"].verdict == "met"


def test_what_the_browser_takes_is_not_the_products() -> None:
    found = verdicts(soak())
    assert found["memory_browser_slope"].value == pytest.approx(500)
    assert found["memory_slope"].verdict == "met"
    assert found["handles_slope"].verdict == "met"


def test_leaked_handles_are_found() -> None:
    assert verdicts(soak(leaked_handles=30))["handles_slope"].verdict == "missed"


@pytest.mark.parametrize("drift_ms", [-40.0, 40.0])
def test_a_picture_that_runs_away_is_found_either_way(drift_ms: float) -> None:
    found = verdicts(soak(drift_ms=drift_ms))["av_offset_ms_slope"]
    assert found.verdict == "missed"
    assert found.value == pytest.approx(drift_ms, abs=8)


def test_a_face_that_becomes_another_is_found() -> None:
    found = verdicts(soak(ageing=0.1))
    assert found["identity_slope"].verdict == "missed"
    assert found["identity"].verdict == "met"


@pytest.mark.parametrize("drift_ms", [-4.0, 0.0])
def test_a_slope_that_may_be_beyond_its_bound_is_undecided(drift_ms: float) -> None:
    found = verdicts(soak(drift_ms=drift_ms, jitter_ms=20))["av_offset_ms_slope"]
    assert found.low is not None
    assert found.high is not None
    assert found.low < -5 or found.high > 5
    assert found.low < 0 < found.high
    assert found.verdict == "undecided"


def test_growth_that_may_be_a_leak_is_undecided() -> None:
    found = verdicts(soak(leak_mb=20))["memory_slope"]
    assert found.low is not None
    assert found.high is not None
    assert found.low < 20 < found.high
    assert found.verdict == "undecided"


def received(of: Soak, **changed: object) -> Soak:
    """With these figures of each sample's reception."""
    samples = [
        sample.model_copy(update={"reception": sample.reception.model_copy(update=changed)})
        for sample in of.samples
    ]
    return Soak(of.about, samples, of.end)


def test_offsets_are_judged_by_all_readings_and_by_their_size() -> None:
    """One reading in ten is far off in every sample, and early: medians would not tell."""
    early = [*[20.0] * 9, -60.0]
    found = verdicts(received(soak(), av_offsets_ms=early))
    assert found["av_offset_ms"].value == 20
    assert found["av_offset_abs_p95_ms"].value == 60
    assert found["av_offset_abs_p95_ms"].verdict == "missed"
    assert found["av_offset_abs_p95_ms"].label == "lateness either way, p95"


def test_a_soak_that_kept_no_readings_is_judged_by_its_worst_samples() -> None:
    before = received(soak(), av_offsets_ms=None)
    samples = [*before.samples]
    for at in range(0, len(samples), 10):
        bad = samples[at].reception.model_copy(update={"av_offset_abs_p95_ms": 80.0})
        samples[at] = samples[at].model_copy(update={"reception": bad})
    found = verdicts(Soak(before.about, samples, before.end))["av_offset_abs_p95_ms"]
    assert (found.value, found.verdict) == (80, "missed")
    assert found.label == "lateness either way, p95 of samples' p95"


def test_minutes_decide_nothing_about_an_hour() -> None:
    found = verdicts(soak(hours=0.075))
    assert found["memory_slope"].verdict == "undecided"
    assert found["av_offset_ms_slope"].verdict == "undecided"


def test_growth_while_everything_warms_up_is_no_leak() -> None:
    flat = soak()
    warm = [
        sample.model_copy(
            update={
                "processes": sample.processes
                | {
                    "thinker": sample.processes["thinker"].model_copy(
                        update={"heap_mb": 1000 - max(0.0, 360 - sample.at_s)}
                    )
                }
            }
        )
        for sample in flat.samples
    ]
    assert verdicts(Soak(flat.about, warm, flat.end))["memory_slope"].verdict == "met"


def test_a_slow_picture_an_unanswered_question_and_a_restart_are_missed_goals() -> None:
    found = verdicts(soak(fps=23.5, silent_at_s=900, restarts=1))
    assert [found[key].verdict for key in ("fps", "unanswered", "restarts")] == ["missed"] * 3


def test_nothing_received_meets_no_goal() -> None:
    dark = received(
        soak(), fps=None, av_offset_ms=None, av_offset_abs_p95_ms=None, av_offsets_ms=[]
    )
    blind = [sample.model_copy(update={"likeness": None}) for sample in dark.samples]
    found = verdicts(Soak(dark.about, blind, dark.end))
    for key in ("fps", "identity", "av_offset_abs_p95_ms", "av_offset_ms_slope", "identity_slope"):
        assert found[key].verdict == "undecided"


def disturbed(of: Soak, every: int, **changed: object) -> Soak:
    """The same where the host took a third of every so many-th half minute."""
    samples = [
        one.model_copy(
            update={"stolen": 0.3, "reception": one.reception.model_copy(update=changed)}
            if index % every == every - 1
            else {"stolen": 0.01}
        )
        for index, one in enumerate(of.samples)
    ]
    return Soak(of.about, samples, of.end)


def test_what_the_host_took_is_told_apart_from_what_the_product_did() -> None:
    taken = {"fps": 10.0, "av_offset_ms": -800.0, "av_offset_abs_p95_ms": 1500.0}
    found = verdicts(disturbed(soak(), 10, **taken, av_offsets_ms=[-800.0] * 120))
    missed = {key for key, one in found.items() if one.verdict == "missed"}
    assert missed == {"fps", "av_offset_abs_p95_ms"}, "the call was as it was"
    assert found["undisturbed"].value == pytest.approx(0.8, abs=0.02)
    assert found["undisturbed_fps"].verdict == "met"
    assert found["undisturbed_av_offset_abs_p95_ms"].verdict == "met"
    assert found["av_offset_ms_slope"].verdict == "undecided"
    assert found["undisturbed_av_offset_ms_slope"].verdict == "met"


def test_a_fault_of_the_product_is_none_of_the_hosts() -> None:
    found = verdicts(disturbed(soak(drift_ms=40.0), 10))
    assert found["undisturbed_av_offset_ms_slope"].verdict == "missed"
    found = verdicts(disturbed(received(soak(), fps=20.0), 10))
    assert found["undisturbed_fps"].verdict == "missed"


def test_where_the_host_took_nothing_or_all_there_is_nothing_to_tell_apart() -> None:
    assert not [key for key in verdicts(soak()) if key.startswith("undisturbed")]
    assert verdicts(disturbed(soak(), 1))["undisturbed_fps"].verdict == "undecided"
