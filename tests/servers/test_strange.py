"""The server of wrong listings is wrong in just the one way that was wanted."""

import pytest

from tests.servers.s3 import S3Server
from tests.servers.strange import SIZE_BYTES, Habit, strange

KEYS = ["b/2", "a", "b/1", "d é&?", "c", "b-"]
SORTED = ["a", "b-", "b/1", "b/2", "c", "d é&?"]


@pytest.fixture
def ask(tmp_path):
    """Return what asks a server of wrong listings for one page."""

    def page(endpoint, **wish):
        server = S3Server("strange", endpoint, "us-east-1", "key", "secret", tmp_path)
        return server.client().list_objects_v2(Bucket="any", **wish)

    return page


def pages(ask, endpoint, most=20):
    """Return the keys of all pages, and of no more than `most`."""
    found: list[list[str]] = []
    token: dict[str, str] = {}
    for _ in range(most):
        page = ask(endpoint, **token)
        found.append([each["Key"] for each in page.get("Contents", [])])
        if not page["IsTruncated"]:
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    return found


def test_without_a_habit_it_lists_in_the_order_of_bytes(ask):
    with strange(KEYS, page_keys=4) as endpoint:
        assert pages(ask, endpoint) == [SORTED[:4], SORTED[4:]]
        first = ask(endpoint)["Contents"][0]
    assert first["Size"] == SIZE_BYTES


def test_it_knows_prefix_delimiter_and_start(ask):
    with strange(KEYS) as endpoint:
        page = ask(endpoint, Delimiter="/", StartAfter="b-")
        below = ask(endpoint, Delimiter="/", Prefix="b/")
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["b/"]
    assert [each["Key"] for each in page["Contents"]] == ["c", "d é&?"]
    assert [each["Key"] for each in below["Contents"]] == ["b/1", "b/2"]
    assert "CommonPrefixes" not in below


def test_unsorted_keys_come_as_they_were_given(ask):
    with strange(KEYS, Habit.UNSORTED, page_keys=4) as endpoint:
        assert pages(ask, endpoint) == [KEYS[:4], KEYS[4:]]


def test_a_repeated_token_leads_to_the_same_page_for_ever(ask):
    with strange(KEYS, Habit.REPEATED_TOKEN, page_keys=2) as endpoint:
        expected = [SORTED[:2], SORTED[2:4], SORTED[2:4], SORTED[2:4]]
        assert pages(ask, endpoint, most=4) == expected


def test_an_empty_page_may_have_a_successor(ask):
    with strange(KEYS, Habit.EMPTY_PAGE, page_keys=4) as endpoint:
        assert pages(ask, endpoint) == [[], SORTED[:4], [], SORTED[4:]]


def test_a_key_may_come_on_two_pages(ask):
    with strange(KEYS, Habit.DUPLICATE_KEY, page_keys=4) as endpoint:
        assert pages(ask, endpoint) == [SORTED[:4], SORTED[3:]]
