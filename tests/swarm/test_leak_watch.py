"""What counts as a leak, by frames as they are on the wire."""

from __future__ import annotations

import pytest

from tests.swarm.leak_watch import leak_in

INFO_HASH = bytes(range(20))
ETHERNET = bytes(12)


def frame(protocol: int, data: bytes, *, six: bool = False) -> bytes:
    if six:
        header = bytes([0x60]) + bytes(5) + bytes([protocol, 64]) + bytes(32)
        kind = b"\x86\xdd"
    else:
        header = bytes([0x45]) + bytes(8) + bytes([protocol]) + bytes(10)
        kind = b"\x08\x00"
    return ETHERNET + kind + header + bytes(8) + data


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize(
    ("protocol", "data", "leak"),
    [
        (17, b"d1:ad9:info_hash20:" + INFO_HASH + b"e", "info-hash told to the DHT"),
        (17, b"d1:ad9:info_hash20:" + bytes(20) + b"e", ""),
        (
            *(17, b"BT-SEARCH * HTTP/1.1\r\nInfohash: " + INFO_HASH.hex().upper().encode()),
            "announced by local discovery",
        ),
        (17, b"\x41" + bytes(19) + b"\x13BitTorrent protocol" + bytes(8) + INFO_HASH, ""),
        (6, bytes(12) + b"d1:md6:ut_pexi1eee", "peer exchange offered"),
        (6, b"GET /announce?info_hash=", ""),
    ],
)
def test_leaks(protocol: int, data: bytes, leak: str, six: bool) -> None:
    assert leak_in(frame(protocol, data, six=six), INFO_HASH) == leak


def test_what_is_no_ip_is_none() -> None:
    assert leak_in(ETHERNET + b"\x08\x06" + bytes(28), INFO_HASH) == ""
