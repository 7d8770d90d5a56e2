"""The 68 bytes that open every peer connection (BEP 3; reserved bits of BEP 5, 6 and 10).

Invariant: a Handshake that was decoded began with the protocol's name; nothing is said about
whether its info-hash is one that we serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from engine.core.identifiers import InfoHash, PeerId
from engine.errors import ProtocolError

PROTOCOL_NAME: Final = b"\x13BitTorrent protocol"
HANDSHAKE_LENGTH: Final = 68
INFO_HASH_END: Final = 48
"""Bytes after which an accepting side knows the torrent and may answer."""

_EXTENSIONS = (5, 0x10)
_FAST = (7, 0x04)
_DHT = (7, 0x01)


def reserved_bits(*, dht: bool) -> bytes:
    """Make our eight reserved bytes; `dht` says that a DHT node of ours runs (BEP 5)."""
    bits = bytearray(8)
    for byte, mask in (_EXTENSIONS, _FAST, *((_DHT,) if dht else ())):
        bits[byte] |= mask
    return bytes(bits)


OUR_RESERVED: Final = reserved_bits(dht=False)


@dataclass(frozen=True, slots=True)
class Handshake:
    """`info_hash` has 20 bytes on the wire; a v2 hash is cut to that (BEP 52)."""

    info_hash: InfoHash
    peer_id: PeerId
    reserved: bytes = OUR_RESERVED

    @property
    def supports_extensions(self) -> bool:
        return self._has(_EXTENSIONS)

    @property
    def supports_fast(self) -> bool:
        return self._has(_FAST)

    @property
    def supports_dht(self) -> bool:
        return self._has(_DHT)

    def _has(self, bit: tuple[int, int]) -> bool:
        byte, mask = bit
        return bool(self.reserved[byte] & mask)

    def encode(self) -> bytes:
        return PROTOCOL_NAME + self.reserved + self.info_hash[:20] + self.peer_id

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> Handshake:
        """Read exactly 68 bytes. Raises ProtocolError."""
        if len(data) != HANDSHAKE_LENGTH:
            raise ProtocolError(f"handshake of {len(data)} bytes")
        check_beginning(data)
        raw = bytes(data)
        return cls(reserved=raw[20:28], info_hash=InfoHash(raw[28:48]), peer_id=PeerId(raw[48:68]))


def check_beginning(data: bytes | bytearray | memoryview) -> None:
    """Refuse the first bytes of a connection, however few, that cannot open a handshake.

    Lets the owner drop a stranger at its first wrong byte. Raises ProtocolError.
    """
    start = bytes(data[: len(PROTOCOL_NAME)])
    if not PROTOCOL_NAME.startswith(start):
        raise ProtocolError(f"does not speak BitTorrent: begins with {start[:20]!r}")
