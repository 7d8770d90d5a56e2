from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.geometry import BLOCK_LENGTH, Geometry, Span, cut_into_blocks
from engine.swarm.partial_pieces import PartialPiece

LAST = 500
GEOMETRY = Geometry(9 * BLOCK_LENGTH + LAST, 5 * BLOCK_LENGTH)


@given(
    st.sampled_from([0, 1]),
    st.lists(
        st.tuples(st.sampled_from(["take", "join", "release", "release_all", "accept"]),
                  st.sampled_from("ABC"), st.integers(0, 4)),
        max_size=60,
    ),
)  # fmt: skip
def test_a_block_is_free_or_requested_or_received(
    index: int, steps: list[tuple[str, str, int]]
) -> None:
    piece: PartialPiece[str] = PartialPiece(GEOMETRY, index)
    asked: dict[int, list[str]] = {block: [] for block in range(5)}
    sources: list[str | None] = [None] * 5
    for what, peer, number in steps:
        picked: list[Span] = []
        free = {block for block in range(5) if not asked[block] and sources[block] is None}
        if what == "take":
            taken = piece.take(peer, number, picked)
            picked = cut_into_blocks(picked)
            assert taken == len(picked) == min(number, len(free))
            assert {begin // BLOCK_LENGTH for _, begin, _ in picked} <= free
        elif what == "join":
            assert piece.take_requested(peer, number, picked) == len(picked)
            joinable = [b for b in range(5) if len(asked[b]) == 1 and peer not in asked[b]]
            assert [begin // BLOCK_LENGTH for _, begin, _ in picked] == joinable[::-1][:number]
        elif what == "release":
            was_last = asked[number] == [peer]
            assert piece.release(number, peer) == was_last
            if peer in asked[number]:
                asked[number].remove(peer)
        elif what == "release_all":
            freed = any(peers == [peer] for peers in asked.values())
            assert piece.release_all(peer) == freed
            assert peer not in piece.askers
            asked = {b: [p for p in peers if p != peer] for b, peers in asked.items()}
        elif number < piece.fresh and sources[number] is None:
            others = piece.accept(number, peer)
            assert others is not None
            assert set(others) == set(asked[number]) - {peer}
            asked[number], sources[number] = [], peer
        else:
            assert piece.accept(number, peer) is None
        for picked_index, begin, length in picked:
            assert picked_index == index
            assert length == GEOMETRY.block_size(index, begin // BLOCK_LENGTH)
            asked[begin // BLOCK_LENGTH].append(peer)

        assert piece.sources == sources
        assert piece.requested_count == sum(bool(peers) for peers in asked.values())
        assert piece.received_count == sum(source is not None for source in sources)
        assert piece.free_count + piece.requested_count + piece.received_count == 5
        assert piece.received_bytes == sum(
            GEOMETRY.block_size(index, block) for block in range(5) if sources[block] is not None
        )
        assert sorted(piece.outstanding()) == sorted(
            (peer, (index, block * BLOCK_LENGTH, GEOMETRY.block_size(index, block)))
            for block, peers in asked.items()
            for peer in peers
        )


@given(st.integers(-3, 7 * BLOCK_LENGTH), st.integers(-3, 2 * BLOCK_LENGTH))
def test_only_whole_blocks_have_a_number(begin: int, length: int) -> None:
    piece: PartialPiece[str] = PartialPiece(GEOMETRY, 1)
    assert piece.block_of(begin, length) is None or begin % BLOCK_LENGTH == 0
    for block in range(5):
        size = GEOMETRY.block_size(1, block)
        assert piece.block_of(block * BLOCK_LENGTH, size) == block
        assert piece.block_of(block * BLOCK_LENGTH, size + 1) is None
    assert piece.block_of(-BLOCK_LENGTH, BLOCK_LENGTH) is None
    assert piece.block_of(5 * BLOCK_LENGTH, BLOCK_LENGTH) is None
    assert piece.block_of(4 * BLOCK_LENGTH, BLOCK_LENGTH) is None
