"""Ports that nobody else takes meanwhile, for what must be told its port beforehand."""

from __future__ import annotations

import contextlib
import random
import socket


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free for TCP and UDP, below those that the system gives out by itself.

    One that the system gave for UDP may at any time be the near end of somebody's TCP connection.
    """
    for _ in range(200):
        port = random.randrange(10_000, 32_000)
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind((host, port))
            udp.bind((host, port))
            return port
    raise RuntimeError(f"no free port on {host}")
