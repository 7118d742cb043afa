"""A CA of a test's own, and a server's certificate that it has signed."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


@dataclass(frozen=True)
class Certificate:
    """Files in PEM: whom to trust, and what a server shows."""

    ca: Path
    file: Path
    key: Path


def certificate(directory: Path, *names: str) -> Certificate:
    """Make a CA, and a certificate for these names: `DNS:localhost`, `IP:127.0.0.1`."""
    made = Certificate(*(directory / name for name in ("ca", "server", "server.key")))
    _openssl(directory, f"req -x509 {_KEY} -days 2 -subj /CN=test -keyout key -out ca")
    _openssl(directory, f"req {_KEY} -subj /CN=server -keyout server.key -out asked")
    (directory / "more").write_text(f"subjectAltName={','.join(names)}\n")
    signing = "-CA ca -CAkey key -CAcreateserial -days 2 -extfile more"
    _openssl(directory, f"x509 -req -in asked {signing} -out server")
    return made


def _openssl(directory: Path, words: str) -> None:
    subprocess.run(
        ["openssl", *words.split()], cwd=directory, check=True, capture_output=True
    )
