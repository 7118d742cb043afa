import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import obstore
import pytest

from haulage.errors import RefusedError
from haulage.place import Place
from haulage.storage.buckets.s3.bucket import open_s3
from haulage.storage.buckets.s3.connection.address import address_of
from haulage.storage.buckets.s3.connection.credentials import (
    Fixed,
    Secret,
    credentials_of,
    for_obstore,
)

pytest_plugins = ["tests.servers.fixtures"]

PLACE = Place("s3://there/below")
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDENVIRONMENT",
    "AWS_SECRET_ACCESS_KEY": "SECRETENVIRONMENT",
    "AWS_SESSION_TOKEN": "TOKENENVIRONMENT",
}
OWN = {"LAB_ACCESS_KEY_ID": "AKIDLAB", "LAB_SECRET_ACCESS_KEY": "SECRETLAB"}


@pytest.fixture(autouse=True)
def no_chain(monkeypatch, tmp_path):
    """Let nothing of the machine's own be found."""
    for name in (*KEYS, "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def test_a_places_own_keys_win_over_the_environments():
    own = credentials_of(replace(PLACE, secrets="LAB"), {**KEYS, **OWN})
    assert own.current() == Secret("AKIDLAB", "SECRETLAB")
    standard = credentials_of(PLACE, {**KEYS, **OWN})
    assert standard.current() == Secret(*KEYS.values())
    assert credentials_of(replace(PLACE, anonymous=True), KEYS).current() is None


def test_keys_that_are_not_where_they_should_be_are_refused_by_name():
    with pytest.raises(RefusedError, match="LAB_SECRET_ACCESS_KEY"):
        credentials_of(replace(PLACE, secrets="LAB"), {"LAB_ACCESS_KEY_ID": "x"})
    with pytest.raises(RefusedError, match=r"there.*anonymous"):
        credentials_of(PLACE, {})
    with pytest.raises(RefusedError, match="nobody"):
        credentials_of(replace(PLACE, profile="nobody"), KEYS)


def test_a_profile_gives_keys_endpoint_and_region(tmp_path):
    (tmp_path / "config").write_text(
        "[profile lab]\nregion = eu-north-1\nendpoint_url = http://lab.example:9000\n"
    )
    (tmp_path / "credentials").write_text(
        "[lab]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = SECRETPROF\n"
    )
    place = replace(PLACE, profile="lab")
    assert credentials_of(place, KEYS).current() == Secret("AKIDPROFILE", "SECRETPROF")
    address = address_of(place, {})
    assert (address.endpoint, address.region) == (
        "http://lab.example:9000",
        "eu-north-1",
    )
    assert address.path_style
    assert address_of(replace(place, region="eu-west-1"), {}).region == "eu-west-1"


def test_the_environment_tells_endpoint_and_region_unless_the_place_does():
    environ = {
        **KEYS,
        "AWS_ENDPOINT_URL": "http://all",
        "AWS_ENDPOINT_URL_S3": "http://s3",
        "AWS_DEFAULT_REGION": "eu-west-3",
    }
    address = address_of(PLACE, environ)
    assert (address.endpoint, address.region) == ("http://s3", "eu-west-3")
    assert address_of(replace(PLACE, endpoint="http://own"), environ).endpoint == (
        "http://own"
    )


@pytest.mark.parametrize(
    ("place", "url"),
    [
        (PLACE, "https://there.s3.us-east-1.amazonaws.com/a%20b/%2B"),
        (
            replace(PLACE, region="cn-north-1"),
            "https://there.s3.cn-north-1.amazonaws.com.cn/a%20b/%2B",
        ),
        (
            Place("s3://with.dots"),
            "https://s3.us-east-1.amazonaws.com/with.dots/a%20b/%2B",
        ),
        (
            replace(PLACE, endpoint="http://h:9/", insecure=True),
            "http://h:9/there/a%20b/%2B",
        ),
        (
            replace(PLACE, endpoint="http://h:9", path_style=False, insecure=True),
            "http://there.h:9/a%20b/%2B",
        ),
    ],
)
def test_a_keys_url_follows_from_the_place(place, url):
    assert address_of(place, KEYS).url("a b/+") == url
    store = open_s3(place, KEYS).reach.store(None)
    signed = obstore.sign(store, "GET", "a b/+", timedelta(minutes=1))
    assert signed.partition("?")[0] == url


def test_nothing_shows_a_secret():
    bucket = open_s3(replace(PLACE, secrets="LAB"), OWN)
    for thing in (bucket, bucket.reach, bucket.reach.credentials, Secret("k", "s")):
        assert not any(secret in f"{thing!r} {thing}" for secret in OWN.values())
    assert "AKIDLAB" not in repr(bucket.reach.store(None))


def test_keys_that_stay_are_never_asked_for_again():
    fixed = Fixed(Secret("key", "secret", "token"))
    assert for_obstore(fixed)["expires_at"] is None
    assert not fixed.renew()


def test_a_mover_starts_without_the_libraries_of_clouds():
    told = (
        "import haulage.workers.mover, sys; "
        "print({'boto3', 'botocore'} & set(sys.modules))"
    )
    child = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == "set()"


def test_static_keys_put_and_get_without_botocore(moto_s3, bucket):
    name = bucket(moto_s3)
    told = (
        "import os, sys\n"
        "from haulage.place import Place\n"
        "from haulage.storage.buckets.protocol import PutBy\n"
        "from haulage.storage.buckets.s3.bucket import open_s3\n"
        f"s3 = open_s3(Place('s3://{name}'), os.environ)\n"
        "s3.put('key', b'content', PutBy({}))\n"
        "assert bytes(s3.get('key')[1]) == b'content'\n"
        "print({'boto3', 'botocore'} & set(sys.modules))\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", told],
        env={**moto_s3.environment(), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout.strip() == "set()"
