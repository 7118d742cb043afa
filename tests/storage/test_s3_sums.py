"""What each server keeps of an object, and damage on the way that it tells."""

import random
from base64 import b64encode

import pytest

from haulage.errors import MismatchError, TransientError, VanishedError
from haulage.place import Place
from haulage.storage.buckets.pace import Pace
from haulage.storage.buckets.s3.bucket import open_s3
from haulage.storage.buckets.sums import CrcSums, PartSums, WholeSums, digest, ranges_of
from haulage.storage.store import Extent, Sums
from tests.servers.faults import LOST_ANSWER, FlipAnswer, Rule
from tests.servers.proxy import proxy
from tests.storage.s3_opening import BY, SOON, opened, put
from tests.storage.s3_peculiar import Habits, peculiar

pytest_plugins = ["tests.servers.fixtures"]

MIB = 1 << 20
STEP = 5 * MIB  # as the least that servers take for a part
CONTENT = random.Random(3).randbytes(STEP) * 2 + b"the end"
SIZE = len(CONTENT)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr("haulage.place._SMALLEST_PART", STEP)


@pytest.fixture(params=["localstack", "moto_s3", "rclone_s3"])
def server(request):
    return request.getfixturevalue(request.param)


def upload(server, name, key="large", *, steps=(STEP, STEP), **wanted):
    """Make an object in parts of these lengths, the last one what is left."""
    client, parts, at = server.client(), [], 0
    where = {"Bucket": name, "Key": key}
    begun = client.create_multipart_upload(**where, **wanted)["UploadId"]
    for number, step in enumerate((*steps, SIZE), 1):
        body = CONTENT[at : at + step]
        about = {"UploadId": begun, "PartNumber": number, "Body": body}
        if "ChecksumAlgorithm" in wanted:
            about["ChecksumAlgorithm"] = wanted["ChecksumAlgorithm"]
        made = client.upload_part(**where, **about)
        names = [name for name in made if name == "ETag" or name.startswith("Checksum")]
        parts.append({"PartNumber": number} | {name: made[name] for name in names})
        at += step
    client.complete_multipart_upload(
        **where, UploadId=begun, MultipartUpload={"Parts": parts}
    )


def read_all(s3, key="large"):
    """Read an object in ranges, in order, and hold it against its own sum."""
    found = s3.head(key)
    sums, known = s3.sums(found), {}
    for extent in ranges_of(found.size):
        _, content = s3.get(key, span=extent, etag=found.etag)
        sums.follow(extent, content)
        known[extent.offset] = sums.of(extent, content)
    sums.check(known)
    return sums


def flip(between, times=1):
    between.add(Rule(FlipAnswer(77), "GET", "large", after=1, times=times))


def test_a_wrong_byte_in_one_range_is_found_by_whatever_the_server_keeps(
    server, bucket
):
    name = bucket(server)
    upload(server, name)
    kinds = {"localstack": CrcSums, "moto": PartSums, "rclone": WholeSums}
    with proxy(server.endpoint) as between:
        s3 = opened(server.at(between.endpoint), name)
        assert type(read_all(s3)) is kinds[server.name]
        flip(between)
        with pytest.raises(MismatchError):
            read_all(s3)
        read_all(s3)


@pytest.mark.parametrize("form", ["COMPOSITE", "FULL_OBJECT"])
def test_checksums_that_an_uploader_chose_prove_its_object(localstack, bucket, form):
    name = bucket(localstack)
    upload(localstack, name, ChecksumAlgorithm="CRC32", ChecksumType=form)
    with proxy(localstack.endpoint) as between:
        s3 = opened(localstack.at(between.endpoint), name)
        kind = CrcSums if form == "FULL_OBJECT" else PartSums
        assert type(read_all(s3)) is kind
        flip(between)
        with pytest.raises(MismatchError, match="crc32"):
            read_all(s3)


def test_parts_that_turn_out_uneven_make_no_mismatch(moto_s3, bucket):
    name = bucket(moto_s3)
    upload(moto_s3, name, steps=(STEP, STEP + 1))
    s3 = opened(moto_s3, name)
    assert type(read_all(s3)) is PartSums


def test_an_etag_that_only_looks_like_a_sum_makes_no_mismatch(moto_s3, bucket):
    name = bucket(moto_s3)
    upload(moto_s3, name)
    s3 = opened(moto_s3, name)
    found = s3.head("large")
    sums = s3.sums(found)
    sums.wanted = sums.wanted._replace(value=bytes(16))  # as if it had another
    known = {
        start: sums.of(Extent(start, STEP), CONTENT[start : start + STEP])
        for start in range(0, SIZE, STEP)
    }
    with pytest.raises(MismatchError):
        sums.check(known | {0: bytes(16)})
    sums.check(known)
    assert type(s3.sums(found)) is Sums  # it is read twice only once


