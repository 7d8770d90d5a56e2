from __future__ import annotations

from engine.control.filter_answers import filter_status, is_blocked
from engine.core.ip_filter import IpFilter
from engine.net.route import Route
from engine.session.filtering import Filtering, FilterOptions


def _filtering(**values: object) -> Filtering:
    options = FilterOptions(**values)  # type: ignore[arg-type]
    return Filtering(options, Route(), lambda _: None)  # type: ignore[arg-type,return-value]


async def test_all_that_is_known_is_told() -> None:
    filtering = _filtering(source="/list", allow=("9.9.9.9",))
    assert not filter_status(filtering).is_open
    filtering.gate.take(IpFilter.of(["9.0.0.0/8", "2001:db8::/32"]))
    filtering.gate.admits("9.1.1.1")
    told = filter_status(filtering)
    assert told.is_open
    assert (told.source, told.allow) == ("/list", ["9.9.9.9"])
    assert (told.ipv4_ranges, told.ipv6_ranges, told.refused) == (1, 1, 1)
    assert told.memory_bytes == 8 + 32


async def test_why_an_address_is_blocked_or_not() -> None:
    filtering = _filtering(source="/list", allow=("9.9.9.9",))
    waiting = is_blocked(filtering, "8.8.8.8")
    assert (waiting.is_listed, waiting.is_blocked) == (False, True)
    filtering.gate.take(IpFilter.of(["9.0.0.0/8"]))
    answers = [is_blocked(filtering, host) for host in ("9.1.1.1", "9.9.9.9", "8.8.8.8")]
    assert [(each.is_listed, each.is_blocked) for each in answers] == [
        (True, True),
        (True, False),
        (False, False),
    ]
