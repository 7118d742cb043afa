"""Raw signed requests: for keys and calls that obstore does not support.

A body is sent from its own buffer, without a copy; answers are returned whole.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from haulage.errors import TransientError
from haulage.place import Place
from haulage.storage.buckets.faults import ReplyError, reply_in
from haulage.storage.buckets.s3.connection.address import Address
from haulage.storage.buckets.s3.connection.credentials import Credentials

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 120


class Got(NamedTuple):
    """A successful answer; names of headers match in any case."""

    headers: Mapping[str, str]
    body: bytes


class AnswerError(ReplyError):
    """An unsuccessful answer, with its headers and the region it names."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        text = body.decode("utf-8", "replace")
        super().__init__(reply_in(status, text))
        told = text.partition("<Region>")[2].partition("</Region>")[0]
        self.region = headers.get("x-amz-bucket-region") or told or None


class Wire:
    """A pool of connections to one bucket; may be used by any thread."""

    def __init__(
        self,
        place: Place,
        address: Address,
        credentials: Credentials,
        *,
        bundle: str | None = None,
    ) -> None:
        """Create the pool; `bundle` is a file of CAs that replaces the usual ones."""
        from botocore.config import Config
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        self._place = place
        self._site = address
        self._credentials = credentials
        self._unsigned = Config(s3={"payload_signing_enabled": False})
        self._http = URLLib3Session(
            verify=bundle or True,
            proxies=get_environ_proxies(address.service),
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
            max_pool_connections=max(place.in_flight, 10),
        )

    def send(
        self,
        method: str,
        key: str,
        *,
        query: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | memoryview = b"",
        most: int | None = None,
    ) -> Got:
        """Return the answer; AnswerError if it is not a success.

        Of the body, no more than `most` bytes are needed.
        """
        request = self._signed(method, self._site.url(key, query), headers or {}, body)
        answer = self._http.send(request.prepare())
        content = self._read(answer, most)
        if not 200 <= answer.status_code < 300:
            raise AnswerError(answer.status_code, answer.headers, content)
        return Got(answer.headers, content)

    @staticmethod
    def _read(answer: Any, most: int | None) -> bytes:  # noqa: ANN401
        """Return the body in one piece; botocore would add up pieces of 64 KiB."""
        from urllib3.exceptions import HTTPError

        try:
            content: bytes = answer.raw.read(most)
        except HTTPError as err:
            raise TransientError(
                f"the response broke off ({type(err).__name__})"
            ) from None
        if most is not None and len(content) >= most:
            answer.raw.close()  # the rest would be taken for the next answer
        else:
            answer.raw.release_conn()
        return content

    def region(self) -> str | None:
        """Return the bucket's region, if the server names it."""
        try:
            # A listing, because the answer to HEAD says less.
            got = self.send("GET", "", query=(("list-type", "2"), ("max-keys", "1")))
        except AnswerError as err:
            return err.region
        return got.headers.get("x-amz-bucket-region")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _signed(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | memoryview,
    ) -> Any:  # noqa: ANN401 - botocore has no types
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials as Signer

        request = AWSRequest(method, url, data=body, headers=dict(headers))
        request.stream_output = True
        request.headers["User-Agent"] = "haulage"
        if self._place.requester_pays:
            request.headers["x-amz-request-payer"] = "requester"
        secret = self._credentials.current()
        if secret is not None:
            if "Content-MD5" in headers:  # which the server checks: one sum is enough
                request.context["client_config"] = self._unsigned
            signer = Signer(secret.key_id, secret.key, secret.token)
            S3SigV4Auth(signer, "s3", self._site.region).add_auth(request)
        return request
