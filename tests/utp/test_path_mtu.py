"""Sizes of packets: the largest that passes is found, and given up when nothing passes."""

from __future__ import annotations

import pytest

from engine.utp.path_mtu import PathMtu


def _search(mtu: PathMtu, path: int, now: float = 0.0) -> list[int]:
    tried = []
    while size := mtu.probe_bytes(now):
        tried.append(size)
        mtu.probe_sent()
        assert not mtu.probe_bytes(now), "one at a time"
        if size <= path:
            mtu.probe_arrived(size, now)
        else:
            mtu.probe_lost()
    return tried


@pytest.mark.parametrize(
    ("path", "found"), [(1472, 1472), (1464, 1392), (1392, 1392), (1391, 1252), (9000, 1472)]
)
def test_the_largest_that_passes_is_found(path: int, found: int) -> None:
    mtu = PathMtu(is_ipv6=False)
    assert mtu.packet_bytes == 1252
    _search(mtu, path)
    assert mtu.packet_bytes == found


def test_one_lost_probe_proves_nothing() -> None:
    mtu = PathMtu(is_ipv6=True)
    assert mtu.packet_bytes == 1232
    mtu.probe_sent()
    mtu.probe_lost()
    assert _search(mtu, 1452) == [1452]
    assert mtu.packet_bytes == 1452


def test_a_black_hole_makes_packets_small_and_climbs_slowly() -> None:
    mtu = PathMtu(is_ipv6=False)
    _search(mtu, 1472)
    mtu.nothing_passes(10.0)
    assert mtu.packet_bytes == 548
    assert not mtu.probe_bytes(11.0)
    assert mtu.probe_bytes(71.0) == 1252
    for minute in range(1, 6):
        _search(mtu, 1392, 11.0 + 60 * minute)
    assert mtu.packet_bytes == 1392
