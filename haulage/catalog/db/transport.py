"""Whether the connection to a database's server is protected."""

import os

from sqlalchemy import URL

_PROTECTED = ("require", "verify-ca", "verify-full")
_LOCAL = ("localhost", "127.0.0.1", "::1")


def unprotected_host(url: URL) -> str | None:
    """Return the URL's remote host if the connection does not insist on TLS."""
    mode = url.query.get("sslmode") or os.environ.get("PGSSLMODE")
    if mode in _PROTECTED:
        return None
    named = url.query.get("host") or url.host or os.environ.get("PGHOST") or ""
    several = named if isinstance(named, tuple) else named.split(",")
    return next((host for host in several if not _is_local(host)), None)


def _is_local(host: str) -> bool:
    """Tell whether a host is this machine, by a socket's path or by its name."""
    name = host.rpartition(":")[0] if host.count(":") == 1 else host
    return not name or name.startswith(("/", "@")) or name in _LOCAL
