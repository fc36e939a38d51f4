"""Portrait files: atomic, typed by content, seeded once."""

import time
from pathlib import Path

import pytest

from gateway.avatars import Avatars
from gateway.defaults import crop_defaults, default_avatars, seed
from gateway.deps import Services
from gateway.portraits import PortraitFiles, media_type
from tests.unit.gateway.conftest import CROP, FakeChecker

pytestmark = pytest.mark.unit


@pytest.fixture
def files(tmp_path: Path) -> PortraitFiles:
    return PortraitFiles(tmp_path / "portraits")


@pytest.fixture
def avatars(services: Services) -> Avatars:
    """After the start, when every default portrait has its crop."""
    deadline = time.monotonic() + 5
    while not services.avatars.portraits.crop(default_avatars()[-1].id).exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return services.avatars


def test_the_crop_goes_before_the_original(files: PortraitFiles):
    assert files.best("ada") is None
    files.save(files.original("ada"), b"original")
    assert files.best("ada") == files.original("ada")
    files.save(files.crop("ada"), b"crop")
    assert files.best("ada") == files.crop("ada")


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    files: PortraitFiles, monkeypatch: pytest.MonkeyPatch
):
    target = files.crop("ada")
    files.save(target, b"old")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("gateway.portraits.os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        files.save(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in target.parent.iterdir()] == ["ada.png"]


def test_removing_twice_is_fine(files: PortraitFiles):
    files.save(files.crop("ada"), b"crop")
    files.remove("ada")
    files.remove("ada")
    assert files.best("ada") is None


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF....WEBP", "image/webp"),
        (b"<html>", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_the_type_is_that_of_the_content(tmp_path: Path, head: bytes, kind: str):
    (tmp_path / "file").write_bytes(head)
    assert media_type(tmp_path / "file") == kind


def test_a_default_picture_that_changed_loses_its_old_crop(avatars: Avatars):
    original, crop = avatars.portraits.original("mara"), avatars.portraits.crop("mara")
    crop.write_bytes(b"old crop")
    seed(avatars)
    assert crop.read_bytes() == b"old crop"
    original.write_bytes(b"of an older version")
    seed(avatars)
    assert not crop.exists()
    assert original.read_bytes().startswith(b"\xff\xd8\xff")


async def test_crops_are_asked_for_until_the_actor_answers(
    avatars: Avatars, checker: FakeChecker, monkeypatch: pytest.MonkeyPatch
):
    for default in default_avatars():
        avatars.portraits.crop(default.id).unlink(missing_ok=True)
    checker.silent = True
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        checker.silent = False

    monkeypatch.setattr("gateway.defaults.asyncio.sleep", sleep)
    await crop_defaults(avatars)
    assert len(waits) == 1
    for default in default_avatars():
        assert avatars.portraits.crop(default.id).read_bytes() == CROP


async def test_a_default_picture_that_is_refused_stays_as_it_is(
    avatars: Avatars, checker: FakeChecker
):
    crop = avatars.portraits.crop("mara")
    crop.unlink(missing_ok=True)
    checker.code = "blurred"
    await crop_defaults(avatars)
    assert not crop.exists()
    assert avatars.portraits.best("mara") == avatars.portraits.original("mara")


async def test_crops_that_exist_are_not_asked_for_again(avatars: Avatars, checker: FakeChecker):
    await crop_defaults(avatars)
    checker.images.clear()
    await crop_defaults(avatars)
    assert checker.images == []


async def test_a_default_picture_that_is_gone_does_not_stop_the_others(avatars: Avatars):
    first, *others = (default.id for default in default_avatars())
    for each in (first, *others):
        avatars.portraits.crop(each).unlink(missing_ok=True)
    avatars.portraits.original(first).unlink()
    await crop_defaults(avatars)
    assert not avatars.portraits.crop(first).exists()
    assert all(avatars.portraits.crop(each).exists() for each in others)
