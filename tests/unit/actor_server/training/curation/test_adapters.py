"""Released models are fed as they were trained: stand-ins show what they were given."""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from actor_server.training.curation import mfcc as cepstra
from actor_server.training.curation.clip import Clip
from actor_server.training.curation.faces import Landmarker
from actor_server.training.curation.judges import JudgeTable, ModelsUnusable
from actor_server.training.curation.koniq import MEAN, SPREAD, KonIQ
from actor_server.training.curation.steps import STEPS
from actor_server.training.curation.syncnet import SyncNet, confidence
from actor_server.training.curation.yolox import Yolox
from tests.unit.actor_server.conftest import default_picture
from tests.unit.actor_server.training.curation.footage import SOUND_HZ, write_frames

pytestmark = pytest.mark.unit

FREE = "N"
PERSON, CHAIR = 5, 61


def write_onnx(
    path: Path, shape: list[int | str], nodes: list[onnx.NodeProto], **numbers: np.ndarray
) -> str:
    """A graph from `images` to `out`, whose constants are `numbers`."""
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return str(path)


def axes(*places: int) -> np.ndarray:
    return np.array(places, np.int64)


@pytest.fixture
def yolox(tmp_path: Path) -> Yolox:
    """People where the picture is blue: two, one found twice; a chair; two doubtful ones."""
    found = np.zeros((1, 84, 85), np.float32)
    found[..., 4] = 1
    for cell, kind, score, size in (
        (9, PERSON, 0.9, 30),  # stride 8: column 1, row 1
        (10, PERSON, 0.8, 30),  # beside it: the same one
        (54, PERSON, 0.9, 20),  # column 6, row 6
        (64 + 1, CHAIR, 0.9, 20),
        (30, PERSON, 0.3, 20),
        (7, PERSON, 0.9, 2),  # of four pixels
    ):
        found[0, cell, kind] = score
        found[0, cell, 2:4] = np.log(size / (8 if cell < 64 else 16))
    model = write_onnx(
        tmp_path / "yolox.onnx",
        [1, 3, 64, 64],
        [
            helper.make_node("ReduceMean", ["images", "space"], ["means"], keepdims=1),
            helper.make_node("Slice", ["means", "zero", "one", "channel"], ["first"]),
            helper.make_node("Squeeze", ["first", "last"], ["row"]),
            helper.make_node("Mul", ["row", "scale"], ["sure"]),
            helper.make_node("Concat", ["four", "sure", "eighty"], ["factors"], axis=2),
            helper.make_node("Mul", ["found", "factors"], ["out"]),
        ],
        space=axes(2, 3),
        zero=axes(0),
        one=axes(1),
        channel=axes(1),
        last=axes(3),
        scale=np.array(1 / 255, np.float32),
        four=np.ones((1, 1, 4), np.float32),
        eighty=np.ones((1, 1, 80), np.float32),
        found=found,
    )
    return Yolox(model, size=64)


def test_yolox_counts_people_and_is_given_blue_first(yolox: Yolox) -> None:
    blue = np.zeros((128, 128, 3), np.uint8)
    blue[..., 2] = 255
    assert yolox.count(blue) == 2
    assert yolox.count(np.ascontiguousarray(blue[..., ::-1])) == 0


def test_koniq_is_given_a_small_picture_in_units_of_imagenet(tmp_path: Path) -> None:
    model = write_onnx(
        tmp_path / "koniq.onnx",
        [1, 3, 384, 512],
        [
            helper.make_node("ReduceMean", ["images", "space"], ["means"], keepdims=0),
            helper.make_node("Mul", ["means", "weights"], ["weighted"]),
            helper.make_node("ReduceSum", ["weighted", "channels"], ["out"], keepdims=1),
        ],
        space=axes(2, 3),
        channels=axes(1),
        weights=np.array([[1, 10, 100]], np.float32),
    )
    picture = np.full((300, 200, 3), (250, 100, 20), np.uint8)
    normal = (np.array([250, 100, 20]) / 255 - MEAN) / SPREAD
    assert KonIQ(model).score(picture) == pytest.approx(normal @ [1, 10, 100], rel=1e-3)


def test_cepstra_are_those_of_the_package_that_syncnet_was_trained_with() -> None:
    """Recorded from python_speech_features 0.6; first, eighth and last of 19 times."""
    at_s = np.arange(3210) / SOUND_HZ
    found = cepstra.mfcc((0.4 * np.sin(2 * np.pi * (300 + 2000 * at_s) * at_s)).astype(np.float32))
    assert found.shape == (13, 19)
    recorded = np.array(
        [
            [19.6277, 20.7533, 21.5872],
            [26.512, 20.6847, 15.6787],
            [13.4458, -4.1311, -22.4912],
            [0.0448, -25.0728, -31.0938],
            [-13.2815, -31.8163, -4.2684],
            [-23.9384, -20.811, 25.0077],
            [-28.0458, 1.5432, 23.6325],
            [-26.629, 19.4544, -5.3393],
            [-19.3831, 23.6147, -25.3969],
            [-9.63, 12.7781, -15.867],
            [1.0678, -3.1022, 8.6394],
            [8.4135, -14.898, 17.6125],
            [11.8298, -16.3611, 5.1202],
        ]
    )
    assert np.abs(found[:, [0, 7, 18]] - recorded).max() < 1e-3
    assert np.isfinite(cepstra.mfcc(np.zeros(SOUND_HZ, np.float32))).all()


