"""A downloader among peers that choke, lie, leave and come, and a plain model of what it asked.

The model knows each block's state from what it was told alone, and holds the picker against it at
every step. There is no clock: whatever is on its way may arrive next.
"""

from __future__ import annotations

from collections import defaultdict
from random import Random

from engine.core.bitfield import Bitfield
from engine.core.geometry import BLOCK_LENGTH, Geometry, cut_into_blocks
from engine.swarm.piece_picker import PiecePicker
from engine.swarm.smart_ban import SmartBan

Block = tuple[int, int, int]


class Peer:
    def __init__(self, name: int, pieces: Bitfield, *, lies: bool, slow: bool) -> None:
        self.name = name
        self.pieces = pieces
        self.lies = lies
        self.slow = slow
        self.chokes = True
        self.allowed: set[int] = set()
        self.asked: list[Block] = []
        """On their way, oldest first."""
        self.late: list[Block] = []
        """Released or cancelled, but the peer may have sent them already."""


class SmallSwarm:
    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        piece_length = rng.choice([9000, BLOCK_LENGTH, 40_000, 5 * BLOCK_LENGTH])
        self.geometry = Geometry(rng.randint(1, 12 * piece_length), piece_length)
        self.have = Bitfield(self.geometry.piece_count)
        for index in range(self.geometry.piece_count):
            if rng.random() < 0.1:
                self.have.add(index)
        self.buffers: dict[int, bytearray] = {}
        self.most_buffers = rng.randint(1, 6)
        self.picker: PiecePicker[Peer] = PiecePicker(
            self.geometry, self.have, rng, can_begin=self.can_begin
        )
        self.smart_ban: SmartBan[Peer] = SmartBan()
        self.peers: list[Peer] = []
        self.asked: defaultdict[Block, list[Peer]] = defaultdict(list)
        self.received: dict[Block, Peer] = {}
        self.at_disk: list[int] = []
        self.wasted = 0
        self.names = 0

    # ── the world ───────────────────────────────────────────────────────────────────────────────

    def can_begin(self, indexes: range) -> int:
        for begun, index in enumerate(indexes):
            assert index not in self.buffers
            assert not self.have[index]
            if len(self.buffers) >= self.most_buffers:
                return begun
            self.buffers[index] = bytearray(self.geometry.piece_size(index))
        return len(indexes)

    def content(self, block: Block, *, corrupt: bool) -> bytes:
        return bytes([(block[0] * 7 + block[1] // BLOCK_LENGTH + corrupt) % 256]) * block[2]

    def blocks(self, index: int) -> list[Block]:
        size = self.geometry.piece_size(index)
        return [(index, at, min(BLOCK_LENGTH, size - at)) for at in range(0, size, BLOCK_LENGTH)]

    def arrive(self, *, honest_seed: bool = False) -> Peer:
        count = self.geometry.piece_count
        share = self.rng.choice([0, 0.3, 0.7, 1])
        pieces = Bitfield(count)
        for index in range(count):
            if honest_seed or self.rng.random() < share:
                pieces.add(index)
        self.names += 1
        peer = Peer(
            self.names,
            pieces,
            lies=not honest_seed and self.rng.random() < 0.25,
            slow=self.rng.random() < 0.3,
        )
        self.peers.append(peer)
        self.picker.peer_added(peer, pieces)
        return peer

    def leave(self, peer: Peer) -> None:
        self.peers.remove(peer)
        self.picker.peer_removed(peer)
        for block in peer.asked:
            self.asked[block].remove(peer)

    def gain(self, peer: Peer) -> None:
        missing = list(peer.pieces.missing())
        if missing:
            index = self.rng.choice(missing)
            peer.pieces.add(index)
            assert self.picker.peer_gained(peer, index) == (not self.have[index])

    def replace_pieces(self, peer: Peer) -> None:
        peer.pieces.update(Bitfield.full(self.geometry.piece_count))
        self.picker.peer_added(peer, peer.pieces)

    def choke(self, peer: Peer) -> None:
        peer.chokes = True
        count = self.geometry.piece_count
        peer.allowed = set(self.rng.sample(range(count), min(count, self.rng.randrange(3))))
        self.release(peer, list(peer.asked))

    def release(self, peer: Peer, blocks: list[Block]) -> None:
        if blocks == peer.asked and self.rng.random() < 0.5:
            self.picker.release_all(peer)
        else:
            self.picker.release(peer, blocks)
        for block in blocks:
            peer.asked.remove(block)
            self.asked[block].remove(peer)
        peer.late += blocks

    # ── asking and receiving ────────────────────────────────────────────────────────────────────

    def ask(self, peer: Peer) -> int:
        allowed = peer.allowed if peer.chokes else None
        if allowed is not None and not allowed:
            return 0
        count = self.rng.randint(1, 12)
        spans = self.picker.pick(peer, peer.pieces, count, allowed=allowed, slow=peer.slow)
        picked = cut_into_blocks(spans)
        assert len(picked) <= count
        assert len(set(picked)) == len(picked)
        for block in picked:
            index = block[0]
            assert block in self.blocks(index)
            assert peer.pieces[index], "asked of a peer that lacks it"
            assert allowed is None or index in allowed
            assert index in self.buffers, "asked for without a place for it"
            assert not self.have[index]
            assert block not in self.received
            assert peer not in self.asked[block], "asked the same peer twice"
            self.asked[block].append(peer)
            assert len(self.asked[block]) <= 2
        if any(len(self.asked[block]) == 2 for block in picked):
            assert all(
                self.asked[block] or block in self.received
                for index in self.have.missing()
                for block in self.blocks(index)
            ), "asked twice outside of the end game"
        peer.asked += picked
        return len(picked)

    def deliver(self, peer: Peer, block: Block) -> None:
        """A block arrives that is on its way from this peer, perhaps with those behind it."""
        run = self.run_from(block)
        if len(run) > 1 and self.rng.random() < 0.5 and self.deliver_run(peer, run):
            return
        was_asked = block in peer.asked
        (peer.asked if was_asked else peer.late).remove(block)
        if was_asked:
            self.asked[block].remove(peer)
        index, begin, length = block
        receipt = self.picker.received(peer, index, begin, length)
        if not receipt.accepted:
            assert not was_asked, "refused a block that was being waited for"
            self.wasted += length
            return
        assert index in self.buffers
        assert block not in self.received
        self.received[block] = peer
        corrupt = peer.lies and self.rng.random() < 0.5
        self.buffers[index][begin : begin + length] = self.content(block, corrupt=corrupt)
        assert set(receipt.cancel) == set(self.asked[block])
        for other in receipt.cancel:
            other.asked.remove(block)
            other.late.append(block)
        self.asked[block].clear()
        assert receipt.completed == all(each in self.received for each in self.blocks(index))
        if receipt.completed:
            self.at_disk.append(index)

    def run_from(self, block: Block) -> list[Block]:
        """A block and some of the whole ones behind it."""
        index, begin, _ = block
        rest = [each for each in self.blocks(index) if each[1] >= begin]
        whole = [each for each in rest if each[2] == BLOCK_LENGTH]
        return whole[: self.rng.randint(2, 5)]

    def deliver_run(self, peer: Peer, run: list[Block]) -> bool:
        """Blocks arrive in a row; False, and nothing has changed, if they were not all asked of
        this peer and of nobody else."""
        index, begin, _ = run[0]
        begins = range(begin, begin + len(run) * BLOCK_LENGTH, BLOCK_LENGTH)
        if not self.picker.asks_run(peer, index, begins):
            has_seconds = any(len(self.asked[block]) == 2 for block in self.blocks(index))
            assert has_seconds or any(self.asked[block] != [peer] for block in run)
            return False
        receipt = self.picker.received_run(peer, index, begins)
        for block in run:
            peer.asked.remove(block)
            assert self.asked.pop(block) == [peer]
            self.received[block] = peer
            corrupt = peer.lies and self.rng.random() < 0.5
            self.buffers[index][block[1] : block[1] + BLOCK_LENGTH] = self.content(
                block, corrupt=corrupt
            )
        assert not receipt.cancel
        assert receipt.completed == all(each in self.received for each in self.blocks(index))
        if receipt.completed:
            self.at_disk.append(index)
        return True

    def write(self, indexes: list[int]) -> None:
        """The disk has verified some pieces, and written those that are right."""
        verified: dict[int, bytearray] = {}
        for index in indexes:
            self.at_disk.remove(index)
            data = self.buffers.pop(index)
            blocks = self.blocks(index)
            sources = [self.received.pop(block) for block in blocks]
            if data == b"".join(self.content(block, corrupt=False) for block in blocks):
                verified[index] = data
                continue
            self.wasted += len(data)
            assert self.picker.piece_failed(index) == sources
            self.blame(self.smart_ban.failed(index, sources, data))
        bored = self.picker.pieces_verified(list(verified))
        assert all(self.have[index] for index in verified)
        assert set(bored) == {
            peer
            for peer in self.peers
            if any(peer.pieces[index] for index in verified) and not self.lacks_of(peer)
        }
        for index, data in verified.items():
            self.blame(self.smart_ban.verified(index, data))

    def blame(self, guilty: list[Peer]) -> None:
        for peer in guilty:
            assert peer.lies, "blamed an honest peer"
            if peer in self.peers:
                self.leave(peer)

    def drop(self, index: int) -> None:
        """The buffer of a begun piece is wanted back."""
        del self.buffers[index]
        waiting = {(peer, block) for block in self.blocks(index) for peer in self.asked[block]}
        assert set(self.picker.piece_dropped(index)) == waiting
        for peer, block in waiting:
            peer.asked.remove(block)
            peer.late.append(block)
        for block in self.blocks(index):
            self.asked[block].clear()
            if self.received.pop(block, None):
                self.wasted += block[2]

    # ── the runs ────────────────────────────────────────────────────────────────────────────────

    def step(self) -> None:
        """Let one thing happen."""
        rng = self.rng
        if not self.peers or rng.random() < 0.05:
            if len(self.peers) < 8:
                self.arrive()
            return
        peer = rng.choice(self.peers)
        roll = rng.random()
        if roll < 0.35:
            self.ask(peer)
        elif roll < 0.75:
            if peer.asked:
                at = 0 if rng.random() < 0.7 else rng.randrange(len(peer.asked))
                self.deliver(peer, peer.asked[at])
        elif roll < 0.79:
            if peer.late:
                self.deliver(peer, rng.choice(peer.late))
        elif roll < 0.85:
            if peer.chokes:
                peer.chokes = False
            else:
                self.choke(peer)
        elif roll < 0.88:
            self.release(peer, rng.sample(peer.asked, rng.randint(0, len(peer.asked))))
        elif roll < 0.91:
            self.gain(peer)
        elif roll < 0.915:
            self.replace_pieces(peer)
        elif roll < 0.94:
            self.leave(peer)
        elif roll < 0.95:
            begun = [partial.index for partial in self.picker.partials()]
            if begun:
                self.drop(rng.choice(begun))
        elif self.at_disk:
            self.write(rng.sample(self.at_disk, rng.randint(1, len(self.at_disk))))

    def finish(self) -> None:
        """Nobody leaves any more, an honest seed is there: the download must end."""
        self.arrive(honest_seed=True)
        for _ in range(20 + 10 * self.geometry.piece_count):
            if self.picker.is_finished:
                return
            for peer in list(self.peers):
                if peer.chokes and self.rng.random() < 0.5:
                    peer.chokes = False
                self.ask(peer)
            self.check()
            for peer in list(self.peers):
                while peer in self.peers and peer.asked:
                    self.deliver(peer, peer.asked[0])
            self.check()
            self.write(list(self.at_disk))
            if not any(peer.asked for peer in self.peers):
                evictable = self.picker.evictable()
                if evictable is not None and len(self.buffers) >= self.most_buffers:
                    self.drop(evictable)
        raise AssertionError(f"not finished: {self.have}, {len(self.buffers)} buffers")

    def lacks_of(self, peer: Peer) -> bool:
        """The peer has a piece that we have not: the question behind interest."""
        return not set(peer.pieces) <= set(self.have)

    def check(self) -> None:
        """Hold the picker against the model."""
        picker, geometry = self.picker, self.geometry
        assert picker.missing_count == geometry.piece_count - self.have.count
        assert picker.availability.counts() == [
            sum(peer.pieces[index] for peer in self.peers) for index in range(geometry.piece_count)
        ]
        assert picker.wasted_bytes == self.wasted
        begun = {partial.index: partial for partial in picker.partials()}
        assert set(begun) | set(self.at_disk) == set(self.buffers)
        assert picker.completed_count == len(self.at_disk)
        for index, partial in begun.items():
            blocks = self.blocks(index)
            got = [block for block in blocks if block in self.received]
            asked = [block for block in blocks if self.asked[block]]
            assert partial.received_count == len(got)
            assert partial.received_bytes == sum(block[2] for block in got)
            assert partial.requested_count == len(asked)
            assert partial.free_count == len(blocks) - len(got) - len(asked)
            assert picker.sources(index) == [self.received.get(block) for block in blocks]
        all_asked = all(
            self.asked[block] or block in self.received
            for index in self.have.missing()
            for block in self.blocks(index)
        )
        assert picker.is_end_game == (all_asked and bool(begun))
        for peer in self.peers:
            assert picker.is_interesting(peer.pieces) == self.lacks_of(peer)
