"""The decoder's files: the released names and shapes, and what is said when something is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from actor_server.errors import SpeechWeightsUnusable
from actor_server.speech.checkpoint import load_speech_models, stored_shapes
from actor_server.speech.flow import FlowDecoder
from actor_server.speech.geometry import FlowGeometry, SpeechGeometry, VocoderGeometry
from actor_server.speech.tiny import write_tiny
from actor_server.speech.vocoder import Vocoder
from tests.unit.actor_server.speech.golden import facts, flow_geometry, vocoder_geometry

pytestmark = pytest.mark.unit

Tensors = dict[str, Tensor]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny(tmp_path)
    return tmp_path


def change(file: Path, edit: Callable[[Tensors], object]) -> None:
    tensors = torch.load(file)
    edit(tensors)
    torch.save(tensors, file)


@pytest.mark.parametrize("name", ["m3_flow_manifest", "m4_hift_manifest"])
def test_the_released_sizes_have_the_released_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        model = FlowDecoder(FlowGeometry()) if "flow" in name else Vocoder(VocoderGeometry())
    shapes = {key: list(shape) for key, shape in stored_shapes(model).items()}
    assert shapes == {key: entry["shape"] for key, entry in facts(name)["keys"].items()}


def test_the_defaults_are_the_recorded_released_sizes() -> None:
    assert flow_geometry(facts("m3_flow_manifest")["config"]) == FlowGeometry()
    assert vocoder_geometry(facts("m4_hift_manifest")["config"]) == VocoderGeometry()


def test_a_directory_without_sizes_holds_the_released_ones(folder: Path) -> None:
    (folder / "geometry.json").unlink()
    with pytest.raises(SpeechWeightsUnusable, match=r"must be \[256"):
        load_speech_models(folder)


def test_what_is_loaded_is_what_the_files_hold(folder: Path) -> None:
    flow, vocoder = load_speech_models(folder)
    stored = torch.load(folder / "flow.pt")
    for name, tensor in flow.state_dict().items():
        assert torch.equal(tensor, stored[name])
    stored = torch.load(folder / "hift.pt")
    direction, magnitude = (stored[f"conv_pre.weight_{part}"] for part in "vg")
    norm = direction.flatten(1).norm(dim=1)[:, None, None]
    torch.testing.assert_close(vocoder.conv_pre.weight, direction * magnitude / norm)
    assert not any(module.training for module in (*flow.modules(), *vocoder.modules()))


def test_half_precision_files_are_computed_in_single(folder: Path) -> None:
    change(folder / "flow.pt", lambda t: t.update({k: v.half() for k, v in t.items()}))
    flow, _ = load_speech_models(folder)
    assert {tensor.dtype for tensor in flow.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("file", ["flow.pt", "hift.pt"])
def test_a_missing_file_is_named_with_the_way_to_get_it(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(SpeechWeightsUnusable, match=rf"{file} is missing.*xstreamer weights pull"):
        load_speech_models(folder)


@pytest.mark.parametrize("kept", [0, 100, -1000])
def test_a_file_that_is_cut_short_is_recognised(folder: Path, kept: int) -> None:
    file = folder / "hift.pt"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(SpeechWeightsUnusable, match=r"hift\.pt is damaged or cut short"):
        load_speech_models(folder)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda t: t.pop("encoder_proj.bias"), r"missing: encoder_proj\.bias"),
        (lambda t: t.update(extra=torch.zeros(1)), "unknown: extra"),
        (
            lambda t: t.update({"encoder_proj.bias": torch.zeros(3)}),
            r"encoder_proj\.bias is \[3\], must be \[80\]",
        ),
        (lambda t: [t.pop(name) for name in list(t)[:9]], "and 6 more"),
        (lambda t: t.update(step=7), "no table of tensors"),
    ],
)
def test_a_file_of_something_else_says_what_is_wrong(
    folder: Path, edit: Callable[[Tensors], object], words: str
) -> None:
    change(folder / "flow.pt", edit)
    with pytest.raises(SpeechWeightsUnusable, match=words):
        load_speech_models(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"flow": {"width": 30}, "vocoder": {}}', "{}"])
def test_sizes_that_make_no_decoder_are_refused(folder: Path, text: str) -> None:
    (folder / "geometry.json").write_text(text)
    with pytest.raises(SpeechWeightsUnusable, match=r"geometry\.json names no decoder"):
        load_speech_models(folder)


def test_sizes_survive_their_file() -> None:
    geometry = SpeechGeometry(FlowGeometry(layers=3), VocoderGeometry(width=8))
    assert SpeechGeometry.from_dict(json.loads(json.dumps(geometry.to_dict()))) == geometry
