"""The three clients of one bucket, created on first use.

obstore moves the bytes of nearly all keys; the wire those that it cannot; botocore
makes the calls that neither supports. The latter two take a quarter of a second to
import.
"""

import os
import re
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from obstore.store import S3Store

from haulage.errors import HaulageError, RefusedError, shown_path
from haulage.place import Place, check_encrypted
from haulage.storage.buckets.faults import DeniedError, ElsewhereError, sorted_error
from haulage.storage.buckets.pace import Pace
from haulage.storage.buckets.s3.connection.address import Address, address_of
from haulage.storage.buckets.s3.connection.credentials import (
    Credentials,
    chain_session,
    credentials_of,
    for_obstore,
)
from haulage.storage.buckets.s3.connection.wire import (
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    Wire,
)

T = TypeVar("T")

_REGION = re.compile("[a-z0-9-]+")
_REQUEST_TIMEOUT_S = 600  # a part may have half a gigabyte


class Reach:
    """The clients of one bucket; may be used by any thread."""

    def __init__(self, place: Place, environ: Mapping[str, str], pace: Pace) -> None:
        self.place = place
        self.pace = pace
        self.address = address_of(place, environ)
        check_encrypted(place, self.address.endpoint)
        self.credentials = credentials_of(place, environ)
        self._bundle = _bundle_of(environ)
        self._lock = threading.RLock()
        self._generation = 0
        self._stores: dict[str | None, S3Store] = {}
        self._wire: Wire | None = None
        self._client: Any = None

    def call(self, what: str, request: Callable[[], T], tries: int | None = None) -> T:
        """Return the result of `request`, in the bucket's pace, with sorted errors.

        Refused credentials are renewed once, and a bucket in another region is
        followed. `request` gets its client from here each time, because it may have
        changed.
        """
        return self.pace.call(lambda: self.once(what, request), tries)

    def store(self, checksum: str | None) -> S3Store:
        """Return obstore's client that sends this checksum along."""
        store = self._stores.get(checksum)
        if store is None:
            with self._lock:
                store = self._stores.get(checksum) or self._make_store(checksum)
                self._stores[checksum] = store
        return store

    @property
    def wire(self) -> Wire:
        """Return the client for raw requests."""
        with self._lock:
            if self._wire is None:
                parts = (self.place, self.address, self.credentials)
                self._wire = Wire(*parts, bundle=self._bundle)
            return self._wire

    @property
    def client(self) -> Any:  # noqa: ANN401 - botocore has no types
        """Return botocore's client."""
        with self._lock:
            if self._client is None:
                parts = (self.place, self.address, self.credentials)
                self._client = _make_client(*parts, bundle=self._bundle)
            return self._client

    def close(self) -> None:
        """Close the clients; the next call creates new ones."""
        with self._lock:
            wire, client = self._wire, self._client
            self._stores, self._wire, self._client = {}, None, None
        for each in (wire, client):
            if each is not None:
                each.close()

    def once(self, what: str, request: Callable[[], T]) -> T:
        """Return the result of `request` without a retry, with sorted errors."""
        generation = self._generation
        try:
            return self._sorted(what, request)
        except (DeniedError, ElsewhereError) as err:
            with self._lock:
                mended = generation != self._generation or self._mend(err)
                if not mended:
                    raise
        return self._sorted(what, request)

    def named(self, verb: str, key: str) -> str:
        """Return the description of a request in an error."""
        return f"{verb} s3://{self.address.bucket}/{shown_path(key)}"

    def _sorted(self, what: str, request: Callable[[], T]) -> T:
        try:
            if not self.credentials.is_static:
                self.credentials.current()  # obstore would hide why there are none
            return request()
        except Exception as err:
            kind = sorted_error(err, what)
            if kind is None or kind is err:
                raise
        raise kind  # outside of the handler: the text of `err` may repeat keys

    def _mend(self, err: HaulageError) -> bool:
        """Find other credentials, or the bucket's region; False if there are none."""
        if isinstance(err, ElsewhereError):
            region = self.wire.region()
            if region is None or region == self.address.region:
                return False
            if not _REGION.fullmatch(region):  # it becomes a part of a host's name
                return False
            self.address = self.address.moved(region)
        elif not self.credentials.renew():
            return False
        self._generation += 1
        # Others may be at work with the old clients: they end when nobody holds them.
        self._stores, self._wire, self._client = {}, None, None
        return True

    def _make_store(self, checksum: str | None) -> S3Store:
        address, place = self.address, self.place
        config: dict[str, Any] = {
            # By this name, because AWS_ENDPOINT_URL_S3 would win over `endpoint`.
            "aws_endpoint_url_s3": address.service
            if address.path_style
            else address.root,
            "region": address.region,
            "virtual_hosted_style_request": not address.path_style,
            "unsigned_payload": address.is_encrypted and checksum is not None,
            "skip_signature": place.anonymous,
            "request_payer": place.requester_pays,
            "server_side_encryption": place.encryption,
            "sse_kms_key_id": place.kms_key,
            "checksum_algorithm": checksum,
        }
        return S3Store(
            address.bucket,
            config={name: value for name, value in config.items() if value is not None},  # type: ignore[arg-type]
            client_options=self._client_options(),  # type: ignore[arg-type]
            retry_config={"max_retries": 0},
            credential_provider=None if place.anonymous else self._provide,
        )

    def _provide(self) -> Any:  # noqa: ANN401 - obstore's type is for checkers only
        return for_obstore(self.credentials)

    def _client_options(self) -> dict[str, object]:
        options: dict[str, object] = {
            "allow_http": not self.address.is_encrypted,
            "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
            "read_timeout": timedelta(seconds=READ_TIMEOUT_S),
            "timeout": timedelta(seconds=_REQUEST_TIMEOUT_S),
            "pool_max_idle_per_host": str(max(self.place.in_flight, 10)),
            "user_agent": "haulage",
        }
        if self._bundle:
            with open(self._bundle, "rb") as file:
                options["root_certificate"] = file.read()
        return options


def _bundle_of(environ: Mapping[str, str]) -> str | None:
    """Return the file of trusted CAs; RefusedError if it cannot be read."""
    bundle = environ.get("AWS_CA_BUNDLE") or None
    if bundle and not os.access(bundle, os.R_OK):
        raise RefusedError(
            f"AWS_CA_BUNDLE names {shown_path(bundle)}, which cannot be read"
        )
    return bundle


def _make_client(
    place: Place, address: Address, credentials: Credentials, *, bundle: str | None
) -> Any:  # noqa: ANN401 - botocore has no types
    import botocore
    from botocore.config import Config

    session = chain_session(place.profile)
    secret = credentials.current() if credentials.is_static else None
    return session.create_client(
        "s3",
        region_name=address.region,
        endpoint_url=address.endpoint,
        verify=bundle,
        aws_access_key_id=secret.key_id if secret else None,
        aws_secret_access_key=secret.key if secret else None,
        aws_session_token=secret.token if secret else None,
        config=Config(
            signature_version=botocore.UNSIGNED if place.anonymous else "s3v4",
            user_agent="haulage",
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=_REQUEST_TIMEOUT_S,
            max_pool_connections=max(place.in_flight, 10),
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if address.path_style else "virtual"},
        ),
    )
