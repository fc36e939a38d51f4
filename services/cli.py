"""`xstreamer`: start the machine, look at it, repair it."""

import asyncio
import json
import logging
import os
import sys
from typing import Annotated, NoReturn

import psutil
import typer
from rich.console import Console
from rich.table import Table

from actor_server.config import MotionKind
from services.display import AssetBars, start_display
from services.keys_command import keys_app
from services.settings import Settings, SettingsError
from services.weights_command import weights_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A live video call with a digital human made from one portrait.",
)
assets_app = typer.Typer(no_args_is_help=True, help="Model files of the manifest.")
app.add_typer(assets_app, name="assets")
app.add_typer(weights_app, name="weights")
app.add_typer(keys_app, name="keys")

out = Console()
errors = Console(stderr=True)

Thorough = Annotated[bool, typer.Option("--thorough", help="Hash every file again.")]
All = Annotated[bool, typer.Option("--all", help="Also what only tests and benchmarks need.")]


@app.command()
def up(
    preset: Annotated[str, typer.Option(help="Size of the models.")] = "",
    tls: Annotated[bool, typer.Option("--tls", help="Serve HTTPS to the local network.")] = False,
    only: Annotated[str, typer.Option(help="These processes: agent,thinker,actor.")] = "",
    motion: Annotated[
        MotionKind | None, typer.Option(help="What moves the face; teacher: rules, no network.")
    ] = None,
) -> None:
    """Start everything, print the URL, stop everything on Ctrl-C."""
    from services.supervisor import directories
    from services.supervisor.certificates import CertificateError
    from services.supervisor.ports import PortError
    from services.supervisor.presets import prepare
    from services.supervisor.run import describe_machine, until_signalled
    from services.supervisor.supervisor import StartError, Supervisor

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", force=True)
    named = {"preset": preset, "only": only}
    chosen: dict[str, object] = {key: value for key, value in named.items() if value}
    if motion is not None:
        chosen["actor"] = {"motion": motion}
    settings = _settings(**chosen, **_open_to_network(tls=tls))
    try:
        with directories.opened(settings.data, os.environ) as places:
            machine = describe_machine(settings, places, tls=tls)
            with start_display(out) as display:
                prepare(settings, display.report)
                supervisor = Supervisor(machine, display.report)
                asyncio.run(until_signalled(supervisor, lambda: display.ready(machine)))
    except (
        SettingsError,
        CertificateError,
        PortError,
        StartError,
        directories.AlreadyRunning,
    ) as error:
        _fail(str(error))


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """What runs, and how much memory it takes (PSS, with everything below each process)."""
    from services.supervisor.directories import read_state
    from services.supervisor.process_tree import memory_use

    settings = _settings()
    state = read_state(settings.data)
    if not state or not psutil.pid_exists(state["pid"]):
        _fail(f"nothing runs on {settings.data}; start it with `make run` or `xstreamer up`")
    uses = [memory_use("supervisor", state["pid"], alone=True)]
    if pid := state["fork_server_pid"]:
        uses.append(memory_use("fork server", pid, alone=True))
    uses += [memory_use(name, p["pid"]) for name, p in state["processes"].items() if p["pid"]]
    total = sum(use.pss_bytes for use in uses)
    if as_json:
        sizes = {use.name: use.pss_bytes for use in uses}
        out.print_json(json.dumps({**state, "pss_bytes": sizes, "pss_bytes_total": total}))
        return
    table = Table("process", "pid", "state", "restarts", "processes", "PSS", title=state["url"])
    for use in uses:
        process = state["processes"].get(use.name, {"ready": state["ready"], "restarts": 0})
        ready = "ready" if process["ready"] else "starting"
        cells = (use.name, use.pid, ready, process["restarts"], use.processes, _mb(use.pss_bytes))
        table.add_row(*map(str, cells))
    table.add_row("together", "", "", "", str(sum(u.processes for u in uses)), _mb(total))
    out.print(table)