@pytest.mark.parametrize("steps", [(STEP, STEP), (STEP + 1, STEP)])
def test_a_small_object_of_parts_is_proven_as_a_whole(server, bucket, steps):
    name = bucket(server)
    upload(server, name, steps=steps)
    with proxy(server.endpoint) as between:
        s3 = opened(server.at(between.endpoint), name)
        etag = s3.head("large").etag
        for known in (etag, None):
            assert s3.get("large", etag=known)[1] == CONTENT
            between.add(Rule(FlipAnswer(77), "GET", "large"))
            before = len(between.seen("GET", "large"))
            got = s3.get("large", etag=known)[1]
            if steps[0] == STEP or server.name != "moto":  # which keeps no checksum
                assert got == CONTENT
                assert len(between.seen("GET", "large")) > before + 1


def test_a_version_that_is_gone_is_not_asked_for_its_sum(moto_s3, bucket):
    s3 = opened(moto_s3, bucket(moto_s3))
    put(s3, "key")
    found = s3.head("key")
    put(s3, "key", b"another")
    assert type(s3.sums(found)) is Sums
    s3.remove("key")
    assert type(s3.sums(found)) is Sums


KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_content_under_an_etag_that_is_no_md5_is_proven_by_its_checksum():
    habits = Habits(etags_are_md5=False, encryption="aws:kms")
    right = b64encode(digest("crc64nvme", b"content")).decode()
    habits.tells = {"x-amz-checksum-crc64nvme": right}
    with peculiar(habits) as endpoint:
        s3 = open_s3(Place("s3://there", endpoint=endpoint), KEYS, pace=Pace(SOON))
        etag = s3.put("key", b"content", BY).etag
        for _ in range(3):
            assert bytes(s3.get("key", etag=etag)[1]) == b"content"
        habits.objects["/there/key"] = (b"contenT", etag.decode())
        for _ in range(2):
            with pytest.raises(TransientError, match="crc64nvme"):
                s3.get("key", etag=etag)


def test_a_small_object_costs_one_request_whatever_its_etag_is(localstack, bucket):
    with proxy(localstack.endpoint) as between:
        s3 = opened(localstack.at(between.endpoint), bucket(localstack))
        plain = put(s3, "plain")
        upload(localstack, s3.reach.address.bucket, "parts")
        before = len(between.seen())
        s3.get("plain", etag=plain)
        assert len(between.seen()) == before + 1
        etag = s3.page("parts").etags[0]
        s3.get("parts", etag=etag)
        assert len(between.seen()) == before + 3


def sent(s3, key="sent", by=BY):
    """Begin an upload and send its parts; return what it is completed with."""
    begun = s3.begin_upload(key, by)
    pieces = [CONTENT[at : at + STEP] for at in range(0, SIZE, STEP)]
    etags = [
        s3.put_part(key, begun, number, piece) for number, piece in enumerate(pieces, 1)
    ]
    return key, begun, etags


def test_the_whole_that_a_server_makes_of_parts_is_held_against_their_sum(
    localstack, bucket
):
    s3 = opened(localstack, bucket(localstack))
    assert s3.finish_upload(*sent(s3), digest("crc64nvme", CONTENT)).proven
    with pytest.raises(MismatchError, match=r"sent.*crc64nvme"):
        s3.finish_upload(*sent(s3), bytes(8))


@pytest.mark.parametrize("faults", [(), (LOST_ANSWER,)], ids=["told", "lost"])
def test_an_object_of_parts_is_proven_without_etags_that_are_sums(
    localstack, bucket, faults
):
    with proxy(localstack.endpoint) as between:
        name = bucket(localstack)
        kms = {"encryption": "aws:kms", "kms_key": "alias/mine"}
        s3 = opened(localstack.at(between.endpoint), name, **kms)
        key, begun, etags = sent(s3)
        between.add(*[Rule(fault, "POST", "uploadId") for fault in faults])
        crc = digest("crc64nvme", CONTENT)
        assert s3.finish_upload(key, begun, etags, crc).proven
        assert s3.head("sent").size == SIZE
        with pytest.raises(VanishedError):
            s3.finish_upload(key, begun, [b"f" * 32, *etags[1:]], bytes(8))
        again = s3.finish_upload(key, begun, [b"f" * 32, *etags[1:]], crc)
        assert (again.proven, again.etag) == (True, s3.head("sent").etag)
