"""List a bucket's keys with signed requests, without botocore's slow parser."""

from haulage.errors import FatalError
from haulage.storage.buckets.protocol import Keys
from haulage.storage.buckets.s3.connection.reach import Reach
from haulage.storage.buckets.s3.xml import read_page


def list_page(
    reach: Reach,
    prefix: str,
    *,
    after: str | None,
    delimiter: str | None,
    limit: int,
    token: str | None,
) -> Keys:
    r"""Return one page; FatalError if the server's listing would never end.

    `after` alone continues after a key. After a rolled-up prefix it continues as
    `prefix + "\U0010ffff"`, because `prefix` itself would be rolled up once more.
    """
    query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", str(limit))]
    given = {
        "prefix": prefix,
        "start-after": after,
        "delimiter": delimiter,
        "continuation-token": token,
    }
    query += [(name, value) for name, value in given.items() if value]
    what = f"the listing of s3://{reach.address.bucket}/{prefix}"

    def request() -> Keys:
        return read_page(reach.wire.send("GET", "", query=query).body, what)

    page = reach.call(what, request)
    if not page.is_last:
        _check_progress(page, what, after, token)
    return page


def _check_progress(
    page: Keys, what: str, after: str | None, token: str | None
) -> None:
    """Raise FatalError if the next page would be this one again."""
    if token and page.token == token:
        raise FatalError(f"{what} gives the same continuation token twice")
    listed = [*page.keys, *page.prefixes]
    if not listed and not page.token:
        raise FatalError(f"{what} is said to go on, but a page of it is empty")
    if after and not token and listed and max(listed) <= after:
        raise FatalError(
            f"{what} continues after {after} with keys that are not after it; the "
            "server ignores start-after"
        )
