"""uTP packets: the bytes of BEP 29; what was written is read, what is torn is refused."""

from __future__ import annotations

import os

from hypothesis import example, given
from hypothesis import strategies as st

from engine.utp.packet import (
    DATA,
    HEADER_BYTES,
    RESET,
    STATE,
    SYN,
    Payloads,
    is_data_in_order,
    nearest,
    pack,
    pack_run,
    parse,
    prefix,
    reset_for,
)

U16, U32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)


def test_the_layout_is_that_of_bep_29() -> None:
    data = pack(
        SYN, 0x1234, timestamp=0x01020304, delay=5, window=0x100000, seq=1, ack=0, payload=b"x"
    )
    assert data.hex() == "410012340102030400000005001000000001000078"


def test_a_selective_ack_begins_two_behind_the_ack_with_the_lowest_bit() -> None:
    data = pack(STATE, 1, timestamp=0, delay=0, window=0, seq=0, ack=10, sack=1 | 1 << 9)
    assert data[1] == 1
    assert data[HEADER_BYTES:] == bytes((0, 4, 0b0000_0001, 0b0000_0010, 0, 0))


@given(st.integers(0, 4), U16, U32, U32, U32, U16, U16, st.integers(0, 1 << 2016), st.binary())
@example(STATE, 1, 0, 0, 0, 0, 0, (1 << 2016) - 1, b"")
def test_what_was_written_is_read(
    kind: int, id_: int, stamp: int, delay: int, window: int, seq: int, ack: int, sack: int,
    payload: bytes,
) -> None:  # fmt: skip
    sack &= (1 << 2016) - 1
    data = pack(
        kind, id_, timestamp=stamp, delay=delay, window=window, seq=seq, ack=ack, sack=sack,
        payload=payload,
    )  # fmt: skip
    packet = parse(memoryview(data))
    assert packet == (kind, id_, stamp, delay, window, seq, ack, sack, payload)


@given(st.binary(max_size=400))
def test_garbage_is_a_packet_or_none(data: bytes) -> None:
    packet = parse(memoryview(data))
    assert packet is None or len(packet.payload) <= len(data) - HEADER_BYTES


@given(st.binary(min_size=20, max_size=20), st.lists(st.tuples(st.integers(0, 255), st.binary())))
def test_torn_extensions_are_refused(header: bytes, extensions: list[tuple[int, bytes]]) -> None:
    chain = b"".join(bytes((kind, len(data) & 255)) + data for kind, data in extensions)
    parse(memoryview(b"\x01\x01" + header[2:] + chain))
    assert parse(memoryview(b"\x01\x01" + header[2:] + b"\0\4abc")) is None
    assert parse(memoryview(b"\x01\x01" + header[2:] + b"\0")) is None
    assert parse(memoryview(b"\x02\x00" + header[2:])) is None, "another version"
    assert parse(memoryview(b"\x01\x05" + header[2:] + b"\5\0" * 50)) is None, "without end"


def test_masks_of_any_length_are_taken() -> None:
    """As libtorrent sends them."""
    data = b"\x21\x01" + bytes(18) + b"\0\3" + b"\1\0\x80"
    packet = parse(memoryview(data))
    assert packet is not None
    assert packet.sack == 1 | 1 << 23


def test_an_unknown_extension_is_stepped_over() -> None:
    data = b"\x21\x07" + bytes(18) + b"\1\2zz" + b"\0\4" + b"\1\0\0\0"
    packet = parse(memoryview(data))
    assert packet is not None
    assert packet.sack == 1


def _run(count: int, size: int, seq: int, kind: int = DATA) -> bytes:
    payloads = [os.urandom(size - HEADER_BYTES) for _ in range(count)]
    run = pack_run(prefix(kind, 7, 1, 2, 3), seq, 9, [b"", *payloads], size)
    assert [run[at + HEADER_BYTES : at + size] for at in range(0, len(run), size)] == payloads
    return bytes(run)


@given(st.integers(1, 44), st.integers(21, 1472), st.integers(0, 0x1FFFF))
def test_headers_of_a_run_count_on(count: int, size: int, seq: int) -> None:
    run = memoryview(_run(count, size, seq))
    for n in range(count):
        packet = parse(run[n * size : (n + 1) * size])
        assert packet is not None
        assert packet[:7] == (DATA, 7, 1, 2, 3, (seq + n) & 0xFFFF, 9)
    if not size % 4 or (seq & 0xFFFF) + count <= 0x10000:
        # Of odd sizes a run across the wrap is taken packet by packet.
        assert is_data_in_order(run, size, count, seq)
    assert not is_data_in_order(run, size, count, seq + 1)


def test_a_run_with_a_stranger_in_it_is_no_run() -> None:
    for size in (100, 101):
        for at, value in ((0, 0x21), (1, 1), (3, 8), (16, 1), (17, 99)):
            run = bytearray(_run(5, size, 50))
            assert is_data_in_order(memoryview(run), size, 5, 50)
            run[3 * size + at] = value
            assert not is_data_in_order(memoryview(run), size, 5, 50)


def test_the_last_packet_of_a_run_may_be_short() -> None:
    run = memoryview(pack_run(prefix(DATA, 7, 1, 2, 3), 0xFFFE, 9, [b"", b"abc", b"def", b"g"], 23))
    packets = [parse(run[at : at + 23]) for at in range(0, len(run), 23)]
    assert [(p.seq, bytes(p.payload)) for p in packets if p is not None] == [
        (0xFFFE, b"abc"),
        (0xFFFF, b"def"),
        (0, b"g"),
    ]


def test_payloads_are_those_of_the_run_wherever_it_lies() -> None:
    buffer = bytearray(65536)
    run = _run(6, 500, 1)
    buffer[: len(run)] = run
    payloads = Payloads(memoryview(buffer))
    wanted = [run[n * 500 + 20 : (n + 1) * 500] for n in range(6)]
    assert list(payloads.of(memoryview(buffer)[: len(run)], 500, 6)) == wanted
    assert list(payloads.of(memoryview(buffer)[:1500], 500, 3)) == wanted[:3]
    assert list(payloads.of(memoryview(run), 500, 6)) == wanted
    for size in range(100, 120):
        assert len(payloads.of(memoryview(buffer)[: 2 * size], size, 2)) == 2


@given(st.integers(-100, 1 << 20), st.integers(-0x8000, 0x7FFF))
def test_the_nearest_number_is_found(reference: int, offset: int) -> None:
    assert nearest((reference + offset) & 0xFFFF, reference) == reference + offset


def test_a_reset_repeats_what_it_answers() -> None:
    packet = parse(memoryview(pack(DATA, 77, timestamp=0, delay=0, window=0, seq=1234, ack=0)))
    assert packet is not None
    reset = parse(memoryview(reset_for(packet, 5)))
    assert reset is not None
    assert (reset.type, reset.connection_id, reset.ack) == (RESET, 77, 1234)
