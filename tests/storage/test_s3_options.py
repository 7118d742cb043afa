"""What a place says of new objects, and of who pays, reaches every request."""

from dataclasses import replace

import pytest

from haulage.storage.buckets.protocol import PutBy
from tests.servers.proxy import proxy
from tests.storage.s3_opening import BY, opened, put

pytest_plugins = ["tests.servers.fixtures"]

MIB = 1 << 20
KMS = {"encryption": "aws:kms", "kms_key": "arn:aws:kms:us-east-1:000000000000:key/k"}
CASES = {
    "class": ({"storage_class": "STANDARD_IA"}, {"StorageClass": "STANDARD_IA"}),
    "key of the service": (
        {"encryption": "AES256"},
        {"ServerSideEncryption": "AES256"},
    ),
    "key of KMS": (
        KMS,
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS["kms_key"]},
    ),
}


def made_every_way(s3, plain):
    """Make objects by each of the requests that make any; yield their keys."""
    put(s3, "put")
    put(s3, "odd//put")
    upload = s3.begin_upload("parts", BY)
    part = s3.put_part("parts", upload, 1, b"content")
    s3.finish_upload("parts", upload, [part])
    small, large = plain.head("small"), plain.head("large")
    s3.copy_from(plain, small, "copied", None)
    s3.copy_from(plain, small, "copied with more", PutBy({"mtime": "2"}))
    s3.copy_from(plain, large, "copied in parts", None)
    put(s3, "stamped")
    s3.restamp("stamped", PutBy({"mtime": "3"}), etag=s3.head("stamped").etag)
    return ["put", "odd//put", "parts", "copied", "copied with more",
            "copied in parts", "stamped"]  # fmt: skip


@pytest.mark.parametrize(("wanted", "told"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("kind", ["localstack", "moto_s3"])
def test_class_and_encryption_hold_however_an_object_is_made(
    request, bucket, kind, wanted, told
):
    server = request.getfixturevalue(kind)
    name = bucket(server)
    plain = opened(server, name)
    put(plain, "small")
    plain.put("large", bytes(6 * MIB), BY)
    s3 = opened(server, name, copied_at_once=5 * MIB, **wanted)
    for key in made_every_way(s3, plain):
        head = server.client().head_object(Bucket=name, Key=key)
        assert {field: head.get(field) for field in told} == told, key
        assert s3.get(key)[0].size == head["ContentLength"]


def test_new_metadata_leaves_an_objects_own_class_and_key_as_they_are(
    localstack, bucket
):
    name = bucket(localstack)
    etag = put(opened(localstack, name, storage_class="STANDARD_IA", **KMS), "key")
    s3 = opened(localstack, name)  # whose place says nothing
    s3.restamp("key", PutBy({"mtime": "2"}), etag=etag)
    head = localstack.client().head_object(Bucket=name, Key="key")
    assert head["StorageClass"] == "STANDARD_IA"
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == tuple(KMS.values())


def test_a_requester_that_pays_says_so_by_all_three_clients(localstack, bucket):
    name = bucket(localstack)
    with proxy(localstack.endpoint) as between:
        far = localstack.at(between.endpoint)
        s3 = opened(far, name, copied_at_once=5 * MIB, requester_pays=True)
        s3.check()
        put(s3, "small")
        s3.put("large", bytes(6 * MIB), BY)
        made = made_every_way(s3, s3)
        tagged = replace(BY.carried, tags=(("a", "b"),))
        s3.put("tagged", b"content", PutBy({}, tagged))
        assert s3.tags("tagged")
        for key in [*s3.page("").keys]:
            s3.get(key)
            s3.sums(s3.head(key))
        s3.abort_upload("gone", s3.begin_upload("gone", BY))
        assert list(s3.uploads("")) == []
        for key in made:
            s3.remove(key)
        silent = [
            seen.target
            for seen in between.seen()
            if seen.field("x-amz-request-payer") != "requester"
        ]
    assert between.seen("GET", "tagging")
    assert between.seen("GET", "uploads")
    assert between.seen("POST", "uploadId")
    assert silent == []
