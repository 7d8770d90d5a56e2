"""Numbers in few cells, text in exactly as many as asked, and nothing that moves a cursor."""

from __future__ import annotations

import contextlib
import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from engine.errors import InputError
from tui import format as fmt

COUNTS = st.integers(min_value=0, max_value=2**63)
TROUBLE = "日本語ｆ\u0301\u200d\u202e\x1b\n\t\x9b\N{MAN}\N{GIRL}\N{WAVING WHITE FLAG}\ufe0f…"
NASTY = st.text(st.characters() | st.sampled_from(TROUBLE), max_size=60)


@given(COUNTS)
def test_short_sizes_fit_their_column(count: int) -> None:
    assert 2 <= cell_len(fmt.short_size(count)) <= 5


@given(COUNTS, COUNTS)
def test_a_larger_size_never_reads_smaller(one: int, other: int) -> None:
    def read(text: str) -> float:
        return float(text[:-1]) * 1024.0 ** fmt.UNITS.index(text[-1])

    low, high = sorted((one, other))
    assert read(fmt.short_size(low)) <= read(fmt.short_size(high))


@pytest.mark.parametrize(
    ("count", "short", "full"),
    [
        (0, "0B", "0 B"),
        (999, "999B", "999 B"),
        (1000, "1000B", "1000 B"),
        (1023, "1023B", "1023 B"),
        (1023.7, "1.00K", "1.00 KiB"),
        (1024, "1.00K", "1.00 KiB"),
        (10_235, "10.0K", "10.0 KiB"),
        (1023 * 1024, "1.00M", "1.00 MiB"),
        (5 * 2**30 - 1, "5.00G", "5.00 GiB"),
        (-5, "0B", "0 B"),
    ],
)
def test_sizes(count: int, short: str, full: str) -> None:
    assert fmt.short_size(count) == short
    assert fmt.size(count) == full
    assert fmt.rate(count) == f"{full}/s"


def test_a_still_rate_is_blank() -> None:
    assert fmt.short_rate(0) == ""
    assert fmt.short_rate(1) == "1B"


@given(st.one_of(st.none(), st.floats(), st.integers(0, 10**12)))
def test_durations_fit_their_column(seconds: float | None) -> None:
    assert cell_len(fmt.duration(seconds)) <= 6


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (86_399, "23h59m"),
        (99 * 86_400 + 3600, "99d01h"),
        (100 * 86_400, "100d"),
        (10**9, "∞"),
        (math.inf, "∞"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert fmt.duration(seconds) == text


@given(st.floats())
def test_ratios_fit_their_column(value: float) -> None:
    assert 1 <= len(fmt.ratio(value)) <= 4


@given(st.floats(0, 1), st.sampled_from([0, 1, 2]))
def test_only_what_is_complete_has_a_hundred_percent(progress: float, digits: int) -> None:
    text = fmt.percent(progress, digits)
    assert text.startswith("100") == (progress == 1)
    assert float(text[:-1]) <= progress * 100 + 1e-5


def test_percentages_of_hundredths_are_exact() -> None:
    assert [fmt.percent(n / 100) for n in range(101)] == [f"{n}%" for n in range(101)]


@given(st.integers(0, 2**52).map(lambda n: n - n % 1024))
def test_a_typed_rate_is_read_back(rate: int) -> None:
    assert fmt.parse_rate(f"{rate // 1024}K") == rate
    assert fmt.parse_rate(f" {rate // 1024} kib/s ") == rate
    assert fmt.parse_rate(f"{rate // 1024}") == rate
    assert fmt.parse_rate(f"{rate}B") == rate


@pytest.mark.parametrize("text", ["", " ", "0", "none", "Unlimited", "0K"])
def test_no_limit_is_zero(text: str) -> None:
    assert fmt.parse_rate(text) == 0


def test_rates_with_fractions() -> None:
    assert fmt.parse_rate("0.0001K") == 1, "0 is no limit"
    assert fmt.parse_rate("1.5M") == fmt.parse_rate("1,5 MiB/s") == 1536 * 1024


@given(NASTY)
def test_a_rate_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        assert fmt.parse_rate(text) >= 0


@pytest.mark.parametrize("text", ["-5", "fast", "1e9", "5 apples", "9" * 40])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        fmt.parse_rate(text)


@given(NASTY)
def test_clean_text_cannot_move_a_cursor(text: str) -> None:
    cleaned = fmt.clean(text)
    assert not {unicodedata.category(char) for char in cleaned} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert fmt.clean(cleaned) == cleaned


def test_clean_text_keeps_what_people_write() -> None:
    for text in ("Ubuntu 24.04", "日本民謡集", "Café – Überfall", "🎵 live"):
        assert fmt.clean(text) == text
    assert fmt.clean("a\x1b[2Jb") == "a�[2Jb"
    assert fmt.clean("exe\u202egpj.txt") == "exegpj.txt"


@given(NASTY.map(fmt.clean), st.integers(0, 70), st.booleans())
def test_fitted_text_fills_its_width_exactly(text: str, width: int, right: bool) -> None:
    assert cell_len(fmt.fit(text, width, right=right)) == width


@given(NASTY.map(fmt.clean), st.integers(0, 70))
def test_truncated_text_is_an_end_of_it(text: str, width: int) -> None:
    for cut, rest in (
        (fmt.truncate(text, width), text.startswith),
        (fmt.truncate_start(text, width), text.endswith),
    ):
        assert cell_len(cut) <= width
        assert cut == text or not cut or rest(cut.strip(fmt.ELLIPSIS))
    if cell_len(text) <= width:
        assert fmt.truncate(text, width) == fmt.truncate_start(text, width) == text


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    assert fmt.excerpt("x" * 300, 300) == "x" * 300
    cut = fmt.excerpt(f"cannot read /{'x' * 100_000}: File name too long", 300)
    assert cut.startswith("cannot read /xxx")
    assert cut.endswith("xxx: File name too long")
    assert len(cut) <= 303


def test_a_wide_character_is_not_cut_in_half() -> None:
    assert fmt.fit("日本語", 4) == "日… "
    assert fmt.fit("日本語", 5) == "日本…"


@given(st.floats(), st.integers(0, 40))
def test_bars_fill_their_width(progress: float, width: int) -> None:
    done, rest = fmt.bar(progress, width)
    assert cell_len(done + rest) == width
    if width:
        assert (done == fmt.EIGHTHS[8] * width) == (progress >= 1)
        assert (not done) == (not progress > 0)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 40))
def test_bars_grow(one: float, other: float, width: int) -> None:
    def eighths(progress: float) -> int:
        return sum(fmt.EIGHTHS.index(char) for char in fmt.bar(progress, width)[0])

    low, high = sorted((one, other))
    assert eighths(low) <= eighths(high)
