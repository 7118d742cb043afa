"""Sort errors of obstore, botocore and raw answers into haulage.errors.

Messages are short: the request, the status, the code and the server's own sentence.
Bodies of errors are never shown whole, because they repeat keys and signatures.
"""

import html
import re
import sys
from typing import NamedTuple

import obstore.exceptions

from haulage.errors import (
    FatalError,
    HaulageError,
    PermanentError,
    TransientError,
    UnstableError,
    VanishedError,
)
from haulage.storage.buckets.pace import ThrottledError


class DeniedError(FatalError):
    """The service refuses these credentials."""


class ElsewhereError(FatalError):
    """The bucket is in another region than requested."""


class NoBucketError(FatalError):
    """The bucket does not exist."""


class UntrustedError(FatalError):
    """The server's certificate has no trusted signer."""


class WrongSchemeError(FatalError):
    """The server speaks TLS and was asked without, or vice versa."""


class UnsupportedError(PermanentError):
    """The server does not support such a request."""


class Reply(NamedTuple):
    """An unsuccessful answer; code and message are empty if it had none."""

    status: int
    code: str
    message: str

    @property
    def text(self) -> str:
        """Return the answer in one line."""
        words = f"HTTP {self.status} {self.code}".rstrip()
        return f"{words}: {self.message}" if self.message else words


