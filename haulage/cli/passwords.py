"""Passwords in a URL on a command line, which every user of the machine can read."""

import urllib.parse

from haulage.errors import RefusedError


def check_shows_none(option: str, url: str, variable: str) -> None:
    """Refuse a URL with a password; `variable` of the environment takes it instead."""
    try:
        parts = urllib.parse.urlsplit(url)
        has_password = parts.password is not None
    except ValueError:
        return  # it is no URL, which whoever opens it will say
    if has_password or "password" in urllib.parse.parse_qs(parts.query):
        raise RefusedError(
            f"{option} has a password in it, which every user of this machine can "
            f"read in the list of processes: put the URL into {variable}"
        )