@app.command()
def verify(
    statement: Annotated[str, typer.Argument(help="The avatar's attribute xs.provenance.")],
    room: Annotated[str, typer.Option(help="The room in which it was seen.")],
    identity: Annotated[str, typer.Option(help="The participant that carries it.")],
    track: Annotated[list[str], typer.Option(help="The id of a track that it sends.")],
    url: Annotated[str, typer.Option(help="The gateway.")] = "http://127.0.0.1:8080",
) -> None:
    """Verify an avatar's statement that its stream is synthetic, and who signed it."""
    import httpx

    from services.provenance import ProvenanceRefused
    from services.provenance import verify as verified

    try:
        jwks = httpx.get(f"{url.rstrip('/')}/.well-known/jwks.json").raise_for_status().json()
        stated = verified(statement, jwks, room, identity, track)
    except httpx.HTTPError as error:
        _fail(f"{url} does not give its keys: {error}")
    except ProvenanceRefused as error:
        _fail(f"refused: {error}")
    out.print_json(stated.model_dump_json())


@app.command()
def doctor() -> None:
    """Name each missing piece and the command that repairs it."""
    from services.doctor import examine

    bad = 0
    for finding in examine(_settings()):
        bad += not finding.ok
        mark = "[green]ok[/]" if finding.ok else "[red]!![/]"
        out.print(f"{mark} [bold]{finding.name}[/]: ", end="")
        out.print(finding.detail, markup=False, highlight=False, soft_wrap=True)
        if finding.fix:
            out.print(f"      -> {finding.fix}", markup=False, highlight=False, soft_wrap=True)
    if bad:
        raise typer.Exit(1)


@assets_app.command("fetch")
def fetch_assets(everything: All = False) -> None:
    """Bring what is missing."""
    from services.assets.manifest import load
    from services.assets.store import AssetError
    from services.bootstrap import asset_files
    from services.bootstrap.shell import Shell, StepError
    from services.bootstrap.workshop import Workshop
    from services.paths import REPOSITORY

    cache = _settings().cache_paths
    shell = Shell(cache.root / "logs" / "bootstrap", os.environ)
    workshop = Workshop(REPOSITORY, cache, shell, os.environ)
    groups = None if everything else asset_files.CALL_GROUPS
    try:
        workshop.prepare_installer()
        with AssetBars(out) as bars:
            fetched = asset_files.fetch(workshop, load(groups=groups), bars.report, bars.say)
    except (AssetError, StepError) as error:
        _fail(str(error))
    out.print(f"{len(fetched)} files fetched; {cache.assets} is complete")


@assets_app.command("check")
def check_assets(thorough: Thorough = False, everything: All = False) -> None:
    """Compare the files with the manifest."""
    from services.assets.manifest import load
    from services.assets.store import AssetStore
    from services.bootstrap import asset_files

    store = AssetStore(_settings().cache_paths.assets)
    groups = None if everything else asset_files.CALL_GROUPS
    assets = load(groups=groups)
    missing = store.missing(assets, thorough=thorough)
    for asset in assets:
        state = "[red]missing[/]" if asset in missing else "[green]ok[/]"
        out.print(f"{state:>18}  {_mb(asset.size):>8}  {asset.name}  ({asset.licence})")
    if missing:
        _fail("get what is missing with `xstreamer assets fetch`")


def main() -> None:
    """Entry point of the `xstreamer` script."""
    app()


def _settings(**overrides: object) -> Settings:
    try:
        return Settings.load(os.environ, **overrides)
    except SettingsError as error:
        _fail(str(error))


def _open_to_network(*, tls: bool) -> dict[str, object]:
    """`--tls` is for phones, which are other machines; a host that was chosen stays."""
    if not tls or not _settings().gateway.is_local:
        return {}
    return {"gateway": {"host": "0.0.0.0"}}


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def _fail(message: str) -> NoReturn:
    errors.print(message, markup=False, highlight=False, style="red", soft_wrap=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
