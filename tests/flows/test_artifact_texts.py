from dataclasses import replace

import pytest

from flows import artifact_texts
from tests.flows.progress import HOSTILE, dataset, plan, progress, summary, wave


@pytest.mark.parametrize(
    "text",
    ["a-b", "a_b <b>*x*</b> [l](http://h) | d", "`c`", "``", "a ``` b ` c", HOSTILE],
)
def test_harmless_text_is_one_code_span_that_nothing_in_it_can_end(text: str) -> None:
    span = artifact_texts.harmless(text)
    fence = span[: len(span) - len(span.lstrip("`"))]
    assert span.endswith(fence)
    assert fence not in span[len(fence) : -len(fence)]


@pytest.mark.parametrize("bad", ["\x1b[31m", "\n", "\r", "\x00", "\u202e", "\x9b"])
def test_control_characters_reach_neither_a_page_nor_a_log(bad: str) -> None:
    assert artifact_texts.harmless(f"a{bad}b").isprintable()
    assert artifact_texts.plain(f"a{bad}b").isprintable()


def test_a_hostile_note_stays_one_bullet_of_the_summary_page() -> None:
    page = artifact_texts.summary_page(dataset(), summary(notes=(HOSTILE,)))
    bullets = [line for line in page.splitlines() if line.startswith("- ")]
    assert len(bullets) == 1
    assert artifact_texts.harmless(HOSTILE) in page
    assert "\x1b" not in page


def test_a_page_of_waiting_deletes_says_what_to_type() -> None:
    page = artifact_texts.plan_page(
        dataset(), plan(entries=3), [b"a", HOSTILE.encode()]
    )
    assert "with plan `7` and yes_delete `3`" in page
    assert "`haulage deletes apply 7 --yes-delete 3`" in page
    assert "and 1 more: `haulage deletes show 7`" in page
    assert artifact_texts.harmless(HOSTILE) in page
    assert "\x1b" not in page


def test_the_summary_page_has_every_count() -> None:
    page = artifact_texts.summary_page(dataset(), summary(failed=3, kept=4, deleted=5))
    for cell in ("| listed | 1,000 |", "| deleted | 5 |", "| kept by a guard | 4 |"):
        assert cell in page
    assert "**3**" in page
    assert "haulage failures 20261121T021500-abcd" in page


def test_a_run_is_never_shown_as_complete_while_it_still_lists() -> None:
    assert artifact_texts.share_done(progress(100, listed_all=False)) == 99.0
    assert artifact_texts.share_done(progress(100)) == 100.0
    assert artifact_texts.share_done(progress(50)) == 50.0


def test_a_run_that_has_nothing_to_do_is_complete() -> None:
    idle = replace(progress(0), planned=0, planned_bytes=0)
    assert artifact_texts.share_done(idle) == 100.0


def test_artifact_keys_are_what_prefect_accepts() -> None:
    assert (
        artifact_texts.artifact_key("My.Data_set-1", "waves") == "my-data-set-1-waves"
    )


def test_a_wave_is_one_row_with_counts_and_rate() -> None:
    assert artifact_texts.wave_rows([wave()]) == [
        {
            "wave": "copy wave 1",
            "pass": "copy",
            "state": "running",
            "shards": "2/4",
            "entries": "50/100",
            "bytes": "512.0 KiB of 1.0 MiB",
            "seconds": "2.0",
            "rate": "25 entries/s, 256.0 KiB/s",
        }
    ]
