import botocore.exceptions
import botocore.parsers
import obstore.exceptions
import pytest

from haulage.errors import (
    FatalError,
    PermanentError,
    TransientError,
    UnstableError,
    VanishedError,
)
from haulage.storage.buckets.faults import (
    DeniedError,
    ElsewhereError,
    NoBucketError,
    Reply,
    ReplyError,
    UnsupportedError,
    reply_of,
    sorted_error,
)
from haulage.storage.buckets.pace import ThrottledError

XML = "<Error><Code>{}</Code><Message>It &amp; that</Message><AWSAccessKeyId>AKID"
OBSTORE = (
    "Generic S3 error: Error performing GET http://h/b/k?X-Amz-Signature=5161 in 1ms - "
    "Server returned non-2xx status code: {} {}: {}\n\nDebug source:\nGeneric {{ }}"
)

ANSWERS = [
    (403, "ExpiredToken", DeniedError),
    (400, "ExpiredToken", DeniedError),
    (403, "SignatureDoesNotMatch", DeniedError),
    (401, "", DeniedError),
    (403, "AccessDenied", PermanentError),
    (403, "", PermanentError),
    (404, "NoSuchKey", VanishedError),
    (404, "", VanishedError),
    (404, "NoSuchBucket", NoBucketError),
    (301, "PermanentRedirect", ElsewhereError),
    (400, "AuthorizationHeaderMalformed", ElsewhereError),
    (412, "PreconditionFailed", UnstableError),
    (416, "InvalidRange", UnstableError),
    (503, "SlowDown", ThrottledError),
    (503, "", ThrottledError),
    (429, "", ThrottledError),
    (500, "InternalError", TransientError),
    (500, "", TransientError),
    (504, "", TransientError),
    (200, "InternalError", TransientError),
    (400, "RequestTimeout", TransientError),
    (400, "BadDigest", TransientError),
    (400, "EntityTooLarge", PermanentError),
    (501, "NotImplemented", UnsupportedError),
    (507, "", FatalError),
    (403, "QuotaExceeded", FatalError),
]


@pytest.mark.parametrize(("status", "code", "kind"), ANSWERS)
def test_an_answer_is_the_same_error_whichever_client_heard_it(status, code, kind):
    answer = {
        "Error": {"Code": code or str(status), "Message": "It & that"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    heard = [
        ReplyError(Reply(status, code, "It & that")),
        botocore.exceptions.ClientError(answer, "GetObject"),
    ]
    if status != 200:
        text = OBSTORE.format(status, "Reason", XML.format(code) if code else "")
        heard.append(obstore.exceptions.GenericError(text))
    for err in heard:
        told = sorted_error(err, "GET key")
        assert type(told) is kind
        assert str(told).startswith(f"GET key: HTTP {status}")
        assert code in str(told)
        assert "AKID" not in str(told)
        assert "5161" not in str(told)
        assert '"' not in str(told), "half of a quoted address"


def test_the_servers_sentence_is_told_unless_it_may_repeat_a_key():
    for code, told in (("AccessDenied", True), ("InvalidAccessKeyId", False)):
        text = OBSTORE.format(403, "Forbidden", XML.format(code))
        err = sorted_error(obstore.exceptions.GenericError(text), "GET key")
        assert ("It & that" in str(err)) is told


def test_no_answer_is_transient_and_names_no_address():
    url = "https://h/b/k?X-Amz-Signature=5161"
    for err in (
        obstore.exceptions.GenericError(
            f"Error performing GET {url} in 1ms - HTTP error"
        ),
        botocore.exceptions.EndpointConnectionError(endpoint_url=url, error="refused"),
        botocore.exceptions.ReadTimeoutError(endpoint_url=url, error="slow"),
        botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        botocore.parsers.ResponseParserError("no XML"),
    ):
        told = sorted_error(err, "GET key")
        assert type(told) is TransientError
        assert "5161" not in str(told)
        assert '"' not in str(told), "half of a quoted address"
        assert reply_of(err) is None


def test_what_botocore_will_not_send_fails_the_entry():
    err = botocore.exceptions.ParamValidationError(report="Key is too short")
    assert type(sorted_error(err, "PUT key")) is PermanentError


def test_what_is_no_stores_error_is_nobodys_to_sort():
    assert sorted_error(ZeroDivisionError(), "GET key") is None
    assert sorted_error(FileNotFoundError(2, "No such file"), "GET key") is None
