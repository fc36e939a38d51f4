"""The paper's thresholds, and bounds in words."""

import math

import pytest

from actor_server.training.curation.criteria import PRESETS, Bound, CriteriaUnusable

pytestmark = pytest.mark.unit


def test_the_presets_have_the_papers_thresholds() -> None:
    pretrain, finetune = PRESETS["pretrain"], PRESETS["finetune"]
    assert (str(pretrain.lip_sync), str(finetune.lip_sync)) == ("> 3.5", ">= 5")
    assert str(finetune.quality) == ">= 70"
    for criteria in (pretrain, finetune):
        assert (str(criteria.people), str(criteria.text)) == ("= 1", "= 0")
        assert criteria.languages == ("en", "zh")


@pytest.mark.parametrize(
    ("bound", "values"),
    [
        ("> 3.5", {3.5: False, 3.51: True, 3.49: False, math.nan: False}),
        (">= 5", {5.0: True, 4.99: False, 6.0: True, math.nan: False}),
        ("= 1", {1: True, 0: False, 2: False}),
        (">=-1.5", {-1.5: True, -2: False}),
    ],
)
def test_a_bound_holds(bound: str, values: dict[float, bool]) -> None:
    parsed = Bound.parse(bound)
    assert {value: parsed.holds(value) for value in values} == values


def test_criteria_can_be_changed_one_by_one() -> None:
    changed = PRESETS["finetune"].changed({"quality": "> 60", "languages": ["en"], "shortest_s": 2})
    assert (str(changed.quality), changed.languages, changed.shortest_s) == ("> 60", ("en",), 2)
    assert changed.lip_sync == PRESETS["finetune"].lip_sync


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"beauty": "> 1"}, "no criterion beauty; there are shortest_s"),
        ({"quality": "at least 70"}, "'at least 70' is no bound: write > 3.5"),
        ({"quality": 70}, "quality = 70, must be text like"),
        ({"shortest_s": "long"}, "shortest_s = 'long', must be a number of seconds"),
        ({"languages": "en"}, "languages = 'en', must be a list"),
        ({"shortest_s": 90}, "clips of 90 to 60 s"),
    ],
)
def test_a_criterion_nobody_understands_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(CriteriaUnusable, match=words):
        PRESETS["finetune"].changed(given)
