"""`xstreamer weights`: large public weights, fetched, checked and converted when asked for."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import Progress

from services.assets.hub import HubError
from services.assets.manifest import Asset
from services.assets.store import DEFAULT_HUGGING_FACE, AssetError
from services.assets.weights import Repository, WeightsError, WeightStore, repositories
from services.display import AssetBars
from services.settings import Settings, SettingsError

weights_app = typer.Typer(no_args_is_help=True, help="Large public weights of a preset.")

out = Console()
errors = Console(stderr=True)

Preset = Annotated[str, typer.Option(help="Whose weights.")]
Update = Annotated[bool, typer.Option("--update", help="Take the hub's newest state.")]
Thorough = Annotated[bool, typer.Option("--thorough", help="Hash every file again.")]

DEFAULT_PRESET = "glm4voice"
LANGUAGE_MODEL = "glm-4-voice-9b"
GO_ON = "run the same command again: it goes on where it stopped"


@weights_app.command("pull")
def pull(preset: Preset = DEFAULT_PRESET, update: Update = False) -> None:
    """Bring what is missing; what an interrupted pull has brought is kept."""
    with _explained():
        store = _store(_settings())
        wanted: list[Asset] = []
        for repository in repositories(preset):
            listing = store.ask(repository, update=update)
            assets = repository.assets(listing)
            size = sum(asset.size for asset in assets) / 1e9
            _say(f"{repository.repo} at commit {listing.commit[:8]}: {size:.1f} GB")
            _say(f"    licence: {listing.licence}; https://huggingface.co/{repository.repo}")
            wanted += assets
        with AssetBars(out) as bars:
            fetched = store.fetch(tuple(wanted), bars.report)
        _say(f"{len(fetched)} files fetched; the weights of {preset} are complete in {store.root}")


@weights_app.command("check")
def check(preset: Preset = DEFAULT_PRESET, thorough: Thorough = False) -> None:
    """Compare the files with what the hub listed, and with what this program computes."""
    with _explained():
        store = _store(_settings())
        problems = [
            problem
            for repository in repositories(preset)
            for problem in (
                *_listed_problems(store, repository, thorough=thorough),
                *_content_problems(store.root / repository.folder),
            )
        ]
    if problems:
        _fail("\n".join(problems))
    _say(f"the weights of {preset} are complete in {store.root}")


@weights_app.command("convert")
def convert() -> None:
    """Make of the hub's language model the one that the Thinker loads, if it is not there."""
    from thinker_server.errors import WeightsUnusable
    from thinker_server.glm4voice.convert import convert_language_model

    with _explained(WeightsUnusable):
        settings = _settings()
        source = settings.cache_paths.assets / LANGUAGE_MODEL
        target = settings.cache / "converted" / LANGUAGE_MODEL
        if target.exists():
            _say(f"{target} is there already; delete it to convert again")
            return
        _require_room(source, target.parent)
        with Progress(console=out) as progress:
            task = progress.add_task("tensors", total=None)
            convert_language_model(
                source,
                target,
                on_progress=lambda n, total: progress.update(task, completed=n, total=total),
            )
        _say(f"converted into {target}")


def _require_room(source: Path, folder: Path) -> None:
    """The converted model is as large as the one it is made from. Raises WeightsError."""
    folder.mkdir(parents=True, exist_ok=True)
    needed = sum(file.stat().st_size for file in source.glob("*.safetensors"))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise WeightsError(
            f"the converted model takes {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free in "
            f"{folder}: make room, or name another directory with `cache` in xstreamer.toml"
        )


def _listed_problems(
    store: WeightStore, repository: Repository, *, thorough: bool
) -> Iterator[str]:
    """Files that are not what the hub said."""
    listing = store.listing(repository)
    if listing is None:
        yield (
            f"{repository.repo} was never pulled, so that its files cannot be compared with the "
            "hub's hashes: run `xstreamer weights pull`"
        )
        return
    assets = repository.assets(listing)
    missing = store.missing(assets, thorough=thorough)
    for asset in assets:
        if asset not in missing:
            _say(f"ok  {asset.size / 1e6:>9.1f} MB  {asset.name}  ({asset.licence})")
            continue
        there = (store.root / asset.name).is_file()
        state = "is not what the hub listed" if there else "is missing"
        yield f"{asset.name} {state}: run `xstreamer weights pull`"


def _content_problems(folder: Path) -> Iterator[str]:
    """What keeps this program from computing with the files of a repository."""
    if not folder.is_dir():
        return
    from actor_server.errors import LtxWeightsUnusable, SpeechWeightsUnusable
    from thinker_server.errors import WeightsUnusable

    try:
        _CONTENT_CHECKS[folder.name](folder)
    except (LtxWeightsUnusable, SpeechWeightsUnusable, WeightsUnusable) as error:
        yield str(error)
    else:
        _say(f"ok  names and shapes of {folder.name}")


def _check_language_model(folder: Path) -> None:
    from thinker_server.glm4voice.checkpoint import Checkpoint, read_json
    from thinker_server.glm4voice.geometry import GlmGeometry
    from thinker_server.glm4voice.hub_layout import IGNORED, hub_shapes

    geometry = GlmGeometry.from_hub(read_json(folder / "config.json"))
    Checkpoint(folder).verify(hub_shapes(geometry), IGNORED)


def _check_speech_tokenizer(folder: Path) -> None:
    from thinker_server.glm4voice.checkpoint import Checkpoint, read_json
    from thinker_server.glm4voice.speech.geometry import SpeechGeometry
    from thinker_server.glm4voice.speech.weights import UNUSED, manifest

    geometry = SpeechGeometry.from_hub(read_json(folder / "config.json"))
    Checkpoint(folder).verify(manifest(geometry), UNUSED)


def _check_speech_decoder(folder: Path) -> None:
    from actor_server.speech.checkpoint import load_speech_models

    load_speech_models(folder)


def _check_autoencoder(folder: Path) -> None:
    from actor_server.codec.ltx.checkpoint import load_autoencoder

    load_autoencoder(folder / "vae")


_CONTENT_CHECKS: dict[str, Callable[[Path], None]] = {
    LANGUAGE_MODEL: _check_language_model,
    "glm-4-voice-tokenizer": _check_speech_tokenizer,
    "glm-4-voice-decoder": _check_speech_decoder,
    "LTX-Video-0.9.5": _check_autoencoder,
}


def _settings() -> Settings:
    return Settings.load(os.environ)


def _store(settings: Settings) -> WeightStore:
    hub = os.environ.get("HF_ENDPOINT", DEFAULT_HUGGING_FACE)
    return WeightStore(settings.cache_paths.assets, hub)


@contextmanager
def _explained(also: type[Exception] = WeightsError) -> Iterator[None]:
    """Errors for people become their text and exit status 1."""
    try:
        yield
    except AssetError as error:
        _fail(f"{error}\n{GO_ON}")
    except (SettingsError, HubError, WeightsError, also) as error:
        _fail(str(error))


def _say(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _fail(text: str) -> NoReturn:
    errors.print(text, markup=False, highlight=False, style="red", soft_wrap=True)
    raise typer.Exit(1)
