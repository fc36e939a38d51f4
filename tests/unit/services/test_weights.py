"""Large weights come from the hub whole and right, go on after a break, and are checked."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from actor_server.speech.tiny import write_tiny
from services.assets.hub import HubError, list_repository
from services.assets.store import AssetError
from services.assets.weights import Repository, WeightsError, WeightStore, repositories
from services.cli import app
from tests.unit.services.hub_site import COMMIT, Hub, running_hub

pytestmark = pytest.mark.unit

DECODER = "THUDM/glm-4-voice-decoder"
LARGE = bytes(range(256)) * 3000


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def shelf() -> Repository:
    return Repository("p", "org/shelf", ("config.json", "*.bin"), ("config.json", "large.bin"))


def filled(hub: Hub) -> WeightStore:
    hub.repositories["org/shelf"] = {
        "config.json": b"{}",
        "large.bin": LARGE,
        "modeling.py": b"never fetched",
    }
    return WeightStore(Path(), hub.url)


def pull(store: WeightStore, repository: Repository, **options: bool) -> list[str]:
    assets = repository.assets(store.ask(repository, **options))
    return [asset.name for asset in store.fetch(assets, lambda *_: None)]


def test_named_files_come_with_the_hubs_hashes_and_code_never_does(
    hub: Hub, shelf: Repository, tmp_path: Path
) -> None:
    filled(hub)
    store = WeightStore(tmp_path, hub.url)
    assert pull(store, shelf) == ["shelf/config.json", "shelf/large.bin"]
    assert (tmp_path / "shelf/large.bin").read_bytes() == LARGE
    assert (tmp_path / "shelf/config.json").read_bytes() == b"{}"
    assert not (tmp_path / "shelf/modeling.py").exists()
    assert store.missing(shelf.assets(store.ask(shelf)), thorough=True) == []


def test_a_complete_repository_is_not_asked_for_again(
    hub: Hub, shelf: Repository, tmp_path: Path
) -> None:
    filled(hub)
    pull(WeightStore(tmp_path, hub.url), shelf)
    hub.asked.clear()
    assert pull(WeightStore(tmp_path, hub.url), shelf) == []
    assert hub.asked == []


def test_an_update_asks_for_the_newest_state(hub: Hub, shelf: Repository, tmp_path: Path) -> None:
    filled(hub)
    store = WeightStore(tmp_path, hub.url)
    pull(store, shelf)
    hub.repositories["org/shelf"]["large.bin"] = LARGE + b"more"
    assert pull(store, shelf) == []
    assert pull(store, shelf, update=True) == ["shelf/large.bin"]
    assert (tmp_path / "shelf/large.bin").read_bytes() == LARGE + b"more"


def test_a_broken_download_goes_on_where_it_stopped(
    hub: Hub, shelf: Repository, tmp_path: Path
) -> None:
    filled(hub)
    store = WeightStore(tmp_path, hub.url)
    hub.cut_after = 5000
    with pytest.raises(AssetError, match="5000 of 768000 bytes"):
        pull(store, shelf)
    hub.cut_after = None
    hub.asked.clear()
    assert pull(store, shelf) == ["shelf/large.bin"]
    assert hub.asked == [(f"/org/shelf/resolve/{COMMIT}/large.bin", "bytes=5000-")]
    assert (tmp_path / "shelf/large.bin").read_bytes() == LARGE


@pytest.mark.parametrize("name", ["large.bin", "config.json"])
def test_a_damaged_file_is_found_and_fetched_again(
    hub: Hub, shelf: Repository, tmp_path: Path, name: str
) -> None:
    filled(hub)
    store = WeightStore(tmp_path, hub.url)
    pull(store, shelf)
    file = tmp_path / "shelf" / name
    right = file.read_bytes()
    file.write_bytes(b"x" * len(right))
    assert pull(store, shelf) == [f"shelf/{name}"]
    assert file.read_bytes() == right


def test_content_that_is_not_what_the_hub_listed_is_refused(
    hub: Hub, shelf: Repository, tmp_path: Path
) -> None:
    filled(hub)
    store = WeightStore(tmp_path, hub.url)
    store.ask(shelf)
    hub.repositories["org/shelf"] |= {"config.json": b"[]", "large.bin": b"y" * len(LARGE)}
    with pytest.raises(AssetError, match="git blob id"):
        pull(store, shelf)
    hub.repositories["org/shelf"]["config.json"] = b"{}"
    with pytest.raises(AssetError, match="sha256"):
        pull(store, shelf)
    assert not (tmp_path / "shelf/large.bin").exists()


def test_too_little_room_is_told_before_anything_is_fetched(
    hub: Hub, shelf: Repository, tmp_path: Path
) -> None:
    filled(hub)
    store = WeightStore(tmp_path, hub.url)
    assets = shelf.assets(store.ask(shelf))
    with pytest.raises(WeightsError, match=r"0\.0 GB are free .* `cache`"):
        store.fetch(assets, lambda *_: None, free_bytes=lambda _: len(LARGE))
    assert not list(tmp_path.glob("shelf/*.bin"))


def test_what_is_here_already_needs_no_room(hub: Hub, shelf: Repository, tmp_path: Path) -> None:
    filled(hub)
    store = WeightStore(tmp_path, hub.url)
    hub.cut_after = 700_000
    with pytest.raises(AssetError):
        pull(store, shelf)
    hub.cut_after = None
    assets = shelf.assets(store.ask(shelf))
    fetched = store.fetch(assets, lambda *_: None, free_bytes=lambda _: len(LARGE) - 700_000)
    assert [asset.name for asset in fetched] == ["shelf/large.bin"]


def test_a_repository_without_what_is_needed_is_not_taken_for_the_right_one(
    hub: Hub, shelf: Repository, tmp_path: Path
) -> None:
    hub.repositories["org/shelf"] = {"config.json": b"{}", "other.bin": LARGE}
    with pytest.raises(WeightsError, match=r"holds no large\.bin"):
        WeightStore(tmp_path, hub.url).ask(shelf)
    assert not list(tmp_path.iterdir())


def test_a_hub_that_does_not_answer_or_know_is_told(hub: Hub) -> None:
    with pytest.raises(HubError, match="answered 404"):
        list_repository(hub.url, "org/nothing")
    with pytest.raises(HubError, match=r"cannot be reached .*HF_ENDPOINT"):
        list_repository("http://127.0.0.1:9", "org/shelf")
    hub.repositories["org/odd"] = {}
    hub.listing = lambda repo: {"name": repo}  # type: ignore[method-assign]
    with pytest.raises(HubError, match="did not answer as the hub does"):
        list_repository(hub.url, "org/odd")


def test_a_damaged_listing_says_what_to_do(hub: Hub, shelf: Repository, tmp_path: Path) -> None:
    filled(hub)
    store = WeightStore(tmp_path, hub.url)
    store.ask(shelf)
    (tmp_path / "shelf/.hub.json").write_text("{")
    with pytest.raises(WeightsError, match="delete it and pull again"):
        store.ask(shelf)


def test_the_preset_glm4voice_needs_its_three_repositories() -> None:
    names = {repository.repo for repository in repositories("glm4voice")}
    assert names == {f"THUDM/glm-4-voice-{part}" for part in ("9b", "tokenizer", "decoder")}
    with pytest.raises(WeightsError, match="'nano' needs no weights; those that do: glm4voice"):
        repositories("nano")


# --- the commands ---------------------------------------------------------------------------------


@pytest.fixture
def decoder_only(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub with a tiny decoder, and a machine on which the preset needs nothing else."""
    write_tiny(tmp_path / "tiny")
    files = {file.name: file.read_bytes() for file in (tmp_path / "tiny").iterdir()}
    hub.repositories[DECODER] = files
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("XSTREAMER_CACHE", str(tmp_path / "cache"))
    repository = Repository("glm4voice", DECODER, ("*.pt", "geometry.json"), ("flow.pt", "hift.pt"))
    monkeypatch.setattr("services.weights_command.repositories", lambda _: (repository,))
    return tmp_path / "cache" / "assets" / "glm-4-voice-decoder"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["weights", *arguments])


