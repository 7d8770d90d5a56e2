"""The session's port: one number for TCP and for UDP."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from engine.errors import InputError
from engine.net.listener import Listener
from engine.net.route import Route
from engine.net.udp_endpoint import Kind, UdpEndpoint
from engine.session.options import SessionOptions
from engine.session.ports import open_ports
from engine.session.session import Session
from tests.fakes.ports import free_port

HOST = "127.0.0.1"


def _pair() -> tuple[Listener, UdpEndpoint]:
    loop = asyncio.get_running_loop()
    route = Route(HOST)
    return Listener(loop, lambda sock: sock.close(), route), UdpEndpoint(loop, route)


async def test_udp_has_the_number_that_tcp_got() -> None:
    listener, udp = _pair()
    open_ports(listener, udp, 0)
    try:
        assert listener.port == udp.port > 0
    finally:
        listener.close()
        udp.close()


async def test_a_taken_udp_port_is_logged_and_done_without(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener, udp = _pair()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        port = free_port()
        other.bind((HOST, port))
        with caplog.at_level(logging.WARNING):
            open_ports(listener, udp, port)
        try:
            assert listener.port == port
            assert udp.endpoints == []
            assert f"UDP port {port}" in caplog.text
        finally:
            listener.close()
            udp.close()


async def test_a_taken_tcp_port_is_an_error() -> None:
    listener, udp = _pair()
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        with pytest.raises(InputError):
            open_ports(listener, udp, other.getsockname()[1])
    assert udp.endpoints == []


async def test_with_port_0_another_number_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    listener, udp = _pair()
    real, refused = udp.open, list[int]()

    def open_second(port: int) -> None:
        if not refused:
            refused.append(port)
            raise InputError("taken")
        real(port)

    monkeypatch.setattr(udp, "open", open_second)
    open_ports(listener, udp, 0)
    try:
        assert refused
        assert listener.port == udp.port
    finally:
        listener.close()
        udp.close()


async def test_a_session_takes_datagrams_on_its_port() -> None:
    session = Session(SessionOptions(listen_host=HOST))
    await session.start()
    try:
        heard = asyncio.get_running_loop().create_future()
        session.udp.receivers[Kind.TRACKER] = lambda datagram, _: heard.set_result(bytes(datagram))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"\0hello", (HOST, session.incoming.listener.port))
            assert await heard == b"\0hello"
    finally:
        await session.stop()
    assert session.udp.endpoints == []
