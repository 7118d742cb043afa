"""What is refused on Google and Azure: keys, places and credentials."""

import os

import pytest

from haulage.errors import FatalError, PermanentError, RefusedError
from haulage.place import Place
from haulage.storage.buckets.faults import DeniedError
from haulage.storage.buckets.gs_az.bucket import open_blobs
from haulage.storage.buckets.protocol import PutBy
from tests.storage.gs_az.clouds import BY


@pytest.mark.parametrize(
    "key", ["a//b", "/a", "a/./b", "a/../b", "..", "a\nb", "a\x7f"]
)
def test_a_key_that_obstore_would_bend_is_refused(bucket, key):
    with pytest.raises(PermanentError, match="rename it"):
        bucket.put(key, b"x", BY)
    with pytest.raises(PermanentError):
        bucket.get(key)


@pytest.mark.parametrize("key", ["a//b", "a/./b", "a/../b", "..", "a\x7fb"])
def test_a_listing_that_would_leave_a_key_out_fails_and_names_it(bucket, cloud, key):
    if not cloud.is_google and key in ("a/./b", "a/../b", ".."):
        pytest.skip("Azurite resolves such segments when they are written")
    cloud.put("other", b"x")
    cloud.put(key, b"x")
    with pytest.raises(FatalError, match="rename") as caught:
        bucket.page("")
    assert key.replace("\x7f", "\\x7f") in str(caught.value)


def test_a_bucket_that_is_missing_is_refused(cloud):
    gone = Place(f"{cloud.place.url}-gone", endpoint=cloud.place.endpoint)
    bucket = open_blobs(gone, os.environ)
    with pytest.raises(RefusedError, match="gone"):
        bucket.check()
    with pytest.raises(RefusedError, match="own tools"):
        bucket.check(create=True)
    bucket.close()


def test_a_bucket_that_is_there_passes(bucket):
    bucket.check()


def test_a_wrong_key_stops_the_run_and_is_not_shown(cloud, monkeypatch):
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "c2VjcmV0LXRoYXQtaXMtd3Jvbmc=")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0LXRoYXQtaXMtd3Jvbmc=")
    bucket = open_blobs(cloud.place, os.environ)
    with pytest.raises(DeniedError) as caught:
        bucket.put("a", b"x", BY)
    assert "c2Vj" not in str(caught.value)
    with pytest.raises(DeniedError):
        bucket.page("")
    bucket.close()


def test_azure_takes_only_identifiers_as_names_of_metadata(bucket, cloud):
    by = PutBy({"not-a-name": "x"})
    if cloud.is_google:
        bucket.put("a", b"", by)
        assert dict(bucket.head("a").metadata) == {"not-a-name": "x"}
    else:
        with pytest.raises(PermanentError, match="not-a-name"):
            bucket.put("a", b"", by)


def test_what_only_amazon_has_is_refused(cloud):
    place = Place(cloud.place.url, encryption="aws:kms", requester_pays=True)
    with pytest.raises(RefusedError, match="encryption, requester_pays"):
        open_blobs(place, os.environ)


def test_azure_keys_come_from_variables_of_the_places_own(azure_server, monkeypatch):
    for name in ("NAME", "KEY"):
        monkeypatch.delenv(f"AZURE_STORAGE_ACCOUNT_{name}", raising=False)
    name = f"own-{os.getpid()}"
    azure_server.make_container(name)
    place = Place(f"az://{name}", endpoint=azure_server.endpoint, secrets="NIGHT")
    keys = {
        "NIGHT_ACCESS_KEY_ID": azure_server.account,
        "NIGHT_SECRET_ACCESS_KEY": azure_server.key,
    }
    bucket = open_blobs(place, keys)
    bucket.put("a", b"x", BY)
    bucket.close()
    with pytest.raises(RefusedError, match="NIGHT_ACCESS_KEY_ID"):
        open_blobs(place, {})
