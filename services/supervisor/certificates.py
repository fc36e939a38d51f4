"""A self-signed certificate for `--tls`: phones give the microphone to https pages only."""

import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from services.supervisor.livekit_config import network_address

DAYS = 365


class CertificateError(Exception):
    """No certificate could be made; the text says what to do."""


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, PEM files."""

    file: Path
    key_file: Path


def self_signed(data: Path) -> Certificate:
    """The machine's certificate, made once for its names and present address.

    Raises: CertificateError.
    """
    address = network_address()
    certificate = Certificate(data / f"tls-{address}.pem", data / f"tls-{address}.key")
    if certificate.file.is_file() and certificate.key_file.is_file():
        return certificate
    if shutil.which("openssl") is None:
        raise CertificateError(
            "--tls needs the openssl program (Debian: apt-get install openssl), or a certificate "
            "of yours: `tls_cert` and `tls_key` in [gateway] of xstreamer.toml"
        )
    names = f"DNS:localhost,DNS:{socket.gethostname()},IP:127.0.0.1,IP:{address}"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", str(DAYS), "-subj", "/CN=X-Streamer"]
    command += ["-addext", f"subjectAltName={names}"]
    command += ["-keyout", str(certificate.key_file), "-out", str(certificate.file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CertificateError(f"openssl could not make a certificate: {done.stderr.strip()}")
    certificate.key_file.chmod(0o600)
    return certificate
