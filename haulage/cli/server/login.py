"""The login of the Prefect server that `haulage up` starts, and its other secrets."""

import base64
import os
import secrets
import stat
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from haulage.errors import FatalError, RefusedError

USER = "haulage"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def login_file(root: Path) -> Path:
    """Return the file that has the login, as `user:password`."""
    return root / "login"


def login(root: Path) -> str:
    """Return the login, made once."""
    return secret(login_file(root), lambda: f"{USER}:{secrets.token_urlsafe(24)}")


def secret(path: Path, make: Callable[[], str]) -> str:
    """Return what a file holds that only its owner may read, and that is made once."""
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        _check_is_ours(path)
        return path.read_text("utf-8").strip()
    with open(fd, "w", encoding="utf-8") as new:
        new.write(made := make())
    return made


def _check_is_ours(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise RefusedError(
            f"{path} holds a secret, but belongs to uid {found.st_uid} with mode "
            f"{stat.S_IMODE(found.st_mode):04o}: other users may know it. 'haulage "
            "down', remove the file, and 'haulage up' makes a new one"
        )


def asked(url: str, login: str | None, timeout_s: float = 5) -> bytes:
    """Return what the server answers; URLError or TimeoutError if it does not."""
    request = urllib.request.Request(url)  # noqa: S310  of this machine, by http
    if login:
        encoded = base64.b64encode(login.encode()).decode()
        request.add_header("Authorization", f"Basic {encoded}")
    with _OPENER.open(request, timeout=timeout_s) as answer:
        body: bytes = answer.read()
        return body


def check_asks_for_login(api: str) -> None:
    """Refuse a server that answers whoever reaches it: that runs any command."""
    try:
        asked(f"{api}/admin/version", None, timeout_s=60)
    except urllib.error.HTTPError as err:
        if err.code == HTTPStatus.UNAUTHORIZED:
            return
        raise FatalError(f"the server at {api} answers with {err}") from err
    except (urllib.error.URLError, TimeoutError) as err:
        raise FatalError(f"the server at {api} does not answer: {err}") from err
    raise RefusedError(
        f"the server at {api} asks for no login, so every user of this machine may run "
        f"commands as you: 'haulage down', then 'haulage up'"
    )
