"""What was written is read again, also when the writing was cut off."""

import re
from pathlib import Path

import pytest

from services.soak.samples import CUT_OFF, End, Journal, SamplesUnusable, read
from tests.unit.services.soak.scene import ABOUT, soak

pytestmark = pytest.mark.unit


def written(path: Path, *, ended: bool = True) -> Path:
    journal = Journal(path)
    journal.write(ABOUT)
    for sample in soak(hours=0.1).samples:
        journal.write(sample)
    if ended:
        journal.write(End(reason="complete"))
    return path


def test_a_soak_is_read_as_it_was_written(tmp_path: Path) -> None:
    whole = read(written(tmp_path / "samples.jsonl"))
    assert whole.about == ABOUT
    assert list(whole.samples) == list(soak(hours=0.1).samples)
    assert whole.end == "complete"


def test_a_line_cut_in_half_costs_only_itself(tmp_path: Path) -> None:
    path = written(tmp_path / "samples.jsonl", ended=False)
    path.write_text(path.read_text()[:-40])
    whole = read(path)
    assert len(whole.samples) == len(soak(hours=0.1).samples) - 1
    assert whole.end == CUT_OFF


@pytest.mark.parametrize("text", ["", "{}\n", "no JSON\n", ABOUT.model_dump_json() + "\n"])
def test_what_is_no_soak_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(text)
    with pytest.raises(SamplesUnusable, match=r"samples\.jsonl"):
        read(path)


def test_a_line_in_the_middle_that_is_no_sample_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "samples.jsonl")
    lines = path.read_text().splitlines()
    lines[3] = "{}"
    path.write_text("\n".join(lines))
    with pytest.raises(SamplesUnusable, match="line 4"):
        read(path)


def test_samples_of_before_readings_were_kept_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "samples.jsonl")
    old = re.sub(r',"av_offsets_ms":\[[^]]*\]', "", path.read_text())
    assert old != path.read_text()
    path.write_text(old)
    assert {sample.reception.av_offsets_ms for sample in read(path).samples} == {None}
