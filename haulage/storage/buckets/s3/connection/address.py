"""The server of a bucket in Amazon's protocol, and the form of its URLs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import quote, urlsplit

from haulage.place import Place, normalized_endpoint
from haulage.storage.buckets.s3.connection.credentials import chain_session

_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Address:
    """A bucket's address; `endpoint` is None for Amazon's own."""

    bucket: str
    endpoint: str | None
    region: str
    path_style: bool

    @property
    def service(self) -> str:
        """Return the URL of the server, without the bucket."""
        if self.endpoint:
            return self.endpoint
        china = ".cn" if self.region.startswith("cn-") else ""
        return f"https://s3.{self.region}.amazonaws.com{china}"

    @property
    def root(self) -> str:
        """Return the URL below which the bucket's keys are."""
        if self.path_style:
            return f"{self.service}/{self.bucket}"
        scheme, host = urlsplit(self.service)[:2]
        return f"{scheme}://{self.bucket}.{host}"

    @property
    def is_encrypted(self) -> bool:
        """Tell whether requests use TLS."""
        return self.service.startswith("https:")

    def url(self, key: str, query: Iterable[tuple[str, str]] = ()) -> str:
        """Return the URL of a key, or of the bucket for an empty key."""
        words = "&".join(f"{name}={quote(value, safe='~')}" for name, value in query)
        # A path is signed as it stands, and an empty one is sent as "/".
        bare = self.path_style and not key
        address = self.root if bare else f"{self.root}/{quote(key, safe='/~')}"
        return f"{address}?{words}" if words else address

    def moved(self, region: str) -> Self:
        """Return the address in another region."""
        return replace(self, region=region)


def address_of(place: Place, environ: Mapping[str, str]) -> Address:
    """Return the place's address: from the place, the environment, or a profile.

    Path style is for every endpoint but Amazon's, and for names with dots, which no
    certificate covers.
    """
    endpoint = _first(
        place.endpoint,
        environ.get("AWS_ENDPOINT_URL_S3"),
        environ.get("AWS_ENDPOINT_URL"),
    )
    region = _first(
        place.region, environ.get("AWS_REGION"), environ.get("AWS_DEFAULT_REGION")
    )
    if not (endpoint and region) and _asks_a_profile(place, environ):
        configured = _configured(place.profile)
        endpoint, region = endpoint or configured[0], region or configured[1]
    endpoint = normalized_endpoint(endpoint) if endpoint else None
    style = place.path_style
    if style is None:
        style = endpoint is not None or "." in place.bucket
    return Address(place.bucket, endpoint, region or _REGION, style)


def _first(*values: str | None) -> str | None:
    return next((value for value in values if value), None)


def _asks_a_profile(place: Place, environ: Mapping[str, str]) -> bool:
    alone = place.anonymous or place.secrets or "AWS_ACCESS_KEY_ID" in environ
    return bool(place.profile) or not alone


def _configured(profile: str | None) -> tuple[str | None, str | None]:
    """Return a profile's endpoint, if it is not Amazon's, and its region."""
    session = chain_session(profile)
    region = session.get_config_variable("region")
    probe = session.create_client("s3", region_name=region or _REGION)
    address = str(probe.meta.endpoint_url)
    own = not str(urlsplit(address).hostname).endswith(
        (".amazonaws.com", ".amazonaws.com.cn")
    )
    return (address if own else None), region
