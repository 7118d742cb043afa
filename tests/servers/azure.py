"""Azurite, Microsoft's own emulator of Azure's blob storage; it checks signatures."""

import base64
import fcntl
import hashlib
import hmac
import http.client
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote, urlencode

from tests.servers.processes import Command, ServerFailedError, free_port, running

_ROOT = Path(__file__).parents[2]
_LOCK = Path(__file__).parent / "azurite"
_HOME = _ROOT / "build/azurite"
_MAIN = _HOME / "node_modules/azurite/dist/src/blob/main.js"
_ACCOUNT = "devstoreaccount1"
_KEY = (  # known to everybody: Azurite's documentation has it
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"
    "K1SZFPTOtr/KBHBeksoGMGw=="
)
_VERSION = "2023-11-03"
_INSTALL_S = 600


@dataclass(frozen=True)
class AzureServer:
    """An account of Azure's on this machine."""

    port: int
    account: str = _ACCOUNT
    key: str = _KEY

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.account}"

    def make_container(self, name: str) -> None:
        """Make an empty container."""
        self._send("PUT", f"/{name}", {"restype": "container"}, {}, b"")

    def put(self, container: str, key: str, content: bytes) -> None:
        """Make a blob of any name, as it is written: Azure itself takes them all."""
        path = f"/{container}/{quote(key)}"
        self._send("PUT", path, {}, {"x-ms-blob-type": "BlockBlob"}, content)

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        path = f"/{self.account}{path}"
        headers |= {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
        words = _to_sign(method, f"/{self.account}{path}", query, headers, body)
        key = base64.b64decode(self.key)
        signature = base64.b64encode(hmac.digest(key, words, hashlib.sha256)).decode()
        headers["Authorization"] = f"SharedKey {self.account}:{signature}"
        headers["Content-Length"] = str(len(body))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        target = f"{path}?{urlencode(query)}" if query else path
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        assert answer.status == http.HTTPStatus.CREATED, (answer.status, text)


def _to_sign(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
) -> bytes:
    """Return what a request with a shared key signs."""
    length = str(len(body)) if body else ""
    named = sorted(f"{name}:{value}" for name, value in headers.items())
    asked = sorted(f"{name}:{value}" for name, value in query.items())
    empty = [""] * 8  # from Content-MD5 to Range, none of which is sent
    return "\n".join([method, "", "", length, *empty, *named, path, *asked]).encode()


@contextmanager
def azurite(directory: Path) -> Iterator[AzureServer]:
    """Run Azurite with its data and its log in `directory`."""
    _install()
    port = free_port()
    node = shutil.which("node")
    assert node is not None
    words: list[str | Path] = [
        node,
        _MAIN,
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        str(port),
    ]
    words += ["--location", str(directory / "data"), "--disableTelemetry"]
    # What it does not know of a new client's version is nothing that is used here.
    words += ["--skipApiVersionCheck", "--silent"]
    with running(Command(words, {}, port), directory):
        yield AzureServer(port)


def _install() -> None:
    """Install what package-lock.json names, once."""
    _HOME.mkdir(parents=True, exist_ok=True)
    with (_HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (_LOCK / "package-lock.json").read_bytes()
        done = _HOME / "installed.json"
        if done.exists() and done.read_bytes() == wanted:
            return
        _run([str(_ROOT / "scripts/system-packages"), "node:nodejs", "npm:npm"])
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_LOCK / name, _HOME / name)
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
        done.write_bytes(wanted)


def _run(words: list[str]) -> None:
    done = subprocess.run(
        words,
        cwd=_HOME,
        capture_output=True,
        text=True,
        timeout=_INSTALL_S,
        check=False,
    )
    if done.returncode:
        raise ServerFailedError(
            f"{' '.join(words)} failed; install Node.js 18 or newer and npm:\n"
            f"{done.stdout}{done.stderr}"
        )
