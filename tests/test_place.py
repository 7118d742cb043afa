import json
from dataclasses import fields

import pytest

from haulage.errors import RefusedError
from haulage.place import Place, normalized, part_bytes, scheme_of

MIB = 1 << 20
TIB = 1 << 40


@pytest.mark.parametrize(
    ("url", "spelling", "bucket", "prefix"),
    [
        ("s3://b", "s3://b", "b", ""),
        ("s3://b/", "s3://b", "b", ""),
        ("s3://b///", "s3://b", "b", ""),
        ("gs://b/a/c", "gs://b/a/c", "b", "a/c/"),
        ("az://b/a//", "az://b/a", "b", "a/"),
        ("s3://b//a", "s3://b//a", "b", "/a/"),
        ("s3://b/a?b#c@d:e", "s3://b/a?b#c@d:e", "b", "a?b#c@d:e/"),
        ("s3://b/Grüße", "s3://b/Grüße", "b", "Grüße/"),
    ],
)
def test_a_url_has_one_spelling(url, spelling, bucket, prefix):
    assert normalized(url) == spelling
    assert normalized(spelling) == spelling
    place = Place(spelling)
    assert (place.bucket, place.prefix, place.is_bucket) == (bucket, prefix, True)


@pytest.mark.parametrize("url", ["s3://", "s3:///a", "s3://b:9000/a", "gs://@b"])
def test_a_url_without_a_bucket_is_refused(url):
    with pytest.raises(RefusedError, match="names no bucket"):
        normalized(url)


@pytest.mark.parametrize("url", ["http://h/b", "S3://b", "file:///a", "s3a://b", "x"])
def test_what_is_no_store_is_refused(url):
    with pytest.raises(RefusedError, match="stores are directories"):
        normalized(url)


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKID:sesame@bucket/a",
        "s3://AKID:ses/sesame@bucket/a",
        "s3a://AKID:sesame@bucket",
        "https://me:sesame@host/bucket",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url):
    with pytest.raises(RefusedError) as refused:
        normalized(url)
    assert "sesame" not in str(refused.value)
    assert "AKID" not in str(refused.value)


def test_a_directory_is_no_bucket():
    assert not Place("/data/home").is_bucket
    assert scheme_of("/data/s3://b") is None
    assert scheme_of("relative") is None


def test_a_place_travels_as_json_and_comes_back():
    place = Place(
        "s3://b/p",
        endpoint="http://h",
        secrets="HAULAGE_SOURCE",
        tags=(("a", "1"), ("b", "")),
        in_flight=3,
    )
    assert Place.from_fields(json.loads(json.dumps(place.as_fields()))) == place
    assert {field.name for field in fields(Place)} == set(place.as_fields())


@pytest.mark.parametrize(
    ("size", "part"),
    [
        (0, 16 * MIB),
        (16 * MIB * 10_000, 16 * MIB),
        (16 * MIB * 10_000 + 1, 32 * MIB),
        (5 * TIB, 528 * MIB),
    ],
)
def test_parts_grow_with_the_object(size, part):
    assert part_bytes(size) == part
    assert -(-size // part) <= 10_000
