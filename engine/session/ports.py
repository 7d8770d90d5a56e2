"""The session's port: one number for TCP and for UDP, since peers and nodes are told only one."""

from __future__ import annotations

import logging
from collections.abc import Callable

from engine.errors import InputError
from engine.net.listener import Listener
from engine.net.udp_endpoint import UdpEndpoint

log = logging.getLogger(__name__)

_TRIES = 8
"""Of free ports, until one is free for UDP as well."""


def open_ports(listener: Listener, udp: UdpEndpoint, port: int, *, uses_tcp: bool = True) -> None:
    """Listen on `port`, with port 0 on any that is free, and open UDP beside it. A UDP port that
    cannot be had is logged, and done without. Raises InputError for TCP, and without TCP for
    UDP."""
    if not uses_tcp:
        udp.open(port)
        return
    for tries_left in reversed(range(_TRIES)):
        listener.open(port)
        try:
            udp.open(listener.port)
        except InputError as error:
            if port or not tries_left:
                log.warning("%s; going on with TCP only, without DHT and uTP", error)
                return
            listener.close()
        else:
            return


def move_ports(
    listener: Listener,
    udp: UdpEndpoint,
    port: int,
    *,
    uses_tcp: bool = True,
    last_words: Callable[[], None],
) -> None:
    """Listen on another `port`, for TCP and for UDP or not at all: raises InputError if one of
    them cannot be had, and then nothing changed. `last_words` are said from the old UDP port."""
    datagrams = udp.route.datagrams(port)
    if uses_tcp:
        try:
            listener.open(port)
        except InputError:
            for sock in datagrams:
                sock.close()
            raise
    last_words()
    udp.use(datagrams)
