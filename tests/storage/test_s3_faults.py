"""What goes wrong on the way, made by a proxy in front of real servers."""

import threading

import pytest

from haulage.errors import (
    CancelledError,
    FatalError,
    MismatchError,
    PermanentError,
    TransientError,
)
from haulage.storage.buckets.pace import Pace, Patience
from haulage.storage.buckets.s3.bucket import open_s3
from haulage.storage.buckets.s3.connection.credentials import Secret
from tests.servers.faults import (
    ACCESS_DENIED,
    CLOCK_SKEWED,
    ERROR_IN_SUCCESS,
    EXPIRED_TOKEN,
    INTERNAL_ERROR,
    LOST_ANSWER,
    RESET,
    SLOW_DOWN,
    TOO_MANY_REQUESTS,
    Answer,
    Cut,
    FlipAnswer,
    FlipRequest,
    Rule,
)
from tests.servers.proxy import proxy
from tests.storage.s3_opening import BY, METADATA, opened, place_of, put

pytest_plugins = ["tests.servers.fixtures"]

CONTENT = b"The quick brown fox. " * 500
PASSING = {
    "slow down": SLOW_DOWN,
    "internal error": INTERNAL_ERROR,
    "too many": TOO_MANY_REQUESTS,
    "bad gateway": Answer(502, "BadGateway"),
    "reset": RESET,
    "timeout": Answer(400, "RequestTimeout"),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_what_passes_is_tried_again_in_every_request(way, fault):
    between, s3 = way
    methods = ("PUT", "GET", "HEAD", "POST", "DELETE")
    between.add(*[Rule(fault, method) for method in methods])
    between.add(Rule(fault, "PUT", "partNumber"), Rule(fault, "GET", "list-type"))
    etag = put(s3, "key", CONTENT)
    assert bytes(s3.get("key", etag=etag)[1]) == CONTENT
    assert s3.head("key").metadata == METADATA
    upload = s3.begin_upload("parts", BY)
    part = s3.put_part("parts", upload, 1, CONTENT)
    assert s3.finish_upload("parts", upload, [part]).proven
    assert list(s3.page("").keys) == ["key", "parts"]
    s3.remove("key")
    assert s3.head("key") is None


def test_a_service_that_never_recovers_fails_with_its_answer_and_the_tries(way):
    between, s3 = way
    between.add(Rule(SLOW_DOWN, times=None))
    with pytest.raises(TransientError, match=r"503 SlowDown.*tried 5 times"):
        s3.get("key")
    assert len(between.seen("GET")) == 5


@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_body_cut_short_is_asked_for_again(way, in_chunks):
    between, s3 = way
    for key in ("key", "odd//key"):
        put(s3, key, CONTENT)
    between.add(Rule(Cut(1000, in_chunks), "GET", r"key", times=2))
    assert bytes(s3.get("key")[1]) == CONTENT
    between.add(Rule(Cut(1000, in_chunks), "GET", r"odd", times=2))
    assert bytes(s3.get("odd//key")[1]) == CONTENT
    between.add(Rule(Cut(1, in_chunks), "GET", r"key", times=2))
    assert bytes(s3.get("key", span=(5, 9))[1]) == CONTENT[5:14]


@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_listing_cut_short_is_asked_for_again(way, in_chunks):
    between, s3 = way
    for key in ("a", "b"):
        put(s3, key)
    between.add(Rule(Cut(300, in_chunks), "GET", "list-type", times=2))
    assert list(s3.page("").keys) == ["a", "b"]
    assert len(between.seen("GET", "list-type")) == 3


def test_a_listing_that_is_an_error_with_status_200_is_asked_for_again(way):
    between, s3 = way
    put(s3, "a")
    between.add(Rule(ERROR_IN_SUCCESS, "GET", "list-type", times=2))
    assert list(s3.page("").keys) == ["a"]


def test_a_bit_that_flips_on_the_way_down_is_found_by_the_etag(way):
    between, s3 = way
    put(s3, "key", CONTENT)
    between.add(Rule(FlipAnswer(at=77), "GET", "key", times=2))
    assert bytes(s3.get("key")[1]) == CONTENT
    assert len(between.seen("GET", "key")) >= 3


def test_a_bit_that_flips_on_the_way_up_is_found_by_a_server_that_checks(
    localstack, bucket
):
    name = bucket(localstack)
    with proxy(localstack.endpoint) as between:
        s3 = opened(localstack.at(between.endpoint), name)
        between.add(Rule(FlipRequest(at=77), "PUT", "key", times=2))
        assert s3.put("key", CONTENT, BY).proven
        upload = s3.begin_upload("parts", BY)
        between.add(Rule(FlipRequest(at=77), "PUT", "partNumber", times=2))
        parts = [s3.put_part("parts", upload, 1, CONTENT)]
        s3.finish_upload("parts", upload, parts)
        assert len(between.seen("PUT")) == 6
    direct = opened(localstack, name)
    assert bytes(direct.get("key")[1]) == CONTENT
    assert bytes(direct.get("parts")[1]) == CONTENT


def test_a_bit_that_flips_on_the_way_up_is_a_mismatch_where_the_server_does_not_look(
    way,
):
    between, s3 = way
    between.add(Rule(FlipRequest(at=77), "PUT", "key"))
    with pytest.raises(MismatchError, match="key"):
        s3.put("key", CONTENT, BY)
    upload = s3.begin_upload("parts", BY)
    between.add(Rule(FlipRequest(at=77), "PUT", "partNumber"))
    parts = [s3.put_part("parts", upload, 1, CONTENT)]  # sent twice: none was known
    assert len(between.seen("PUT", "partNumber")) == 2
    s3.finish_upload("parts", upload, parts)
    assert bytes(s3.get("parts")[1]) == CONTENT
    upload = s3.begin_upload("parts", BY)
    between.add(Rule(FlipRequest(at=77), "PUT", "partNumber"))
    with pytest.raises(MismatchError, match="part 1 of"):
        s3.put_part("parts", upload, 1, CONTENT)


@pytest.mark.parametrize("fault", [ERROR_IN_SUCCESS, LOST_ANSWER, RESET])
def test_an_upload_is_completed_though_its_answer_is_lost_or_lies(
    localstack, bucket, fault
):
    name = bucket(localstack)
    with proxy(localstack.endpoint) as between:
        s3 = opened(localstack.at(between.endpoint), name)
        upload = s3.begin_upload("key", BY)
        part = s3.put_part("key", upload, 1, CONTENT)
        between.add(Rule(fault, "POST", "uploadId"))
        answer = s3.finish_upload("key", upload, [part])
        assert answer.proven
        assert s3.head("key").etag == answer.etag
        assert len(between.seen("POST", "uploadId")) == 2


def test_an_upload_that_somebody_else_dropped_is_not_taken_for_done(localstack, bucket):
    s3 = opened(localstack, bucket(localstack))
    upload = s3.begin_upload("key", BY)
    part = s3.put_part("key", upload, 1, CONTENT)
    s3.abort_upload("key", upload)
    put(s3, "key", b"another's")
    with pytest.raises(PermanentError, match="key"):
        s3.finish_upload("key", upload, [part])


def test_a_copy_that_fails_with_status_200_is_tried_again(way):
    between, s3 = way
    put(s3, "from", CONTENT)
    between.add(Rule(ERROR_IN_SUCCESS, "PUT", "/to", times=2))
    s3.copy_from(s3, s3.head("from"), "to", None)
    assert bytes(s3.get("to")[1]) == CONTENT


def test_access_denied_to_one_key_leaves_the_others(way):
    between, s3 = way
    between.add(Rule(ACCESS_DENIED, target="/secret", times=None))
    for call in (s3.head, s3.get, lambda key: s3.put(key, b"1", BY), s3.remove):
        with pytest.raises(PermanentError, match="403"):
            call("secret")
    assert put(s3, "open")


@pytest.mark.parametrize("fault", [EXPIRED_TOKEN, CLOCK_SKEWED])
def test_keys_that_can_not_be_renewed_are_fatal_at_once(way, fault):
    between, s3 = way
    between.add(Rule(fault, times=None))
    with pytest.raises(FatalError, match=r"credentials.*clock"):
        s3.get("key")
    with pytest.raises(FatalError, match="credentials"):
        s3.page("")
    assert len(between.seen()) == 2


@pytest.fixture
def profile(tmp_path, monkeypatch, moto_s3):
    """Write credentials into a file, as a person has them; give the file."""
    file = tmp_path / "credentials"
    for name in moto_s3.environment():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    write_keys(file, "AKIAOLDOLDOLDOLD")
    return file


def write_keys(file, key):
    file.write_text(
        f"[lab]\naws_access_key_id = {key}\naws_secret_access_key = secret\n"
    )


def test_expired_keys_are_looked_up_again_and_the_request_goes_on(
    way, moto_s3, profile
):
    between, direct = way
    put(direct, "key", CONTENT)
    place = place_of(moto_s3.at(between.endpoint), direct.reach.address.bucket)
    s3 = open_s3(_with_profile(place), {}, pace=Pace(Patience(tries=2)))
    assert bytes(s3.get("key")[1]) == CONTENT
    write_keys(profile, "AKIANEWNEWNEWNEW")
    between.add(Rule(EXPIRED_TOKEN, "GET", times=1))
    assert bytes(s3.get("key")[1]) == CONTENT
    assert s3.reach.credentials.current() == Secret("AKIANEWNEWNEWNEW", "secret")
    between.add(Rule(EXPIRED_TOKEN, "PUT", times=None))
    with pytest.raises(FatalError, match="credentials"):
        s3.put("key", b"1", BY)
    assert len(between.seen("PUT", "key")) == 3


def _with_profile(place):
    return type(place).from_fields({**place.as_fields(), "profile": "lab"})


def test_a_stop_ends_the_tries_soon(moto_s3, bucket):
    stopping = threading.Event()
    with proxy(moto_s3.endpoint, Rule(SLOW_DOWN, times=None)) as between:
        pace = Pace(Patience(base_s=600, cap_s=600, budget_s=1e6), stopping=stopping)
        place = place_of(moto_s3.at(between.endpoint), bucket(moto_s3))
        s3 = open_s3(place, moto_s3.environment(), pace=pace)
        threading.Timer(0.2, stopping.set).start()
        with pytest.raises(CancelledError):
            s3.get("key")


def test_no_error_shows_a_key_a_token_or_a_signature(rclone_s3, bucket):
    secrets = ("WRONGSECRET", "SESSIONTOKEN", rclone_s3.access_key, "Signature=")
    name = bucket(rclone_s3)
    environ = {
        "AWS_ACCESS_KEY_ID": rclone_s3.access_key,
        "AWS_SECRET_ACCESS_KEY": "WRONGSECRET",
        "AWS_SESSION_TOKEN": "SESSIONTOKEN",
    }
    s3 = open_s3(place_of(rclone_s3, name), environ, pace=Pace(Patience(tries=1)))
    for call in (
        lambda: s3.get("key"),
        lambda: s3.put("key", b"1", BY),
        lambda: s3.put("odd//key", b"1", BY),
        lambda: s3.begin_upload("key", BY),
        lambda: s3.page(""),
        s3.check,
    ):
        with pytest.raises(Exception, match=name) as failed:
            call()
        shown = f"{failed.value!r} {failed.value.__cause__!r} {s3!r}"
        assert failed.value.__context__ is None or failed.value.__suppress_context__
        assert not any(secret in shown for secret in secrets)
