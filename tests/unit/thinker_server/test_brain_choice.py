"""Which brain `auto` takes, and how it tells."""

from pathlib import Path

import pytest
import torch
from torch import nn

from thinker_server.brain import choice
from thinker_server.brain.benchmark import expected_speed
from thinker_server.brain.brain import BrainLabel
from thinker_server.brain.choice import CANDIDATES, choose_brain
from thinker_server.brain.openai_brain import OpenAIBrain
from thinker_server.config import ThinkerConfig
from thinker_server.errors import AssetMissing, BrainUnavailable

pytestmark = pytest.mark.unit


class NamedBrain:
    """Stands for a loaded model."""

    def __init__(self, name: str, label: BrainLabel) -> None:
        self.name = name
        self.label = label
        self.closed = False
        self.model = nn.Linear(32, 16, bias=False, dtype=torch.bfloat16)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Speeds of this imaginary machine by model name; the hub is reachable, nothing is cached."""
    speeds = {"SmolLM2-135M-Instruct": 100.0}

    def load(source: str, label: BrainLabel, gives_states: bool, fetch: bool) -> NamedBrain:
        if source not in speeds:
            raise BrainUnavailable(f"no {source}")
        return NamedBrain(source, label)

    monkeypatch.setattr(choice, "load_brain", load)
    monkeypatch.setattr(
        choice,
        "_smollm2",
        lambda config, why: NamedBrain("SmolLM2-135M-Instruct", BrainLabel("SmolLM2", why)),
    )
    monkeypatch.setattr(choice, "measured_speed", lambda brain, name, config: speeds[brain.name])
    monkeypatch.setattr(choice, "hub_reachable", lambda: True)
    monkeypatch.setattr(choice, "_cached", lambda model_id: False)
    return speeds


def test_auto_takes_the_best_that_is_quick_enough(machine: dict[str, float]) -> None:
    machine.update({c.model_id: 50.0 for c in CANDIDATES})
    assert choose_brain(ThinkerConfig()).label.name == CANDIDATES[0].model_id


def test_auto_goes_on_when_a_candidate_is_measured_too_slow(machine: dict[str, float]) -> None:
    machine.update({CANDIDATES[0].model_id: 3.0, CANDIDATES[1].model_id: 30.0})
    label = choose_brain(ThinkerConfig()).label
    assert label.name == CANDIDATES[1].model_id
    assert "30 tokens/s" in label.why


def test_auto_fetches_nothing_that_cannot_be_quick_enough(machine: dict[str, float]) -> None:
    machine["SmolLM2-135M-Instruct"] = 15.0
    label = choose_brain(ThinkerConfig()).label
    assert label.why.startswith("auto: it always works")
    assert "Qwen2.5-1.5B-Instruct: too slow here" in label.why


def test_the_gain_of_four_bits_is_not_expected_of_candidates_that_have_sixteen(
    machine: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    qwen = CANDIDATES[1]
    machine.update({"SmolLM2-135M-Instruct": 36.0, qwen.model_id: 30.0})
    assert choose_brain(ThinkerConfig()).label.name == qwen.model_id
    monkeypatch.setattr(choice, "reads_four_bits", lambda model: True)
    assert (
        f"{qwen.model_id.split('/')[-1]}: too slow here" in choose_brain(ThinkerConfig()).label.why
    )


def test_auto_says_when_hugging_face_is_out_of_reach(
    machine: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "hub_reachable", lambda: False)
    assert "Hugging Face is not reachable" in choose_brain(ThinkerConfig()).label.why


def test_a_configured_model_that_is_nowhere_is_refused(
    machine: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "hub_reachable", lambda: False)
    with pytest.raises(BrainUnavailable, match='set brain = "auto"'):
        choose_brain(ThinkerConfig(brain="somebody/something"))


def test_openai_needs_a_model_name() -> None:
    with pytest.raises(BrainUnavailable, match="openai_model"):
        choose_brain(ThinkerConfig(brain="openai"))
    brain = choose_brain(ThinkerConfig(brain="openai", openai_model="m"))
    assert isinstance(brain, OpenAIBrain)


def test_a_missing_model_file_names_the_command_that_fetches_it(tmp_path: Path) -> None:
    config = ThinkerConfig(brain="smollm2-135m", assets=tmp_path / "a", cache=tmp_path / "c")
    with pytest.raises(AssetMissing, match="xstreamer assets fetch"):
        choose_brain(config)


def test_larger_models_are_expected_to_be_slower() -> None:
    assert expected_speed(28.0, 135, 135) == pytest.approx(28.0)
    assert expected_speed(28.0, 135, 494) == pytest.approx(14.5, abs=0.5)
