"""CRC-32C (Castagnoli, RFC 3720 appendix B.4), which the standard library has not."""

from __future__ import annotations

_CASTAGNOLI = 0x82F63B78


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ _CASTAGNOLI if byte & 1 else byte >> 1  # noqa: PLW2901
        table.append(byte)
    return tuple(table)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Return the checksum of `data` as an unsigned 32-bit number."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