class ReplyError(Exception):
    """A raw answer that is not a success."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


_KINDS: dict[type[HaulageError], str] = {
    DeniedError: "ExpiredToken ExpiredTokenException InvalidAccessKeyId InvalidToken "
    "InvalidClientTokenId SignatureDoesNotMatch RequestTimeTooSkewed RequestExpired "
    "TokenRefreshRequired NotSignedUp AccountProblem InvalidSecurity",
    ElsewhereError: "PermanentRedirect AuthorizationHeaderMalformed TemporaryRedirect "
    "IllegalLocationConstraintException Redirect",
    NoBucketError: "NoSuchBucket",
    WrongSchemeError: "PlainRequest",
    ThrottledError: "SlowDown SlowDownRead SlowDownWrite ServiceUnavailable Throttling "
    "ThrottlingException RequestLimitExceeded TooManyRequests BandwidthLimitExceeded",
    TransientError: "InternalError RequestTimeout BadDigest IncompleteBody "
    "XAmzContentSHA256Mismatch XAmzContentChecksumMismatch OperationAborted "
    "ConditionalRequestConflict",
    VanishedError: "NoSuchKey NoSuchVersion NoSuchUpload NotFound",
    UnsupportedError: "NotImplemented XNotImplemented",
    UnstableError: "PreconditionFailed InvalidRange",
    FatalError: "QuotaExceeded XMinioStorageFull InsufficientStorage AllAccessDisabled",
}
_KIND_OF_CODE = {code: kind for kind, codes in _KINDS.items() for code in codes.split()}
_KIND_OF_STATUS: dict[int, type[HaulageError]] = {
    301: ElsewhereError,
    307: ElsewhereError,
    401: DeniedError,
    404: VanishedError,
    408: TransientError,
    412: UnstableError,
    416: UnstableError,
    429: ThrottledError,
    501: UnsupportedError,
    503: ThrottledError,
    507: FatalError,
}
_NEXT_STEP: dict[type[HaulageError], str] = {
    DeniedError: "check the credentials, their session token and the clock",
    ElsewhereError: "give the bucket's region",
    NoBucketError: "check the name and the endpoint, or create the bucket",
    UntrustedError: "name the file with the CA of that server in AWS_CA_BUNDLE",
    WrongSchemeError: "write https:// in the endpoint where the server speaks TLS, and "
    "http:// where it does not",
}


def sorted_error(err: Exception, what: str) -> HaulageError | None:
    """Return `err` as a HaulageError; None if it is no error of a store."""
    if isinstance(err, HaulageError):
        return err
    reply = reply_of(err)
    if reply is not None:
        return error_of(reply, what)
    if tls := _sort_tls(str(err), what):
        return tls
    if isinstance(err, obstore.exceptions.BaseError):
        return TransientError(f"{what}: {_without_answer(str(err))}")
    if type(err).__module__.startswith("botocore."):
        return _sort_botocore(err, what)
    return None


def error_of(reply: Reply, what: str) -> HaulageError:
    """Return the error for an answer."""
    kind = _KIND_OF_CODE.get(reply.code) or _kind_of_status(reply.status)
    if kind is DeniedError:  # some servers repeat the key
        reply = reply._replace(message="")
    step = _NEXT_STEP.get(kind)
    return kind(f"{what}: {reply.text}" + (f"; {step}" if step else ""))


def _kind_of_status(status: int) -> type[HaulageError]:
    if status == 200 or status >= 500:  # 200: an error came behind the headers
        return _KIND_OF_STATUS.get(status, TransientError)
    return _KIND_OF_STATUS.get(status, PermanentError)


# ------------------------------------------------------------------- answers

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>\s*([\w.]{1,80})\s*</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{0,200})")


def reply_of(err: Exception) -> Reply | None:
    """Return the answer that `err` reports; None if no answer came."""
    if isinstance(err, ReplyError):
        return err.reply
    if isinstance(err, obstore.exceptions.BaseError | FileNotFoundError):
        text = str(err).partition("\n\nDebug source:")[0]
        status = _STATUS.search(text)
        return reply_in(int(status[1]), text) if status else None
    answer = getattr(err, "response", None)  # a ClientError of botocore
    if isinstance(answer, dict) and "Error" in answer:
        return _reply_in_dict(answer)
    return None


def reply_in(status: int, body: str) -> Reply:
    """Return the answer with this body."""
    code, message = _CODE.search(body), _MESSAGE.search(body)
    if status == 400 and code is None and _ASKED_PLAINLY.search(body):
        return Reply(status, "PlainRequest", "the server speaks TLS")
    words = html.unescape(message[1]) if message else ""
    return Reply(status, code[1] if code else "", " ".join(words.split()))


def _reply_in_dict(answer: dict[str, dict[str, object]]) -> Reply:
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(answer["Error"].get("Code", ""))
    message = str(answer["Error"].get("Message", ""))[:200]
    assert isinstance(status, int)
    if code.isdigit():  # an answer to HEAD has no body
        return Reply(status or int(code), "", "")
    return Reply(status, code, message)


_ASKED_PLAINLY = re.compile(r"plain HTTP request|HTTP request to an HTTPS")

# -------------------------------------------------------------- no answer came

_UNTRUSTED = re.compile(
    r"certificate verify failed: ([\w ,':.-]{1,100})|InvalidCertificate\(\s*(\w+)"
)
_NO_TLS = re.compile(r"WRONG_VERSION_NUMBER|InvalidContentType")

_REASON = re.compile(r'message: "([^"]{1,100})"')
_ADDRESS = re.compile(r'"?https?://\S+')


def _without_answer(text: str) -> str:
    short, _, debug = text.partition("\n\nDebug source:")
    reason = _REASON.search(debug)
    timed_out = "TimedOut" in debug
    words = "timed out" if timed_out else reason[1] if reason else ""
    short = _ADDRESS.sub("the server", short[:200])
    return f"{words} ({short})" if words else short


def _sort_tls(text: str, what: str) -> HaulageError | None:
    """Return why no TLS connection was made, from the words of any client."""
    if untrusted := _UNTRUSTED.search(text):
        reason = (untrusted[1] or untrusted[2]).strip()
        return UntrustedError(
            f"{what}: the server's certificate is not trusted here ({reason}); "
            f"{_NEXT_STEP[UntrustedError]}"
        )
    if _NO_TLS.search(text):
        return WrongSchemeError(
            f"{what}: the server does not speak TLS; {_NEXT_STEP[WrongSchemeError]}"
        )
    return None


def _sort_botocore(err: Exception, what: str) -> HaulageError:
    known = sys.modules["botocore.exceptions"]
    text = f"{what}: {_ADDRESS.sub('the server', str(err))[:200]}"
    unread = sys.modules["botocore.parsers"].ResponseParserError
    passing = (known.HTTPClientError, known.ConnectionError, known.IncompleteReadError)
    if isinstance(err, (*passing, unread)):
        return TransientError(text)
    return PermanentError(text)
