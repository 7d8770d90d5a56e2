from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.bitfield import Bitfield
from engine.swarm.peer_pieces import PeerPieces

SIZE = 11

steps = st.lists(
    st.tuples(
        st.sampled_from(["added", "gained", "replaced", "removed", "keeps", "gives"]),
        st.integers(0, 4),
        st.sets(st.integers(0, SIZE - 1)) | st.just(set(range(SIZE))),
    ),
    max_size=40,
)


@given(steps, st.sets(st.integers(0, SIZE - 1)), st.sets(st.integers(0, SIZE - 1), min_size=1))
def test_what_was_counted_is_uncounted(
    history: list[tuple[str, int, set[int]]], lacking: set[int], got: set[int]
) -> None:
    peers: PeerPieces[int] = PeerPieces(SIZE)
    masks = peers.availability.masks
    fields: dict[int, Bitfield] = {}
    misers: set[int] = set()
    for what, peer, pieces in history:
        if what == "removed":
            peers.removed(peer)
            fields.pop(peer, None)
            misers.discard(peer)
        elif what in ("keeps", "gives"):
            if peer in fields:
                peers.gives(peer, what == "gives")
                (misers.add if what == "keeps" else misers.discard)(peer)
        elif what == "gained" and peer in fields:
            for piece in pieces:
                fields[peer].add(piece)
            peers.gained(peer, masks.of_indexes(pieces))
            for piece in pieces:
                peers.gained(peer, masks.bit(piece))
        else:
            field = fields.setdefault(peer, Bitfield(SIZE))
            field.update(Bitfield(SIZE))
            for piece in pieces:
                field.add(piece)
            peers.added(peer, field)
        counted = [field for peer, field in fields.items() if peer not in misers]
        assert peers.availability.seeds == sum(field.is_full for field in counted)
        assert peers.availability.counts() == [
            sum(field[piece] for field in counted) for piece in range(SIZE)
        ]
    for peer, field in fields.items():
        assert peers.mask_of(peer, field) == masks.of(field)
    stranger = Bitfield.full(SIZE)
    assert peers.mask_of(99, stranger) == masks.full
    assert set(peers.bored_after(masks.of_indexes(got), masks.of_indexes(lacking))) == {
        peer
        for peer, field in fields.items()
        if any(field[piece] for piece in got) and not any(field[piece] for piece in lacking)
    }
    for peer in list(fields):
        peers.removed(peer)
    assert peers.availability.counts() == [0] * SIZE
