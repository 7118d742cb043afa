"""Fetch a bucket's listing page by page, with the next one always requested ahead."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from haulage.errors import FatalError, HaulageError
from haulage.paths import shown
from haulage.storage.buckets.keys.paths import FIRST_PRIVATE, LAST_CHAR, is_plain
from haulage.storage.buckets.protocol import Keys, Lists


class DisorderError(HaulageError):
    """The server does not list in path order, so the listing must be sorted."""


@dataclass(frozen=True, slots=True)
class KeyRoot:
    """A root in a bucket: its prefix is empty or ends in a slash.

    `for_files` tells that the other endpoint is a file system: what that cannot hold is
    refused, and prefixes are listed as directories.
    """

    bucket: Lists
    prefix: str
    for_files: bool = field(kw_only=True)


def server_pages(
    root: KeyRoot, after: str | None, is_enough: Callable[[str], bool]
) -> Generator[Keys, None, None]:
    """Yield pages until the last, or until one ends with a key that is enough."""
    ahead = ThreadPoolExecutor(1, "list")
    token: str | None = None
    try:
        asked = ahead.submit(root.bucket.page, root.prefix, after=after)
        while True:
            page = asked.result()
            if page.is_last or (page.keys and is_enough(page.keys[-1])):
                yield page
                return
            after, token = _next(root, page, after, token)
            asked = ahead.submit(
                root.bucket.page, root.prefix, after=after, token=token
            )
            yield page
    finally:
        ahead.shutdown(wait=False, cancel_futures=True)


def _next(
    root: KeyRoot, page: Keys, after: str | None, token: str | None
) -> tuple[str | None, str | None]:
    """Return the key or token with which the page after `page` is requested."""
    if page.token is not None:
        if page.token == token:
            raise FatalError(
                f"{root.prefix or 'the bucket'!a}: the server gave the same "
                "continuation token twice, so its listing has no end and proves "
                "nothing"
            )
        return after, page.token
    if not page.keys:
        raise FatalError(
            f"{root.prefix or 'the bucket'!a}: the server gave an empty page and said "
            "that more follow, but not how to ask for them"
        )
    if after is not None and page.keys[-1] <= after:
        raise DisorderError(
            f"the server lists {page.keys[-1]!a} again, after {after!a}"
        )
    return page.keys[-1], None


def key_before(key: str) -> str:
    """Return a key with next to nothing between it and `key`, which comes after it.

    It serves to list from a key on, where a server can only list after a key.
    """
    code = ord(key[-1]) - 1
    if code <= 0:
        return key[:-1]
    last = chr(0xD7FF if 0xD800 <= code < 0xE000 else code)
    return key[:-1] + last + LAST_CHAR


def check_may_begin(root: KeyRoot, after: bytes) -> None:
    """Raise DisorderError unless every path after `after` has a key after its key.

    Only the private-use characters of non-UTF-8 bytes sort otherwise, and only before
    keys that sort after them.
    """
    if not is_plain(after):
        raise DisorderError(f"{shown(after)} does not sort as its key does")
    text = after.decode()
    for at, char in enumerate(text):
        if char < FIRST_PRIVATE:
            continue
        base = root.prefix + text[:at]
        page = root.bucket.page(base, after=base + chr(ord(FIRST_PRIVATE) - 1), limit=1)
        if page.keys and page.keys[0][len(base)] < "\uf800":
            raise DisorderError(f"{page.keys[0]!a} does not sort as its path does")
