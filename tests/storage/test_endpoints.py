"""Content and tokens go in clear to this machine alone, unless somebody says so."""

from dataclasses import replace

import pytest

from haulage.errors import RefusedError
from haulage.place import Place, is_loopback
from haulage.storage.buckets.open import open_bucket

KEYS = {
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "key",
    "HAULAGE_SOURCE_ACCESS_KEY_ID": "id",
    "HAULAGE_SOURCE_SECRET_ACCESS_KEY": "a2V5",
}


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_an_endpoint_elsewhere_without_tls_is_refused_until_it_is_allowed(scheme):
    place = Place(
        f"{scheme}://bucket", endpoint="http://192.0.2.1:9000", anonymous=True
    )
    if scheme == "az":  # which asks for an account before anything else
        place = replace(place, secrets="HAULAGE_SOURCE")
    with pytest.raises(
        RefusedError, match=r"192\.0\.2\.1:9000 is not encrypted.*-insecure"
    ):
        open_bucket(place, KEYS)
    open_bucket(replace(place, insecure=True), KEYS).close()
    open_bucket(replace(place, endpoint="https://192.0.2.1:9000"), KEYS).close()
    open_bucket(replace(place, endpoint="http://127.0.0.1:9000"), KEYS).close()


def test_an_endpoint_of_the_environment_is_looked_at_as_well():
    with pytest.raises(RefusedError, match="http://lab is not encrypted"):
        open_bucket(Place("s3://bucket"), {**KEYS, "AWS_ENDPOINT_URL": "http://lab"})


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://localhost:1", True),
        ("http://s3.localhost", True),
        ("http://127.8.9.1", True),
        ("http://[::1]:9000", True),
        ("http://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://10.0.0.1", False),
        ("http://[fe80::1]", False),
    ],
)
def test_only_names_of_this_machine_are_loopback(url, is_here):
    assert is_loopback(url) == is_here
