"""What is learnt of a server: checksums, etags, the bucket's region."""

import pytest

from haulage.errors import FatalError, HaulageError, MismatchError, TransientError
from haulage.place import Place
from haulage.storage.buckets.pace import Pace
from haulage.storage.buckets.s3.bucket import open_s3
from tests.storage.s3_opening import BY, SOON
from tests.storage.s3_peculiar import Habits, peculiar

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
CRC64, SHA256 = "x-amz-checksum-crc64nvme", "x-amz-checksum-sha256"


def reach(endpoint, **wanted):
    place = Place("s3://there", endpoint=endpoint, **wanted)
    return open_s3(place, KEYS, pace=Pace(SOON))


def asked(habits, method):
    return [headers for verb, _, headers in habits.asked if verb == method]


@pytest.mark.parametrize(
    ("refused", "sent"), [((), CRC64), ((CRC64,), SHA256), ((CRC64, SHA256), None)]
)
def test_the_best_checksum_that_a_server_takes_is_found_once(refused, sent):
    habits = Habits(refused=refused)
    with peculiar(habits) as endpoint:
        s3 = reach(endpoint)
        for number in range(3):
            assert s3.put(f"key{number}", b"content", BY).proven
    puts = asked(habits, "PUT")
    assert len(puts) == 3 + len(refused)
    for headers in puts[len(refused) :]:
        assert {CRC64, SHA256} & set(headers) == ({sent} if sent else set())


def test_a_checksum_that_was_asked_for_and_is_refused_fails():
    habits = Habits(refused=(SHA256,))
    with peculiar(habits) as endpoint:
        with pytest.raises(Exception, match="InvalidRequest"):
            reach(endpoint, checksum="sha256").put("key", b"content", BY)
        assert habits.objects == {}


def test_a_server_that_stores_something_else_is_a_mismatch():
    with (
        peculiar(Habits(stores=b"contenT")) as endpoint,
        pytest.raises(MismatchError, match="key"),
    ):
        reach(endpoint).put("key", b"content", BY)


@pytest.mark.parametrize("checks", [True, False])
def test_encryption_with_a_key_is_proven_by_a_server_that_refuses_wrong_checksums(
    checks,
):
    habits = Habits(etags_are_md5=False, encryption="aws:kms", checks_sha256=checks)
    with peculiar(habits) as endpoint:
        s3 = reach(endpoint)
        for number in range(3):
            answer = s3.put(f"key{number}", b"content", BY)
            assert answer.proven is checks
            assert answer.etag == s3.head(f"key{number}").etag
            assert bytes(s3.get(f"key{number}")[1]) == b"content"
    assert len(asked(habits, "PUT")) == 3 + 1  # one of them with a wrong checksum


def test_etags_that_are_no_md5_are_learnt_from_content_that_comes_back():
    habits = Habits(etags_are_md5=False)
    with peculiar(habits) as endpoint:
        s3 = reach(endpoint)
        assert not s3.put("key", b"content", BY).proven
        assert bytes(reach(endpoint).get("key")[1]) == b"content"


def test_content_that_does_not_fit_its_md5_is_not_believed_where_others_do():
    habits = Habits()
    with peculiar(habits) as endpoint:
        s3 = reach(endpoint)
        s3.put("good", b"content", BY)
        s3.put("rotten", b"content", BY)
        habits.objects["/there/rotten"] = (
            b"contenT",
            habits.objects["/there/rotten"][1],
        )
        assert bytes(s3.get("good")[1]) == b"content"
        with pytest.raises(TransientError, match="rotten"):
            s3.get("rotten")


def test_a_bucket_is_followed_to_its_region():
    habits = Habits(region="eu-central-2")
    with peculiar(habits) as endpoint:
        s3 = reach(endpoint, region="us-west-1")
        s3.check()
        assert s3.put("key", b"content", BY).proven
        fresh = reach(endpoint, region="us-west-1")
        assert bytes(fresh.get("key")[1]) == b"content"
        assert "eu-central-2" in repr(fresh)


def test_a_region_that_would_lead_to_another_host_is_not_followed():
    habits = Habits(region="evil.example#")
    with peculiar(habits) as endpoint:
        s3 = reach(endpoint, region="us-west-1")
        with pytest.raises(HaulageError):
            s3.put("key", b"content", BY)
        assert "evil" not in repr(s3)


def test_a_requester_that_pays_says_so_in_every_request():
    habits = Habits()
    with peculiar(habits) as endpoint:
        s3 = reach(endpoint, requester_pays=True)
        s3.put("key", b"content", BY)
        s3.put("odd//key", b"content", BY)
        s3.get("key")
        s3.page("")
    payers = {headers.get("x-amz-request-payer") for _, _, headers in habits.asked}
    assert payers == {"requester"}


def test_storage_class_and_encryption_of_the_place_are_asked_for():
    habits = Habits()
    wanted = {
        "storage_class": "STANDARD_IA",
        "encryption": "aws:kms",
        "kms_key": "alias/mine",
    }
    with peculiar(habits) as endpoint:
        s3 = reach(endpoint, **wanted)
        s3.put("key", b"content", BY)
        s3.put("odd//key", b"content", BY)
    for headers in asked(habits, "PUT"):
        assert headers["x-amz-storage-class"] == "STANDARD_IA"
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        key = headers["x-amz-server-side-encryption-aws-kms-key-id"]
        assert key == "alias/mine"


def test_anonymous_requests_carry_no_signature():
    habits = Habits()
    with peculiar(habits) as endpoint:
        s3 = reach(endpoint, anonymous=True)
        for key in ("key", "odd//key"):
            with pytest.raises(FatalError):  # this server wants one
                s3.get(key)
    assert not any("Authorization" in headers for _, _, headers in habits.asked)


@pytest.mark.parametrize("encryption", ["aws:kms", ""])
def test_parts_whose_etags_are_no_md5_are_taken(encryption):
    habits = Habits(etags_are_md5=False, encryption=encryption)
    with peculiar(habits) as endpoint:
        s3 = reach(endpoint)
        assert s3.put_part("key", "an-upload", 1, b"content")
        assert s3.put_part("key", "an-upload", 2, b"content")
    assert len(asked(habits, "PUT")) == (2 if encryption else 3)
