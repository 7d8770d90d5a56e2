"""Kinds of settings: what people write means what they think, and is shown so that it means it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.network_kinds import Address, Addresses, Networks
from engine.setting_kinds import (
    FileOrUrl,
    Kind,
    OneOf,
    OptionalPlace,
    Place,
    PowerOfTwo,
    Rate,
    Seconds,
    Size,
    Switch,
    Whole,
    parse_setting,
)

SIZE, TIME, NUMBER = Size(0, 1 << 50), Seconds(0, 1e6), Whole(0, 99)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (SIZE, "0", 0),
        (SIZE, 65536, 65536),
        (SIZE, "10MiB", 10 << 20),
        (SIZE, " 10 MiB ", 10 << 20),
        (SIZE, "1.5MB", 1_500_000),
        (SIZE, "1.5 GiB", 3 << 29),
        (SIZE, "7B", 7),
        (SIZE, "3kB", 3000),
        (Rate(), "1.5MB/s", 1_500_000),
        (Rate(), "1.5MB", 1_500_000),
        (Rate(), "100Mbit/s", 12_500_000),
        (Rate(), "1Gbit/s", 125_000_000),
        (Rate(), "500K", 512_000),
        (Rate(), "500k/s", 512_000),
        (Rate(), "0.0001K", 1),
        (Rate(), "0.0K", 0),
        (Rate(), "1.5M/s", 3 << 19),
        (SIZE, "64K", 65536),
        (Rate(), "8kbit", 1000),
        (Rate(), 0, 0),
        (TIME, "30s", 30.0),
        (TIME, 30, 30.0),
        (TIME, "0.25", 0.25),
        (TIME, "250ms", 0.25),
        (TIME, "5min", 300.0),
        (TIME, "1.5h", 5400.0),
        (TIME, "2d", 172_800.0),
        (NUMBER, "7", 7),
        (NUMBER, 7, 7),
        (PowerOfTwo(1 << 14, 1 << 26), "32KiB", 32768),
        (Addresses(), "", ()),
        (Addresses(), "a.b:1, [0::1]:3 1.2.3.4:2", ("a.b:1", "[::1]:3", "1.2.3.4:2")),
        (Addresses(), ["a.example:1", "a.example:1"], ("a.example:1",)),
        (Switch(), "TRUE", True),
        (Switch(), "off", False),
        (Switch(), True, True),
        (OneOf(("a", "b")), "B", "b"),
        (Place(), "/srv/x y", Path("/srv/x y")),
        (OptionalPlace(), "", None),
        (OptionalPlace(), "/s", Path("/s")),
        (Address(), "0.0.0.0:6881", "0.0.0.0:6881"),
        (Address(), "[0:0::1]:0", "[::1]:0"),
        (Address(), "*:6881", "*:6881"),
        (FileOrUrl(), "", ""),
        (FileOrUrl(), "/srv/list", "/srv/list"),
        (FileOrUrl(), " https://lists.example/a?key=~/b ", "https://lists.example/a?key=~/b"),
        (Networks(), "", ()),
        (Networks(), "10.1.2.3/8, ::1", ("10.0.0.0/8", "::1/128")),
        (Networks(), ["192.168.0.0/16"], ("192.168.0.0/16",)),
    ],
)
def test_what_people_write(kind: Kind, text: object, value: object) -> None:
    parsed = parse_setting(kind, text)
    assert parsed == value
    assert type(parsed) is type(value)
    assert kind.parse(kind.show(parsed)) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (SIZE, "10Mb"),
        (SIZE, "10 MB/s"),
        (SIZE, "-1"),
        (SIZE, "1e9"),
        (SIZE, "٣MB"),
        (SIZE, "2000000TB"),
        (SIZE, 1.5),
        (SIZE, True),
        (SIZE, []),
        (Rate(), "10Mb/s"),
        (Rate(), "10MiB/min"),
        (Rate(), "fast"),
        (Rate(), -1),
        (TIME, "30 years"),
        (TIME, "-1s"),
        (TIME, float("nan")),
        (TIME, float("inf")),
        (TIME, False),
        (NUMBER, "100"),
        (NUMBER, "7.0"),
        (NUMBER, 7.0),
        (NUMBER, ""),
        (NUMBER, True),
        (PowerOfTwo(1 << 14, 1 << 26), "1000"),
        (PowerOfTwo(1 << 14, 1 << 26), "100KB"),
        (PowerOfTwo(1 << 14, 1 << 26), "1KiB"),
        (Addresses(), "a.example"),
        (Addresses(), "a.example:0"),
        (Addresses(), "a b/c:1"),
        (Addresses(), "x..y:1"),
        (Addresses(), [1]),
        (Addresses(), 7),
        (FileOrUrl(), "a\0b"),
        (FileOrUrl(), 5),
        (Networks(), "10.0.0.0/33"),
        (Networks(), [10]),
        (Networks(), 5),
        (Switch(), "maybe"),
        (Switch(), 1),
        (OneOf(("a", "b")), "c"),
        (OneOf(("a", "b")), 1),
        (Place(), ""),
        (Place(), "a\0b"),
        (Place(), 5),
        (Address(), "6881"),
        (Address(), "host.example:1"),
        (Address(), "1.2.3.4:65536"),
        (Address(), "::1:80"),
        (Address(), 6881),
    ],
)
def test_what_is_wrong_is_told_what_was_expected(kind: Kind, text: object) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parse_setting(kind, text)
    assert kind.expected in str(caught.value)
    assert repr(text) in str(caught.value)
    assert str(caught.value).count("HOST:PORT") <= 1


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert Place().parse("~/x") == Path("/home/somebody/x")
    with pytest.raises(ValueError, match="no home folder"):
        parse_setting(Place(), "~nobody-of-this-name/x")


@given(st.integers(0, 1 << 40))
def test_shown_sizes_and_rates_are_exact(value: int) -> None:
    assert SIZE.parse(SIZE.show(value)) == value
    assert Rate().parse(Rate().show(value)) == value


@given(st.floats(0, 1e6))
def test_shown_times_are_exact(value: float) -> None:
    parsed = TIME.parse(value)
    assert TIME.parse(TIME.show(parsed)) == parsed
    assert abs(parsed - value) < 1e-8


@given(st.text(max_size=12) | st.integers() | st.floats() | st.booleans() | st.none())
@example(-0.0)
def test_nothing_but_value_errors(given_: object) -> None:
    words = OneOf(("a",)), Address(), Addresses(), OptionalPlace(), Networks()
    for kind in (SIZE, Rate(), TIME, NUMBER, Switch(), *words):
        try:
            value = parse_setting(kind, given_)
        except ValueError:
            continue
        assert kind.parse(kind.show(value)) == value


def test_a_huge_value_is_not_repeated_whole() -> None:
    with pytest.raises(ValueError, match="…") as caught:
        parse_setting(SIZE, "x" * 5000)
    assert len(str(caught.value)) < 300
