"""UPnP with a router on loopback; the search by multicast in a network of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from engine.discovery.port_mapping import Carrier, MapRequest
from engine.errors import GatewayError
from engine.net import upnp_gateway
from engine.net.route import Route
from engine.net.upnp_gateway import UpnpGateway, find, parse_answer
from tests.fakes.lan import INTERFACE, Flag, address, ip, run_on_lan
from tests.fakes.router import OUTSIDE, UpnpRouter

TCP = MapRequest(Carrier.TCP, 6881, 6881, 3600)
IGD = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"


@contextlib.asynccontextmanager
async def _meeting(router: UpnpRouter) -> AsyncIterator[UpnpGateway]:
    await router.start()
    try:
        gateway = await UpnpGateway.at(router.url, Route())
        try:
            yield gateway
        finally:
            await gateway.close()
    finally:
        await router.stop()


@pytest.mark.parametrize("service", ["WANIPConnection", "WANPPPConnection"])
async def test_ports_are_mapped_and_given_back(service: str) -> None:
    router = UpnpRouter(service=service)
    async with _meeting(router) as gateway:
        for carrier in Carrier:
            mapped = await gateway.map(MapRequest(carrier, 6881, 6881, 3600))
            assert (mapped.external_port, mapped.lifetime_s) == (6881, 3600)
        assert (gateway.name, gateway.external_host) == ("UPnP", OUTSIDE)
        assert router.entries == {("TCP", 6881, 6881): 3600, ("UDP", 6881, 6881): 3600}
        assert router.clients == {"127.0.0.1"}
        for carrier in Carrier:
            await gateway.map(MapRequest(carrier, 6881, 6881, 0))
        assert not router.entries


async def test_another_port_is_taken_where_ours_is_led_elsewhere() -> None:
    async with _meeting(UpnpRouter(taken=[6881, 6882])) as gateway:
        assert (await gateway.map(TCP)).external_port == 6883


async def test_a_router_that_knows_only_permanent_mappings() -> None:
    router = UpnpRouter(only_permanent=True)
    async with _meeting(router) as gateway:
        assert (await gateway.map(TCP)).lifetime_s == 3600
        assert router.entries == {("TCP", 6881, 6881): 0}


async def test_a_refusal_says_why() -> None:
    async with _meeting(UpnpRouter(refuses=606)) as gateway:
        with pytest.raises(GatewayError, match="it refuses: No 606"):
            await gateway.map(TCP)


@pytest.mark.parametrize(
    "description",
    [
        b"",
        b"<html>",
        b"<root/>",
        b"\xff\xfe",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><root>&b;</root>',
        b"<a>" * 200_000,
    ],
    ids=["nothing", "html", "no device", "binary", "entity", "too long"],
)
async def test_a_description_that_makes_no_sense(description: bytes) -> None:
    router = await UpnpRouter(description=description).start()
    with pytest.raises(GatewayError):
        await UpnpGateway.at(router.url, Route())
    await router.stop()


async def test_who_maps_no_ports_is_no_router_for_us() -> None:
    router = await UpnpRouter(service="Layer3Forwarding").start()
    with pytest.raises(GatewayError, match="maps no ports"):
        await UpnpGateway.at(router.url, Route())
    await router.stop()


async def test_a_description_that_leads_elsewhere_is_not_followed() -> None:
    elsewhere = await UpnpRouter().start()
    router = UpnpRouter(control=f"http://127.0.0.2:{elsewhere.port}/control")
    try:
        with pytest.raises(GatewayError):
            async with _meeting(router) as gateway:
                await gateway.map(TCP)
        assert not elsewhere.calls
    finally:
        await elsewhere.stop()


async def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(GatewayError):
        await UpnpGateway.at(f"http://127.0.0.1:{port}/root.xml", Route())


def _answer(url: str, target: str = IGD, first: str = "HTTP/1.1 200 OK") -> bytes:
    return f"{first}\r\nLocation: {url}\r\nST: {target}\r\nUSN: x\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("data", "host", "found"),
    [
        (_answer("http://192.168.1.1:5000/r.xml"), "192.168.1.1", True),
        (_answer("http://192.168.1.2:5000/r.xml"), "192.168.1.1", False),
        (_answer("http://8.8.8.8/r.xml"), "8.8.8.8", False),
        (_answer("https://192.168.1.1/r.xml"), "192.168.1.1", False),
        (_answer("http://192.168.1.1/r.xml", "ssdp:all"), "192.168.1.1", False),
        (_answer("http://192.168.1.1/", first="NOTIFY * HTTP/1.1"), "192.168.1.1", False),
        (_answer("http://[192.168.1.1/"), "192.168.1.1", False),
        (b"\xff\xfe", "192.168.1.1", False),
        (b"", "192.168.1.1", False),
    ],
)
def test_only_a_router_of_this_network_is_believed_and_of_itself(
    data: bytes, host: str, found: bool
) -> None:
    assert (parse_answer(data, host) is not None) is found


def test_routers_are_found_by_multicast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upnp_gateway, "_SEARCH_S", 1.0)
    is_listening = Flag()

    async def searches() -> None:
        await is_listening.wait()
        ip("route", "add", "239.255.255.250", "dev", INTERFACE)
        (url,) = await find(Route())
        assert url == f"http://{address(1)}:5000/root.xml"

    async def answers() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.bind(("", 1900))
            group = struct.pack("4s4s", *map(socket.inet_aton, ("239.255.255.250", address(1))))
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            is_listening.set()
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(20):
                asked, asker = await loop.sock_recvfrom(sock, 2048)
            assert asked.startswith(b"M-SEARCH * HTTP/1.1\r\n")
            assert b'MAN: "ssdp:discover"\r\n' in asked
            for url in (f"http://{address(1)}:5000/root.xml", "http://10.9.9.9/root.xml"):
                sock.sendto(_answer(url), asker)

    run_on_lan(searches, answers)
