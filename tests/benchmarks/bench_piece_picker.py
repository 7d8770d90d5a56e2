"""Measure the piece picker: run as a plain script; the budgets are those of the road of a block.

python tests/benchmarks/bench_piece_picker.py
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from engine.core.bitfield import Bitfield
from engine.core.geometry import Geometry, cut_into_blocks
from engine.swarm.piece_picker import PiecePicker

KIB, MIB = 1024, 1024 * 1024
PEERS = 200


def best_of(rounds: int, measure: Callable[[], float]) -> float:
    return min(measure() for _ in range(rounds))


def show(what: str, seconds: float, budget_s: float | None = None) -> None:
    budget = f"   budget {budget_s * 1e6:.1f}" if budget_s else ""
    print(f"{what:<66}{seconds * 1e6:9.2f} µs{budget}")


def lone_peer(piece_length: int, depth: int, batch: int) -> tuple[float, float, float]:
    """Seconds per picked, received and verified block of a 1 GiB download from one seed."""
    geometry = Geometry(1024 * MIB, piece_length)
    picker: PiecePicker[str] = PiecePicker(
        geometry, Bitfield(geometry.piece_count), random.Random(1)
    )
    pieces = Bitfield.full(geometry.piece_count)
    picker.peer_added("seed", pieces)
    flying = cut_into_blocks(picker.pick("seed", pieces, depth))
    picking = receiving = verifying = 0.0
    blocks = 0
    while flying:
        arrived, flying = flying[:batch], flying[batch:]
        completed = []
        start = time.perf_counter()
        for index, begin, length in arrived:
            if picker.received("seed", index, begin, length) is picker.COMPLETED:
                completed.append(index)
        receiving += time.perf_counter() - start
        start = time.perf_counter()
        picker.pieces_verified(completed)
        verifying += time.perf_counter() - start
        start = time.perf_counter()
        picked = picker.pick("seed", pieces, len(arrived))
        picking += time.perf_counter() - start
        flying += cut_into_blocks(picked)
        blocks += len(arrived)
    assert picker.is_finished
    return picking / blocks, receiving / blocks, verifying / blocks


def pick_from_begun_piece() -> float:
    geometry = Geometry(1024 * MIB, 16 * MIB)
    picker: PiecePicker[str] = PiecePicker(
        geometry, Bitfield(geometry.piece_count), random.Random(1)
    )
    pieces = Bitfield.full(geometry.piece_count)
    picker.peer_added("seed", pieces)
    picker.pick("seed", pieces, 1)
    start = time.perf_counter()
    for _ in range(10):
        assert picker.pick("seed", pieces, 64)
    return (time.perf_counter() - start) / 10


def swarm(size: int) -> None:
    print(f"\n{size:,} pieces, {PEERS} peers")
    rng = random.Random(2)
    geometry = Geometry(size * 64 * KIB, 64 * KIB)
    picker: PiecePicker[int] = PiecePicker(geometry, Bitfield(size), rng)
    fields = []
    for number in range(PEERS):
        # Leechers anywhere between nothing and everything.
        share = number / PEERS
        raw = bytes(
            sum((rng.random() < share) << bit for bit in range(8)) for _ in range(size // 8)
        )
        fields.append(Bitfield.from_bytes(raw, size))
    start = time.perf_counter()
    for number, field in enumerate(fields):
        picker.peer_added(number, field)
    show("peer_added", (time.perf_counter() - start) / PEERS)

    floods = [(n, i) for n in range(PEERS) for i in rng.sample(range(size), 50)]
    floods = [(n, i) for n, i in floods if fields[n].add(i)]
    start = time.perf_counter()
    for number, index in floods:
        picker.peer_gained(number, index)
    show("peer_gained", (time.perf_counter() - start) / len(floods), 10e-6)

    start = time.perf_counter()
    for field in fields:
        picker.is_interesting(field)
    show("is_interesting", (time.perf_counter() - start) / PEERS)

    for name, have in (("random first", 0), ("rarest first", 4)):
        for index in range(have):
            picker.pieces_verified([index])
        start = time.perf_counter()
        for number, field in enumerate(fields):
            picker.pick(number, field, 4)  # 64 KiB pieces: each pick begins a new one
        show(f"pick that begins a piece, {name}", (time.perf_counter() - start) / PEERS, 200e-6)

    sparse = Bitfield(size)
    sparse.add(size // 2)
    picker.peer_added(-1, sparse)
    start = time.perf_counter()
    picker.pick(-1, sparse, 4)
    show("... from a peer that has a single piece", time.perf_counter() - start, 200e-6)

    start = time.perf_counter()
    for index in range(500, 700):
        picker.pieces_verified([index])
    show("pieces_verified, one", (time.perf_counter() - start) / 200)

    start = time.perf_counter()
    for number in range(PEERS):
        picker.peer_removed(number)
    show("peer_removed", (time.perf_counter() - start) / PEERS)


def main() -> None:
    show("pick of 64 blocks from a begun piece", best_of(5, pick_from_begun_piece), 60e-6)
    for piece_length in (MIB, 256 * KIB, 16 * KIB):
        picking, receiving, verifying = lone_peer(piece_length, 512, 64)
        name = f"1 GiB from one seed, {piece_length // KIB} KiB pieces"
        # With 16 KiB pieces each block begins a piece, among 65,536 of them.
        show(f"{name}: picking, a block", picking, 1e-6 if piece_length > 16 * KIB else 20e-6)
        show(f"{name}: received, a block", receiving, 1.5e-6)
        show(f"{name}: verified, a block", verifying, 1.5e-6)
    for size in (1_000, 10_000, 100_000):
        swarm(size)


if __name__ == "__main__":
    main()
