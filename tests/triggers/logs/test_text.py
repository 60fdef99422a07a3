"""No line of a container can pass for something else in Airflow's UI."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.triggers.logs.text import clean, cut, shown, size_of

ESC = "\x1b"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text, ünïcode ✓ 🎉", "plain text, ünïcode ✓ 🎉"),
        ("a\tb", "a\tb"),
        ("::group::Setup", ": :group::Setup"),
        ("x ::endgroup::", "x : :endgroup::"),
        (f"::gr{ESC}[31moup::x", ": :group::x"),
        (f"{ESC}[31mred{ESC}[0m", f"{ESC}[31mred{ESC}[0m"),
        ("::grouped", "::grouped"),
        ("std::group", "std::group"),
        (":::group::", ":: :group::"),
        ("##[group]x", "##[group]x"),
        (f"{ESC}[2J{ESC}]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\x00b\x7f\x9bc", r"a\x00b\x7f\x9bc"),
        ("done\r", "done"),
        ("10%\r20%\r", "10%\n20%"),
        ("bad \ud800 half", "bad � half"),
        ("", ""),
    ],
)
def test_what_is_shown(raw: str, shown: str) -> None:
    assert clean(raw) == shown


@given(st.lists(st.sampled_from([":", "::", "group", "end", f"{ESC}[1m", ESC, "\x00", "\r", "[", "m", "x", "\ud83d"])))
def test_nothing_can_open_or_close_a_group(parts: list[str]) -> None:
    shown = clean("".join(parts))
    seen_by_the_ui = re.sub(r"\x1b\[[0-9;:]*m", "", shown)
    assert "::group::" not in seen_by_the_ui
    assert "::endgroup::" not in seen_by_the_ui
    shown.encode()  # no surrogates
    assert clean(shown) == shown


@given(st.text(max_size=400), st.integers(1, 300))
def test_cut_keeps_whole_characters(text: str, limit: int) -> None:
    text = clean(text)
    shown = cut(text, limit)
    kept = shown.split(" ... [")[0] if size_of(text) > limit else shown
    assert text.startswith(kept)
    assert size_of(kept) <= limit


@pytest.mark.parametrize("word", ["password=S3cr3t-of-somebody", "\N{KEY}=S3cr3t-of-somebody"])
@pytest.mark.parametrize("first", range(230, 260, 3))
def test_a_word_at_the_limit_is_cut_off_whole_so_that_no_part_of_a_secret_is_left(first: int, word: str) -> None:
    line = "x " * (first // 2) + word + " and more" * 10
    seen = shown(line, 256)
    assert "S3cr3t" not in seen.replace("S3cr3t-of-somebody", "")
    assert seen.startswith("x x x")
    kept, _, rest = seen.partition(" ... [")
    assert rest.startswith(f"{size_of(line) - size_of(kept)} more bytes of this line cut")
