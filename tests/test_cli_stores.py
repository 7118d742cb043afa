import argparse

import pytest

from haulage.cli.arguments import options_of
from haulage.cli.options.stores import add_stores
from haulage.config.store_options import StoreOptions
from haulage.errors import RefusedError
from haulage.run.context.endpoints import place_of

BASE = StoreOptions(endpoint="http://lab:9000", in_flight=7, tags={"a": "1"})


NOTHING = StoreOptions()


def options(*words, end="target", base=NOTHING):
    parser = argparse.ArgumentParser()
    add_stores(parser)
    return options_of(parser.parse_args(words), end, base)


def test_without_an_option_everything_stays_as_it_was():
    assert options(base=BASE) == BASE
    assert options(end="source", base=BASE) == BASE


def test_each_end_has_options_of_its_own():
    words = ["--source-endpoint", "http://a", "--target-endpoint", "https://b:1"]
    assert options(*words, end="source").endpoint == "http://a"
    assert options(*words, end="target").endpoint == "https://b:1"


def test_an_endpoint_is_one_server_with_a_slash_at_its_end_or_without():
    given = options("--target-endpoint", "http://lab:9000/")
    assert given.endpoint == "http://lab:9000"


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_an_endpoint_that_names_a_bucket_is_refused(scheme):
    given = options("--target-endpoint", "http://lab:9000/bucket/")
    with pytest.raises(RefusedError, match="name the bucket in the URL"):
        place_of(f"{scheme}://bucket", given, "HAULAGE_TARGET")


def test_an_endpoint_of_azure_may_name_the_account():
    given = options("--target-endpoint", "http://127.0.0.1:10000/account/")
    place = place_of("az://container", given, "HAULAGE_TARGET")
    assert place.endpoint == "http://127.0.0.1:10000/account"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://Lab:9000/", "http://lab:9000"),
        ("HTTPS://s3.Lab.example:443/", "https://s3.lab.example"),
        ("http://lab:80", "http://lab"),
        ("https://lab:80", "https://lab:80"),
    ],
)
def test_an_endpoint_has_one_spelling(given, kept):
    assert options("--target-endpoint", given).endpoint == kept


def test_an_option_changes_what_it_names_and_nothing_else():
    changed = options("--target-in-flight", "3", base=BASE)
    assert changed == BASE.model_copy(update={"in_flight": 3})


def test_numbers_sizes_switches_and_tags_are_understood():
    made = options(
        *("--target-memory", "1G", "--target-path-style", "--target-create-bucket"),
        *("--target-tag", "team=a b", "--target-tag", "empty="),
        *(
            "--target-encryption",
            "aws:kms",
            "--target-kms-key",
            "k",
            "--target-checksum",
        ),
        "none",
    )
    assert (made.memory, made.path_style, made.create_bucket) == (1 << 30, True, True)
    assert made.tags == {"team": "a b", "empty": ""}
    assert (made.encryption, made.kms_key, made.checksum) == ("aws:kms", "k", "none")


def test_where_the_buckets_name_stands_can_be_said_both_ways():
    assert options().path_style is None
    assert options("--target-path-style").path_style is True
    assert options("--target-virtual-hosted").path_style is False
    assert options("--source-virtual-hosted", end="source").path_style is False


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--target-endpoint", "lab:9000"),
        ("--target-endpoint", "http://lab:9000/account?comp=list"),
        ("--target-in-flight", "0"),
        ("--target-memory", "lots"),
        ("--target-checksum", "crc7"),
        ("--target-encryption", "rot13"),
        ("--target-tag", "no-value"),
        ("--target-tag", "=no-key"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_option(option, value):
    with pytest.raises(RefusedError, match=option):
        options(option, value)


@pytest.mark.parametrize("url", ["http://me:sesame@lab", "http://me:x/sesame@lab"])
def test_credentials_in_an_endpoint_are_refused_and_not_repeated(url):
    with pytest.raises(RefusedError, match="--target-endpoint") as refused:
        options("--target-endpoint", url)
    assert "sesame" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_source_has_no_options_of_new_objects():
    with pytest.raises(SystemExit):
        options("--source-kms-key", "k", end="source")
