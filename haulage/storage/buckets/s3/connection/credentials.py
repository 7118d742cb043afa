"""Credentials for Amazon's protocol, from where the place says that they are.

No secret appears in a repr() or in an error's text.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from haulage.errors import FatalError, RefusedError
from haulage.place import Place
from haulage.storage.buckets.faults import DeniedError

_ASKED_AGAIN = timedelta(minutes=5)  # botocore refreshes well before keys expire


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """An access key, and the session token that temporary ones have."""

    key_id: str
    key: str
    token: str | None = None

    def __repr__(self) -> str:
        return "Secret(...)"


class Credentials(Protocol):
    """Provides the keys that are valid now."""

    is_static: bool

    def current(self) -> Secret | None:
        """Return the keys, or None for requests without a signature."""
        ...

    def renew(self) -> bool:
        """Look for other keys; False if there are none."""
        ...


class Fixed:
    """Keys that never change; none at all for anonymous requests."""

    is_static = True

    def __init__(self, secret: Secret | None) -> None:
        self._secret = secret

    def current(self) -> Secret | None:
        return self._secret

    def renew(self) -> bool:
        return False


class Chain:
    """Keys of botocore's chain: environment, profile, single sign-on, instance role."""

    is_static = False

    def __init__(self, profile: str | None, bucket: str) -> None:
        self._profile = profile
        self._bucket = bucket
        self._lock = threading.Lock()
        self._found = self._look()

    def current(self) -> Secret | None:
        """Return the keys; botocore refreshes those that are about to expire."""
        from botocore import exceptions as known

        try:
            frozen = self._found.get_frozen_credentials()
        except (known.HTTPClientError, known.ConnectionError):
            raise  # no answer came, which may be different soon
        except (known.BotoCoreError, known.ClientError) as err:
            raise DeniedError(
                f"s3://{self._bucket}: the credentials cannot be refreshed "
                f"({type(err).__name__}); log in again or check the role"
            ) from None
        return Secret(frozen.access_key, frozen.secret_key, frozen.token)

    def renew(self) -> bool:
        """Walk the chain again, so that a changed profile or role is seen."""
        with self._lock:
            self._found = self._look()
        return True

    def _look(self) -> Any:  # noqa: ANN401 - botocore has no types
        found = chain_session(self._profile).get_credentials()
        if found is None:
            raise RefusedError(
                f"s3://{self._bucket}: no credentials were found; set "
                f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile or a "
                f"block, or ask for anonymous access"
            )
        return found


def chain_session(profile: str | None) -> Any:  # noqa: ANN401 - botocore has no types
    """Return a new session of botocore; RefusedError for an unknown profile."""
    import botocore.exceptions
    import botocore.session

    try:
        session = botocore.session.Session(profile=profile)
        session.get_scoped_config()
    except (
        botocore.exceptions.ProfileNotFound,
        botocore.exceptions.ConfigParseError,
    ) as err:
        raise RefusedError(f"{err}; see ~/.aws/config") from None
    return session


def credentials_of(place: Place, environ: Mapping[str, str]) -> Credentials:
    """Return a place's credentials: its own keys, none, or the standard chain's."""
    if place.anonymous:
        return Fixed(None)
    if place.secrets:
        return Fixed(_from_environ(place.secrets, environ))
    if not place.profile and "AWS_ACCESS_KEY_ID" in environ:
        return Fixed(_from_environ("AWS", environ))
    return Chain(place.profile, place.bucket)


def _from_environ(prefix: str, environ: Mapping[str, str]) -> Secret:
    names = f"{prefix}_ACCESS_KEY_ID", f"{prefix}_SECRET_ACCESS_KEY"
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise RefusedError(f"the environment has no {' and no '.join(missing)}")
    token = environ.get(f"{prefix}_SESSION_TOKEN") or None
    return Secret(environ[names[0]], environ[names[1]], token)


def for_obstore(credentials: Credentials) -> dict[str, Any]:
    """Return the keys in obstore's form."""
    secret = credentials.current()
    if secret is None:
        raise FatalError("an anonymous request was to be signed")
    asked_again = None if credentials.is_static else datetime.now(UTC) + _ASKED_AGAIN
    return {
        "access_key_id": secret.key_id,
        "secret_access_key": secret.key,
        "token": secret.token,
        "expires_at": asked_again,
    }