def test_confidence_is_computed_as_in_the_released_code() -> None:
    dice = torch.Generator().manual_seed(0)
    lips = torch.randn(40, 16, generator=dice)
    voice = torch.roll(lips, 3, 0) + 0.3 * torch.randn(40, 16, generator=dice)
    padded = torch.nn.functional.pad(voice, (0, 0, 15, 15))
    distances = torch.stack(
        [
            torch.nn.functional.pairwise_distance(lips[[place]].repeat(31, 1), padded[place:][:31])
            for place in range(40)
        ],
        1,
    ).mean(1)
    theirs = float(torch.median(distances) - distances.min())
    assert confidence(lips.numpy(), voice.numpy()) == pytest.approx(theirs, rel=1e-4)
    unlike = torch.randn(40, 16, generator=dice)
    assert confidence(lips.numpy(), unlike.numpy()) < 0.3 * theirs


def test_syncnet_is_given_faces_and_the_sound_of_the_same_moment(
    assets_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(name: str, shape: list[int | str]) -> str:
        node = helper.make_node("ReduceMean", ["images", "all"], ["out"], keepdims=0)
        return write_onnx(tmp_path / name, shape, [node], all=axes(*range(1, len(shape))))

    given: dict[str, list[np.ndarray]] = {"_lips": [], "_sound": []}

    def shows(name: str) -> Callable[[np.ndarray], np.ndarray]:
        def show(array: np.ndarray) -> np.ndarray:
            given[name].append(array)
            return np.zeros((len(array), 8), np.float32)

        return show

    face = cv2.imdecode(np.frombuffer(default_picture("daniel"), np.uint8), cv2.IMREAD_COLOR_RGB)
    face = cv2.resize(face, (256, 256), interpolation=cv2.INTER_AREA)
    frames = [(face * (0.5 + 0.01 * number)).astype(np.uint8) for number in range(30)]
    sound = np.random.default_rng(0).normal(0, 0.1, 30 * SOUND_HZ // 25)
    write_frames(tmp_path / "a.mkv", frames, sound)
    judge = SyncNet(
        half("lips.onnx", [FREE, 3, 5, 224, 224]),
        half("sound.onnx", [FREE, 1, 13, 20]),
        str(assets_dir / "face_landmarker.task"),
    )
    for name in given:
        monkeypatch.setattr(judge, name, shows(name))
    clip = Clip("a", str(tmp_path / "a.mkv"), 0, 30)
    judge.score(clip)
    lips, voice = (np.concatenate(arrays) for arrays in given.values())
    assert lips.shape == (25, 3, 5, 224, 224)
    assert voice.shape == (25, 1, 13, 20)
    heard = cepstra.mfcc(clip.original_sound())
    assert all(np.array_equal(voice[k, 0], heard[:, 4 * k : 4 * k + 20]) for k in range(25))
    light = lips[:, :, :, 80:144, 80:144].mean((1, 3, 4))  # (windows, pictures)
    assert np.abs(light[1:, :4] - light[:-1, 1:]).max() < 1e-3
    assert (light[:, 4] - light[:, 0] > 1).all()
    blue, _, red = lips[0, :, 0, 80:144, 80:144].mean((1, 2))
    assert red > blue + 5  # skin


def test_the_landmarker_finds_the_face(assets_dir: Path) -> None:
    face = cv2.imdecode(np.frombuffer(default_picture("daniel"), np.uint8), cv2.IMREAD_COLOR_RGB)
    ((left, top, width, height),) = Landmarker(str(assets_dir / "face_landmarker.task")).faces(face)
    assert 0 < left < left + width < face.shape[1]
    assert 0 < top < top + height < face.shape[0]
    assert 0.6 < width / height < 1.0
    assert 0.3 < height / face.shape[0] < 0.7


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_without_its_models_says_what_is_missing(step: str) -> None:
    name, judge = step.name, step.judge  # type: ignore[attr-defined]
    missing = {
        "lip_sync": {"lips": "no.onnx", "sound": "no.onnx", "task": "no.task"},
        "people": {"model": "no.onnx"},
        "faces": {"task": "no.task"},
        "quality": {"model": "no.onnx"},
        "text": {"models": "no"},
        "sound": {"repo": "no"},
        "transcript": {"model": "no"},
    }
    if name in missing:
        with pytest.raises(ModelsUnusable, match=rf"\[{name}\] .* cannot be made with .*no"):
            JudgeTable(judge, missing[name]).make(name)
        with pytest.raises(ModelsUnusable, match=r"with no arguments: .*missing .* required"):
            JudgeTable(judge, {}).make(name)


@pytest.mark.parametrize(
    ("name", "arguments", "package"),
    [("text", {"models": "."}, "easyocr"), ("sound", {"repo": "."}, "demucs")],
)
def test_a_package_that_is_not_here_is_named(
    name: str, arguments: dict[str, str], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (package, f"{package}.apply"):
        monkeypatch.setitem(sys.modules, module, None)
    judge = next(step.judge for step in STEPS if step.name == name)
    with pytest.raises(ModelsUnusable, match=rf"not installed: `uv pip install .*{package}=="):
        JudgeTable(judge, arguments).make(name)


def test_an_onnx_file_of_another_model_is_refused(yolox: Yolox, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"yolox\.onnx takes 1 inputs, the first of shape \[1, 3, 64"
    ):
        KonIQ(str(tmp_path / "yolox.onnx"))
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.onnx is no ONNX model"):
        KonIQ(str(tmp_path / "text.onnx"))
