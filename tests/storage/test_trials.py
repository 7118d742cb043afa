"""What is put only to learn about a server tells what it is, and is gone."""

import pytest

from haulage.storage.buckets.objects.trials import (
    folds_case,
    folds_forms,
    is_one_bucket,
)
from tests.servers.proxy import proxy
from tests.servers.rclone import rclone
from tests.storage.s3_opening import opened


@pytest.mark.parametrize(
    ("options", "folds"),
    [
        ((), (False, True)),
        (("--no-unicode-normalization",), (False, False)),
        (("--vfs-case-insensitive",), (True, True)),
    ],
)
def test_which_names_a_server_takes_for_one_is_found_out(
    tmp_path, bucket, options, folds
):
    with rclone(tmp_path, *options) as server:
        s3 = opened(server, bucket(server))
        assert (folds_case(s3, "a/"), folds_forms(s3, "a/")) == folds
        assert list(s3.page("").keys) == []


def test_a_bucket_is_the_same_by_another_address_and_another_is_not(moto_s3, bucket):
    name, other = bucket(moto_s3), opened(moto_s3, bucket(moto_s3))
    near = opened(moto_s3, name)
    with proxy(moto_s3.endpoint) as between:
        assert is_one_bucket(opened(moto_s3.at(between.endpoint), name), near, "a/")
    assert not is_one_bucket(other, near, "a/")
    assert list(near.page("").keys) == []
