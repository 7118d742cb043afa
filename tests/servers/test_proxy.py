"""The proxy passes all on as it is, but for the fault of a rule."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ResponseStreamingError,
)

from tests.servers import faults
from tests.servers.faults import (
    Answer,
    Cut,
    Delay,
    FlipAnswer,
    FlipRequest,
    Reset,
    Rule,
)
from tests.servers.proxy import proxy

BODY = os.urandom(1 << 20)
BROKEN = (ConnectionClosedError, IncompleteReadError, ResponseStreamingError)


@pytest.fixture(params=["localstack", "moto_s3", "rclone_s3"])
def server(request):
    """Return each of the servers in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def place(localstack, bucket):
    """Return LocalStack, a bucket in it and that holds `BODY` as key `a`."""
    name = bucket(localstack)
    localstack.client().put_object(Bucket=name, Key="a", Body=BODY)
    return localstack, name


def put(client, name, key, body=b"x"):
    client.put_object(Bucket=name, Key=key, Body=body)


def get(client, name, key="a"):
    return client.get_object(Bucket=name, Key=key)["Body"].read()


def keys(server, name):
    listed = server.client().list_objects_v2(Bucket=name).get("Contents", [])
    return [each["Key"] for each in listed]


def test_what_no_rule_strikes_passes_unchanged(server, bucket):
    name = bucket(server)
    with proxy(server.endpoint) as between:
        client = server.at(between.endpoint).client(attempts=1)
        put(client, name, "a b/é&+", BODY)
        put(client, name, "empty", b"")
        assert get(client, name, "a b/é&+") == BODY
        assert get(client, name, "empty") == b""
        head = client.head_object(Bucket=name, Key="a b/é&+")
        assert head["ContentLength"] == len(BODY)
        part = client.get_object(Bucket=name, Key="a b/é&+", Range="bytes=5-9")
        assert part["Body"].read() == BODY[5:10]
        with pytest.raises(ClientError, match="NoSuchKey"):
            get(client, name, "absent")
        client.delete_object(Bucket=name, Key="empty")
    assert keys(server, name) == ["a b/é&+"]


def test_an_upload_in_parts_passes(server, bucket):
    name = bucket(server)
    with proxy(server.endpoint) as between:
        client = server.at(between.endpoint).client(attempts=1)
        parts = [os.urandom(5 << 20), os.urandom(1 << 20)]
        upload(client, name, parts)
        assert get(client, name) == b"".join(parts)
        assert len(between.seen("PUT", r"partNumber=\d")) == 2


def upload(client, name, parts):
    """Put key `a` in parts."""
    which = {"Bucket": name, "Key": "a"}
    which["UploadId"] = client.create_multipart_upload(**which)["UploadId"]
    done = []
    for number, body in enumerate(parts, 1):
        made = client.upload_part(**which, PartNumber=number, Body=body)
        done.append({"ETag": made["ETag"], "PartNumber": number})
    client.complete_multipart_upload(**which, MultipartUpload={"Parts": done})


@pytest.mark.parametrize(
    "fault",
    [
        faults.SLOW_DOWN,
        faults.INTERNAL_ERROR,
        faults.TOO_MANY_REQUESTS,
        faults.EXPIRED_TOKEN,
        faults.ACCESS_DENIED,
        faults.CLOCK_SKEWED,
    ],
)
def test_an_error_comes_in_place_of_the_answer(fault, place):
    server, name = place
    with proxy(server.endpoint, Rule(fault, "PUT")) as between:
        client = server.at(between.endpoint).client(attempts=1)
        with pytest.raises(ClientError, match=fault.code) as caught:
            put(client, name, "b")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == (
            fault.status
        )
        put(client, name, "c")
        assert [each.status for each in between.seen()] == [fault.status, 200]
    assert keys(server, name) == ["a", "c"]


def test_an_error_may_hide_what_was_done(place):
    server, name = place
    hidden = Answer(500, "InternalError", carried_out=True)
    with proxy(server.endpoint, Rule(hidden, "PUT")) as between:
        client = server.at(between.endpoint).client(attempts=1)
        with pytest.raises(ClientError, match="InternalError"):
            put(client, name, "b")
    assert keys(server, name) == ["a", "b"]


def test_a_client_that_tries_again_gets_over_an_error(place):
    server, name = place
    rule = Rule(faults.SLOW_DOWN, "GET", times=2)
    with proxy(server.endpoint, rule) as between:
        client = server.at(between.endpoint).client(attempts=3)
        assert get(client, name) == BODY
        assert [each.status for each in between.seen("GET")] == [503, 503, 200]


