from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.net.gateway import default_gateway, parse_routes, received

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
LAN = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
WIFI = "wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
CABLE = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
DOWN = "eth1\t00000000\t0109A8C0\t0002\t0\t0\t1\t00000000\t0\t0\t0\n"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (HEAD + LAN + WIFI + CABLE + DOWN, "192.168.1.1"),
        (HEAD + WIFI, "192.168.2.1"),
        (HEAD + LAN + DOWN, None),
        (HEAD, None),
        ("", None),
    ],
)
def test_the_default_route_of_least_metric_is_the_router(table: str, expected: str | None) -> None:
    assert parse_routes(table) == expected


def test_the_router_of_one_interface() -> None:
    assert parse_routes(HEAD + LAN + WIFI + CABLE, "wlan0") == "192.168.2.1"
    assert parse_routes(HEAD + LAN + WIFI + CABLE, "tun0") is None


@given(st.text())
def test_any_table_can_be_read(text: str) -> None:
    assert parse_routes(f"{HEAD}{text}") is None or "\t" in text or " " in text


def test_the_real_table_can_be_read() -> None:
    found = default_gateway()
    assert found is None or socket.inet_aton(found)


async def test_datagrams_are_waited_for() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        one.setblocking(False)
        one.bind(("127.0.0.1", 0))
        waiting = asyncio.create_task(received(one))
        await asyncio.sleep(0)
        other.sendto(b"hello", one.getsockname())
        assert await waiting == (b"hello", "127.0.0.1")
