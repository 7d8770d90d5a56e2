from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.geometry import BLOCK_LENGTH, cut_into_blocks
from engine.wire import encoder
from tests.wire.strategies import u32

batches = st.lists(
    st.tuples(
        u32,
        st.one_of(u32, st.integers(0, 1100).map(lambda block: block * BLOCK_LENGTH)),
        st.one_of(st.integers(1, 70 * BLOCK_LENGTH), st.just(5 * BLOCK_LENGTH)),
    ).filter(lambda span: span[1] + span[2] < 2**32),
    max_size=20,
)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (encoder.keep_alive(), "00000000"),
        (encoder.choke(), "0000000100"),
        (encoder.unchoke(), "0000000101"),
        (encoder.interested(), "0000000102"),
        (encoder.not_interested(), "0000000103"),
        (encoder.have(0x0A0B0C0D), "00000005040a0b0c0d"),
        (encoder.bitfield(b"\x80\x01"), "00000003058001"),
        (encoder.request(1, 2, 3), "0000000d06000000010000000200000003"),
        (encoder.cancel(1, 2, 3), "0000000d08000000010000000200000003"),
        (encoder.port(6881), "00000003091ae1"),
        (encoder.suggest(5), "000000050d00000005"),
        (encoder.have_all(), "000000010e"),
        (encoder.have_none(), "000000010f"),
        (encoder.reject(1, 2, 3), "0000000d10000000010000000200000003"),
        (encoder.allowed_fast(6), "000000051100000006"),
        (encoder.extended(3, b"\xff"), "000000031403ff"),
    ],
)
def test_golden_frames(frame: bytes, expected: str) -> None:
    assert frame == bytes.fromhex(expected)


@given(batches)
def test_a_batch_is_the_single_frames_in_a_row(batch: list[tuple[int, int, int]]) -> None:
    """A span that is longer than a block is as many of them."""
    blocks = cut_into_blocks(batch)
    assert encoder.requests(batch) == b"".join(encoder.request(*block) for block in blocks)


@given(st.lists(u32, max_size=50))
def test_haves_are_the_single_frames_in_a_row(indexes: list[int]) -> None:
    assert encoder.haves(indexes) == b"".join(encoder.have(index) for index in indexes)


@given(st.integers(0, 20), st.integers(0, 5), st.integers(1, 3), st.integers(0, 20))
def test_headers_of_a_run_touch_their_thirteen_bytes_only(
    first: int, count: int, blocks_per_piece: int, around: int
) -> None:
    frame = encoder.PIECE_HEADER_LENGTH + BLOCK_LENGTH
    buffer = bytearray(b"\xee" * (around + count * frame + around))
    blocks = range(first, first + count)
    encoder.pack_run_headers_into(buffer, around, blocks, blocks_per_piece)
    expected = b"".join(
        struct.pack(">IBII", 9 + BLOCK_LENGTH, 7, index, block * BLOCK_LENGTH)
        + b"\xee" * BLOCK_LENGTH
        for index, block in (divmod(number, blocks_per_piece) for number in blocks)
    )
    assert buffer == b"\xee" * around + expected + b"\xee" * around


@given(st.integers(0, 5000), st.integers(0, 40), st.sampled_from([1, 2, 7, 64, 1023, 1024, 1025]))
def test_headers_of_a_run_are_the_single_headers_in_a_row(
    first: int, count: int, blocks_per_piece: int
) -> None:
    blocks = range(first, first + count)
    places = [divmod(number, blocks_per_piece) for number in blocks]
    assert encoder.run_headers(blocks, blocks_per_piece) == b"".join(
        encoder.piece_header(index, block * BLOCK_LENGTH, BLOCK_LENGTH) for index, block in places
    )


@given(u32, u32, st.integers(0, 2**32 - 10))
def test_the_header_of_a_piece_tells_any_numbers(index: int, begin: int, length: int) -> None:
    buffer = bytearray(b"\xee" * (encoder.PIECE_HEADER_LENGTH + 2))
    encoder.pack_piece_header_into(buffer, 1, index, begin, length)
    assert struct.unpack(">xIBIIx", buffer) == (9 + length, 7, index, begin)
    assert buffer[0] == buffer[-1] == 0xEE


def test_numbers_that_do_not_fit_are_our_bug() -> None:
    with pytest.raises(struct.error):
        encoder.requests([(0, 0, 1), (-1, 0, 1)])
    with pytest.raises(struct.error):
        encoder.requests([(-1, 0, 2 * BLOCK_LENGTH)])
    with pytest.raises(struct.error):
        encoder.have(1 << 32)