def test_success_may_hold_an_error_document(place):
    server, name = place
    with proxy(server.endpoint, Rule(faults.ERROR_IN_SUCCESS, "PUT")) as between:
        client = server.at(between.endpoint).client(attempts=1)
        with pytest.raises(ClientError, match="InternalError"):
            client.copy_object(Bucket=name, Key="b", CopySource=f"{name}/a")
        assert [each.status for each in between.seen()] == [200]
    assert keys(server, name) == ["a"]


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_reset_leaves_open_whether_the_request_was_done(place, carried_out):
    server, name = place
    with proxy(server.endpoint, Rule(Reset(carried_out), "PUT")) as between:
        client = server.at(between.endpoint).client(attempts=1)
        with pytest.raises(ConnectionClosedError):
            put(client, name, "b")
        assert [each.status for each in between.seen("PUT")] == [0]
    assert keys(server, name) == (["a", "b"] if carried_out else ["a"])


def test_the_answer_to_the_end_of_an_upload_may_be_lost(localstack, bucket):
    name = bucket(localstack)
    rule = Rule(faults.LOST_ANSWER, "POST", "uploadId=")
    with proxy(localstack.endpoint, rule) as between:
        client = localstack.at(between.endpoint).client(attempts=1)
        with pytest.raises(ConnectionClosedError):
            upload(client, name, [b"only one"])
    assert get(localstack.client(), name) == b"only one"


@pytest.mark.parametrize("in_chunks", [False, True])
def test_an_answer_is_cut_short(place, in_chunks):
    server, name = place
    rule = Rule(Cut(300_000, in_chunks), "GET")
    with proxy(server.endpoint, rule) as between:
        client = server.at(between.endpoint).client(attempts=1)
        body = client.get_object(Bucket=name, Key="a")["Body"]
        assert body.read(300_000) == BODY[:300_000]
        with pytest.raises(BROKEN):
            body.read()
        assert get(client, name) == BODY


def test_one_bit_of_an_answer_is_flipped(place):
    server, name = place
    with proxy(server.endpoint, Rule(FlipAnswer(700_001), "GET")) as between:
        client = server.at(between.endpoint).client(attempts=1)
        read = get(client, name)
        assert get(client, name) == BODY
    assert [i for i in range(len(BODY)) if read[i] != BODY[i]] == [700_001]


def test_one_bit_of_a_request_is_flipped(moto_s3, bucket):
    name = bucket(moto_s3)  # it does not look at digests
    with proxy(moto_s3.endpoint, Rule(FlipRequest(3), "PUT")) as between:
        put(moto_s3.at(between.endpoint).client(attempts=1), name, "a", b"abcdef")
    assert get(moto_s3.client(), name) == b"abceef"


def test_a_rule_strikes_the_requests_that_it_names(place):
    server, name = place
    rule = Rule(faults.ACCESS_DENIED, "PUT", r"/b\d$", after=1, times=2)
    with proxy(server.endpoint) as between:
        client = server.at(between.endpoint).client(attempts=1)
        put(client, name, "b0")
        between.add(rule)
        for key in ["x", "b1", "b2", "y", "b3", "b4"]:
            try:
                put(client, name, key)
            except ClientError:
                client.head_object(Bucket=name, Key="a")
        denied = [each.path for each in between.seen("PUT") if each.status == 403]
        assert denied == [f"/{name}/b2", f"/{name}/b3"]
        assert len(between.seen("HEAD")) == 2
    assert keys(server, name) == ["a", "b0", "b1", "b4", "x", "y"]


def test_rules_for_the_same_requests_strike_one_after_another(place):
    server, name = place
    rules = [Rule(faults.SLOW_DOWN), Rule(faults.INTERNAL_ERROR), Rule(Delay(0.001))]
    with proxy(server.endpoint, *rules) as between:
        assert get(server.at(between.endpoint).client(attempts=3), name) == BODY
        assert [each.status for each in between.seen()] == [503, 500, 200]


def test_a_delay_holds_up_its_own_request_only(place):
    server, name = place
    rules = [Rule(Delay(30), target="/slow"), Rule(Delay(0.001), times=None)]
    with ThreadPoolExecutor(9) as threads, proxy(server.endpoint, *rules) as between:
        client = server.at(between.endpoint).client(attempts=1)
        late = threads.submit(partial(put, client, name, "slow"))
        list(threads.map(partial(put, client, name), map(str, range(40))))
        assert len(between.seen("PUT")) == 40
        assert not late.done()
    assert isinstance(late.exception(), ConnectionClosedError)
    assert "slow" not in keys(server, name)


def test_a_proxy_runs_alone_and_says_its_port(place):
    server, name = place
    words = [sys.executable, "-m", "tests.servers.proxy", "--delay-ms", "1"]
    words += ["--target", server.endpoint]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            assert get(server.at(f"http://127.0.0.1:{port}").client(), name) == BODY
        finally:
            process.terminate()
