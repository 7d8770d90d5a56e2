"""Names of nodes, their XOR distance (BEP 5), and ids that are bound to an address (BEP 42)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.crc32c import crc32c
from engine.errors import InputError

if TYPE_CHECKING:
    from random import Random

ID_BYTES = 20
ID_BITS = 160

_MASK_V4 = bytes.fromhex("030f3fff")
_MASK_V6 = bytes.fromhex("0103070f1f3f7fff")


class NodeId(bytes):
    """20 bytes; hashable, sortable."""

    __slots__ = ()

    def __new__(cls, value: bytes) -> NodeId:
        if len(value) != ID_BYTES:
            raise InputError(f"a node id has {ID_BYTES} bytes, not {len(value)}")
        return super().__new__(cls, value)

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"NodeId({self.hex()})"


def distance(one: bytes, other: bytes) -> int:
    """The XOR of two 20-byte keys as a number: smaller is closer."""
    return int.from_bytes(one, "big") ^ int.from_bytes(other, "big")


def common_prefix(one: bytes, other: bytes) -> int:
    """Count the leading bits that two 20-byte keys share, 0 to 160."""
    return ID_BITS - distance(one, other).bit_length()


def random_id(rng: Random) -> NodeId:
    return NodeId(rng.randbytes(ID_BYTES))


def id_for_address(host: bytes, rng: Random, *, last: int | None = None) -> NodeId:
    """Make an id that BEP 42 accepts from the packed address `host`; `last` is its last byte."""
    seed = rng.randrange(256) if last is None else last
    crc = _address_crc(host, seed)
    node_id = bytearray(crc.to_bytes(4, "big")[:3] + rng.randbytes(ID_BYTES - 4) + bytes([seed]))
    node_id[2] = node_id[2] & 0xF8 | rng.randrange(8)
    return NodeId(bytes(node_id))


def is_bound_to(node_id: bytes, host: bytes) -> bool:
    """Say whether the first 21 bits of an id follow from the packed address (BEP 42)."""
    crc = _address_crc(host, node_id[-1])
    return int.from_bytes(node_id[:3], "big") >> 3 == crc >> 11


def _address_crc(host: bytes, seed: int) -> int:
    mask = _MASK_V4 if len(host) == 4 else _MASK_V6
    # Only the network half of an IPv6 address counts; zip ends with the mask.
    masked = bytearray(byte & kept for byte, kept in zip(host, mask, strict=False))
    masked[0] |= (seed & 7) << 5
    return crc32c(bytes(masked))
