from hypothesis import given
from hypothesis import strategies as st

from engine.core.bitfield import Bitfield
from engine.swarm.availability import Availability
from tests.swarm_room.test_piece_masks import bitfield

SIZE = 21
fields = st.lists(st.sets(st.integers(0, SIZE - 1)), max_size=20)


@given(fields, st.lists(st.integers(0, SIZE - 1), max_size=40), st.integers(0, 3), st.data())
def test_counts_agree_with_counting(
    peers: list[set[int]], haves: list[int], seeds: int, data: st.DataObject
) -> None:
    availability = Availability(SIZE)
    for peer in peers:
        availability.add_mask(availability.masks.of(bitfield(SIZE, peer)))
    for index in haves:
        availability.add(index)
    for _ in range(seeds + 1):
        availability.add_seed()
    availability.remove_seed()
    left = data.draw(st.lists(st.sampled_from(range(len(peers))), unique=True)) if peers else []
    for number in left:
        availability.remove_mask(availability.masks.of(bitfield(SIZE, peers[number])))

    stay = [peer for number, peer in enumerate(peers) if number not in left]
    expected = [
        seeds + sum(index in peer for peer in stay) + haves.count(index) for index in range(SIZE)
    ]
    assert availability.counts() == expected
    assert [availability.count(index) for index in range(SIZE)] == expected

    least = min(expected)
    more = sum(count > least for count in expected)
    assert availability.distributed_copies() == least + more / SIZE

    candidates = data.draw(st.sets(st.integers(0, SIZE - 1), min_size=1))
    masks = availability.masks
    rarest = min(expected[index] for index in candidates)
    assert set(masks.indexes(availability.rarest(masks.of_indexes(candidates)))) == {
        index for index in candidates if expected[index] == rarest
    }


def test_an_empty_torrent_counts_its_seeds() -> None:
    availability = Availability(0)
    availability.add_seed()
    availability.add_mask(availability.masks.of(Bitfield(0)))
    assert availability.distributed_copies() == 1
    assert availability.counts() == []


def test_everything_removed_leaves_nothing_behind() -> None:
    availability = Availability(SIZE)
    for _ in range(9):
        availability.add_mask(availability.masks.of(Bitfield.full(SIZE)))
    for _ in range(9):
        availability.remove_mask(availability.masks.of(Bitfield.full(SIZE)))
    assert availability.distributed_copies() == 0
    assert availability.counts() == [0] * SIZE
