"""Nanoseconds of CPU per packet of uTP's hot roads, both ends, without sockets; a plain script.

A packet of 1472 bytes that leaves in a run of 44 costs the kernel about 350 ns on loopback. The
budget of our own is 500 ns on each end: 0.35 s of CPU a GiB.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import process_time

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.utp.arena import Arena
from engine.utp.connection import UtpConnection
from engine.utp.packet import SYN, Payloads, parse
from engine.utp.shared import Shared, State

ROUNDS = 200
CHUNK_BYTES = 1024 * 1024


class End:
    """A connection, and the runs that it sent."""

    def __init__(self, receive_id: int) -> None:
        self.runs: list[tuple[bytes, int]] = []
        self.shared = Shared(Arena(memoryview(bytearray(2 * CHUNK_BYTES))))
        self.machine = UtpConnection(receive_id, self.shared, self._emit, now=0.0)
        self.buffer = memoryview(bytearray(65536))
        self.payloads = Payloads(self.buffer)
        self.spent_s = 0.0

    def _emit(self, run: bytes, packet_bytes: int, whole: bool) -> None:
        self.runs.append((run, packet_bytes))

    def take(self, runs: list[tuple[bytes, int]], now: float) -> None:
        machine = self.machine
        for run, packet_bytes in runs:
            self.buffer[: len(run)] = run
            view = self.buffer[: len(run)]
            began = process_time()
            whole = len(run) - len(run) % packet_bytes
            if len(run) <= packet_bytes or not machine.received_run(
                view[:whole], packet_bytes, self.payloads, now
            ):
                whole = 0
            for at in range(whole, len(run), packet_bytes):
                packet = parse(view[at : at + packet_bytes])
                if packet is not None:
                    machine.received(packet, now)
            self.spent_s += process_time() - began


def main() -> None:
    sender, receiver = End(10), End(11)
    sender.machine.dial(0.0)
    syn = parse(memoryview(sender.runs.pop()[0]))
    assert syn is not None
    assert syn.type == SYN
    receiver.machine.answer(syn, 500, 0.0)
    sender.take(receiver.runs, 0.01)
    assert sender.machine.state is State.CONNECTED
    receiver.runs.clear()
    data = memoryview(os.urandom(CHUNK_BYTES))
    now, packets, moved = 0.01, 0, 0
    while moved < ROUNDS * CHUNK_BYTES:
        if moved == CHUNK_BYTES:  # slow start and the search for the MTU are over
            sender.spent_s = receiver.spent_s = 0.0
            packets = 0
        now += 0.001
        began = process_time()
        while sender.machine.write(data, now):
            pass
        sender.machine.push(now)
        sender.spent_s += process_time() - began
        runs, sender.runs = sender.runs, []
        packets += sum(-(-len(run) // size) for run, size in runs)
        receiver.take(runs, now)
        began = process_time()
        while receiver.machine.inbound.ready_bytes:
            moved += len(receiver.machine.inbound.read(CHUNK_BYTES))
        receiver.shared.arena.empty()
        receiver.machine.push(now)
        receiver.spent_s += process_time() - began
        acks, receiver.runs = receiver.runs, []
        sender.take(acks, now)
    print(f"{'send, a packet':<44} {sender.spent_s / packets * 1e9:>7.0f} ns")
    print(f"{'receive, a packet':<44} {receiver.spent_s / packets * 1e9:>7.0f} ns")


if __name__ == "__main__":
    main()
