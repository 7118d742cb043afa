"""Where a store is and how it is reached; never a secret, only a reference to one."""

from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urlsplit

from haulage.errors import RefusedError, shown_path

SCHEMES = ("s3", "gs", "az")
_MIB = 1 << 20
_SMALLEST_PART = 16 * _MIB
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_MOST_PARTS = 10_000  # that one multipart upload may have


@dataclass(frozen=True, slots=True)
class Place:
    """A directory, or a prefix of a bucket; part of a job for each endpoint.

    `secrets` is the prefix of environment variables with credentials for this endpoint
    alone (`<prefix>_ACCESS_KEY_ID`, `<prefix>_SECRET_ACCESS_KEY`,
    `<prefix>_SESSION_TOKEN`); without it the standard chain of the cloud applies.
    """

    url: str
    endpoint: str | None = None
    insecure: bool = False  # whether an endpoint elsewhere may go without TLS
    region: str | None = None
    path_style: bool | None = None
    profile: str | None = None
    secrets: str | None = None
    anonymous: bool = False
    storage_class: str | None = None
    encryption: str | None = None
    kms_key: str | None = None
    requester_pays: bool = False
    checksum: str = "auto"
    tags: tuple[tuple[str, str], ...] = ()
    markers: bool = True  # whether objects stand for directories
    folds_case: bool = False  # whether names that differ in case are one to its server
    folds_forms: bool = False  # whether normal forms of a name are
    in_flight: int = 64
    memory_bytes: int = 48 * _MIB

    @classmethod
    def from_fields(cls, values: dict[str, Any]) -> Self:
        """Return the place that `as_fields` wrote."""
        tags = tuple((key, value) for key, value in values["tags"])
        return cls(**{**values, "tags": tags})

    def as_fields(self) -> dict[str, object]:
        """Return the place as a JSON object."""
        return asdict(self)

    @property
    def scheme(self) -> str | None:
        """Return the bucket's scheme, or None for a directory."""
        return scheme_of(self.url)

    @property
    def is_bucket(self) -> bool:
        """Tell whether the place is in a bucket."""
        return self.scheme is not None

    @property
    def bucket(self) -> str:
        """Return the bucket's name."""
        return self.url.partition("://")[2].partition("/")[0]

    @property
    def address(self) -> tuple[str | None, ...]:
        """Return which bucket of which server this is, judged by its spelling.

        All names of this machine are equal.
        """
        if not self.is_bucket or self.endpoint is None:
            return self.scheme, self.bucket, None
        endpoint = normalized_endpoint(self.endpoint)
        if is_loopback(endpoint):
            parts = urlsplit(endpoint)
            endpoint = f"{parts.scheme}://localhost:{parts.port}{parts.path}"
        return self.scheme, self.bucket, endpoint

    @property
    def prefix(self) -> str:
        """Return the prefix of every key of the store: empty, or `a/b/`."""
        prefix = self.url.partition("://")[2].partition("/")[2].rstrip("/")
        return f"{prefix}/" if prefix else ""


def scheme_of(url: str) -> str | None:
    """Return `s3`, `gs` or `az` for the URL of a bucket, None for a directory."""
    scheme, found, _ = url.partition("://")
    return scheme if found and scheme in SCHEMES else None


def normalized(url: str) -> str:
    """Return the normal spelling of a bucket's URL; RefusedError if it is none.

    A query or a fragment is part of the key, as in every other tool of the field.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise RefusedError(
            f"{shown_path(_without_secret(url))}: stores are directories, s3://, gs:// "
            f"and az:// URLs"
        )
    bucket, _, prefix = rest.partition("/")
    if not bucket or "@" in bucket or ":" in bucket:
        raise RefusedError(
            f"{shown_path(_without_secret(url))} names no bucket; write "
            f"{scheme}://BUCKET/PREFIX, and give credentials by the environment, a "
            f"profile or a block"
        )
    return f"{scheme}://{bucket}/{prefix.rstrip('/')}".rstrip("/")


def normalized_endpoint(url: str) -> str:
    """Return the normal spelling of an endpoint's URL, without a trailing slash."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    scheme, host = scheme.lower(), host.lower()
    host = host.removesuffix(_DEFAULT_PORTS.get(scheme, ""))
    return f"{scheme}://{host}/{path}".rstrip("/")


def check_encrypted(place: Place, endpoint: str | None) -> None:
    """Refuse an unencrypted endpoint, except on this machine."""
    is_plain = (endpoint or "").lower().startswith("http://")
    if not is_plain or place.insecure or is_loopback(endpoint or ""):
        return
    raise RefusedError(
        f"{shown_path(place.url)}: its endpoint {shown_path(endpoint or '')} is not "
        "encrypted, so anyone on the network path could read and change the traffic, "
        "session tokens included. Use https://, or declare the network safe: "
        "--source-insecure or --target-insecure"
    )


def is_loopback(endpoint: str) -> bool:
    """Tell whether an endpoint's URL names this machine."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _without_secret(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def part_bytes(size: int) -> int:
    """Return the length of the ranges of a large entry, so that 10,000 are enough.

    A multiple of 16 MiB; see Amazon's limits of multipart uploads. Another length would
    give large files other checksums than manifests have of them.
    """
    wanted = -(-size // _MOST_PARTS)
    return max(1, -(-wanted // _SMALLEST_PART)) * _SMALLEST_PART
