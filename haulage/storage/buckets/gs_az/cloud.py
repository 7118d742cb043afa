"""Google's and Azure's clouds: credentials, clients, and the meaning of errors.

obstore itself reads the clouds' own environment variables.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore

from haulage.errors import FatalError, HaulageError, RefusedError
from haulage.place import Place, check_encrypted
from haulage.storage.buckets.faults import (
    DeniedError,
    NoBucketError,
    Reply,
    error_of,
    reply_of,
    sorted_error,
)
from haulage.storage.buckets.pace import Pace, ThrottledError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

T = TypeVar("T")
Store = GCSStore | AzureStore

# A part of a large object has to arrive on a slow line too.
_CLIENT: "ClientConfig" = {"timeout": "10m", "connect_timeout": "10s"}
# Bytes as they are stored: Google would else unpack what is stored as gzip.
_AS_STORED: "ClientConfig" = {"default_headers": {"accept-encoding": "gzip"}}
_ONCE: "RetryConfig" = {"max_retries": 0}  # `pace` tries again
_IN_BATCH = re.compile(r"\(code: (\d{3})\)")
_KINDS: dict[type[HaulageError], str] = {
    DeniedError: "AuthenticationFailed AuthenticationRequired AuthorizationFailure "
    "InvalidAuthenticationInfo NoAuthenticationInformation AccountIsDisabled",
    NoBucketError: "ContainerNotFound ContainerBeingDeleted ContainerDisabled",
    ThrottledError: "ServerBusy OperationTimedOut rateLimitExceeded",
}
_NEXT_STEP: dict[type[HaulageError], str] = {
    DeniedError: "check the credentials and the clock",
    NoBucketError: "check the account and the container's name",
    ThrottledError: "it is tried again later",
}
_KIND_OF_CODE = {code: kind for kind, codes in _KINDS.items() for code in codes.split()}


@dataclass(frozen=True, slots=True)
class Cloud:
    """One bucket and two clients for it: for single requests, and for long streams."""

    place: Place
    once: Store
    patient: Store  # which tries single parts again: a stream of them cannot go back
    etag_is_md5: bool  # of what was sent in one piece
    takes_tags: bool
    pace: Pace

    def is_same(self, other: "Cloud") -> bool:
        """Tell whether both are one bucket, with the same credentials."""
        mine, others = self.once, other.once
        return type(mine) is type(others) and mine.config == others.config

    def ask(self, request: Callable[[], T], key: str) -> T:
        """Return the result of `request`, with retries and sorted errors."""
        return self.pace.call(lambda: self.ask_once(request, key))

    def ask_once(self, request: Callable[[], T], key: str) -> T:
        """Return the result of `request`, with sorted errors."""
        what = f"{self.place.scheme}://{self.place.bucket}: {key!a}"
        try:
            return request()
        except Exception as err:
            sorted_ = _sorted(err, what)
            if sorted_ is None:
                raise
            raise sorted_ from None


def _sorted(err: Exception, what: str) -> HaulageError | None:
    if isinstance(err, HaulageError):
        return err
    text = str(err).partition("\n\nDebug source:")[0]
    if "token request" in text:
        return DeniedError(
            f"{what}: no credentials were found, or no token was issued for them; set "
            "those that docs/clouds.md names"
        )
    if "Path " in text and ("contained" in text or "parsing Path" in text):
        return FatalError(
            f"{what}: {text[-300:]!a}; obstore can neither reach such a key nor list "
            "a page that has one: rename it with another tool"
        )
    reply = reply_of(err) or _reply_in_batch(text)
    kind = _KIND_OF_CODE.get(reply.code) if reply else None
    if reply and kind:
        return kind(f"{what}: HTTP {reply.status} {reply.code}; {_NEXT_STEP[kind]}")
    return error_of(reply, what) if reply else sorted_error(err, what)


def _reply_in_batch(text: str) -> Reply | None:
    """Return the answer to one of the requests that obstore batches for Azure."""
    status = _IN_BATCH.search(text)
    return Reply(int(status[1]), "", "") if status else None


def open_cloud(place: Place, environ: Mapping[str, str], pace: Pace) -> Cloud:
    """Return the clients for a place; RefusedError if its settings are not valid."""
    made = _google if place.scheme == "gs" else _azure
    refused = [
        name
        for name, value in (
            ("encryption", place.encryption),
            ("kms_key", place.kms_key),
            ("requester_pays", place.requester_pays),
            ("profile", place.profile),
        )
        if value
    ]
    if refused:
        raise RefusedError(
            f"{place.url}: {', '.join(refused)} is for s3:// alone; set it up on the "
            f"bucket itself"
        )
    check_encrypted(place, place.endpoint)
    try:
        once, patient = made(place, environ, _ONCE), made(place, environ, None)
    except (BaseError, ValueError, OSError) as err:
        raise RefusedError(f"{place.url}: {_first_line(err)}") from None
    is_google = place.scheme == "gs"
    return Cloud(place, once, patient, is_google, not is_google, pace)


def _first_line(err: Exception) -> str:
    return str(err).partition("\n")[0][:200]


def _google(
    place: Place, environ: Mapping[str, str], retry: "RetryConfig | None"
) -> GCSStore:
    config: dict[str, str | bool] = {}
    if place.secrets:
        config["service_account_key"] = _secret(place, environ, "SECRET_ACCESS_KEY")
    if place.endpoint:
        config["base_url"] = place.endpoint
    if place.anonymous:
        config["skip_signature"] = True
    return GCSStore(
        place.bucket,
        config=config,  # type: ignore[arg-type]  # the keys are those of GCSConfig
        client_options=_client(place) | _AS_STORED,
        retry_config=retry,
    )


def _azure(
    place: Place, environ: Mapping[str, str], retry: "RetryConfig | None"
) -> AzureStore:
    config: dict[str, str | bool] = {}
    if place.secrets:
        config["account_name"] = _secret(place, environ, "ACCESS_KEY_ID")
        config["account_key"] = _secret(place, environ, "SECRET_ACCESS_KEY")
        config["credential_type"] = "access_key"
    if place.endpoint:
        config["endpoint"] = place.endpoint
    if place.anonymous:
        config["skip_signature"] = True
    return AzureStore(
        place.bucket,
        config=config,  # type: ignore[arg-type]  # the keys are those of AzureConfig
        client_options=_client(place),
        retry_config=retry,
    )


def _client(place: Place) -> "ClientConfig":
    if (place.endpoint or "").startswith("http://"):
        return _CLIENT | {"allow_http": True}
    return _CLIENT


def _secret(place: Place, environ: Mapping[str, str], name: str) -> str:
    variable = f"{place.secrets}_{name}"
    value = environ.get(variable)
    if not value:
        raise RefusedError(f"{place.url}: the environment has no {variable}")
    return value
