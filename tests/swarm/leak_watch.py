"""Listens on the wire for what would tell others about a private torrent (BEP 27). Linux only.

A leak is the info-hash in a packet of the DHT or of local discovery, or peer exchange offered on a
connection of a peer. Announces to the tracker are what such a torrent lives by.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

_ALL_PROTOCOLS: Final = 0x0003
_SNAP_BYTES: Final = 2048
_RECEIVE_BYTES: Final = 64 << 20
_MOST: Final = 20


def leak_in(frame: bytes, info_hash: bytes) -> str:
    """Say what a frame gives away; empty = nothing."""
    kind, at = frame[12:14], 14
    if kind == b"\x08\x00":
        protocol, at = frame[23], at + (frame[14] & 15) * 4
    elif kind == b"\x86\xdd":
        protocol, at = frame[20], at + 40
    else:
        return ""
    if protocol == socket.IPPROTO_UDP:
        data = frame[at + 8 :]
        if data.startswith(b"BT-SEARCH") and info_hash.hex().encode() in data.lower():
            return "announced by local discovery"
        if data.startswith(b"d") and info_hash in data:
            return "info-hash told to the DHT"
    elif protocol == socket.IPPROTO_TCP and b"6:ut_pex" in frame:
        return "peer exchange offered"
    return ""


class LeakWatch:
    """Looks at every packet that a member sends, while it is entered."""

    def __init__(self, info_hash: str, names: dict[str, str]) -> None:
        """`names` are those of members by device."""
        self.leaks: list[str] = []
        self.frames = 0
        self._info_hash = bytes.fromhex(info_hash)
        self._names = names
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Begin. Raises OSError."""
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS)
        )
        self._socket.setblocking(False)
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        asyncio.get_running_loop().add_reader(self._socket, self._on_frames)

    def _on_frames(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(BlockingIOError):
            for _ in range(500):
                frame, (device, _, direction, *_) = self._socket.recvfrom(_SNAP_BYTES)
                if device not in self._names or direction == socket.PACKET_OUTGOING:
                    continue
                self.frames += 1
                what = leak_in(frame, self._info_hash)
                if what and len(self.leaks) < _MOST:
                    leak = f"{self._names[device]}: {what}"
                    if leak not in self.leaks:
                        self.leaks.append(leak)

    def stop(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