def test_weights_are_pulled_with_their_licence_and_then_checked(decoder_only: Path) -> None:
    pulled = run("pull")
    assert pulled.exit_code == 0, pulled.output
    assert (
        "licence: other, glm-4; https://huggingface.co/THUDM/glm-4-voice-decoder" in pulled.output
    )
    assert "3 files fetched" in pulled.output
    checked = run("check", "--thorough")
    assert checked.exit_code == 0, checked.output
    assert "names and shapes of glm-4-voice-decoder" in checked.output


def test_a_check_names_what_is_missing_and_what_is_wrong(decoder_only: Path) -> None:
    never = run("check")
    assert never.exit_code == 1
    assert "was never pulled" in never.output
    run("pull")
    (decoder_only / "hift.pt").unlink()
    checked = run("check")
    assert checked.exit_code == 1
    assert "glm-4-voice-decoder/hift.pt is missing: run `xstreamer weights pull`" in checked.output


def test_files_that_were_copied_by_hand_are_checked_by_name_and_shape(decoder_only: Path) -> None:
    write_tiny(decoder_only)
    tensors = torch.load(decoder_only / "flow.pt")
    tensors.pop("encoder_proj.bias")
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    (decoder_only / "flow.pt").write_bytes(buffer.getvalue())
    checked = run("check")
    assert checked.exit_code == 1
    assert "missing: encoder_proj.bias" in checked.output


def test_a_pull_that_breaks_says_that_it_can_go_on(hub: Hub, decoder_only: Path) -> None:
    hub.cut_after = 2000
    pulled = run("pull")
    assert pulled.exit_code == 1
    assert "goes on where it stopped" in pulled.output
    hub.cut_after = None
    assert run("pull").exit_code == 0
    assert json.loads((decoder_only / "geometry.json").read_text())


def test_converting_what_was_never_pulled_says_what_is_missing(decoder_only: Path) -> None:
    del decoder_only
    converted = run("convert")
    assert converted.exit_code == 1
    assert "config.json is missing" in converted.output
