"""Delay and jitter where the kernel has no netem: frames wait here between two TAP devices.

    python -m tests.swarm.delay_line '[{"namespace": …, "device": …, "delay_s": …, "jitter_s": …}]'

Each line has a TAP device `eth0` in the network namespace of its peer and one, `device`, here. What
leaves the peer waits `delay_s` ± `jitter_s`; what comes to it passes at once. Frames keep their
order, as a line's do: jitter makes them bunch, never overtake. Says "ready" when the devices are
there, and ends with its standard input. Linux only.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import select
import struct
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final

from tests.swarm.namespaces import inside

_TUNSETIFF: Final = 0x400454CA
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000
_FRAME_BYTES: Final = 65536
_AT_ONCE: Final = 64
_MAX_WAITING: Final = 20_000
"""Frames: more than a fast line and a long delay need; beyond, they are lost as in a full queue."""


def open_tap(name: str) -> int:
    """Make a TAP device in the namespace that this thread is in."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(
        descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI)
    )
    return descriptor


class Line:
    """One peer's line."""

    def __init__(
        self, namespace: str, device: str, delay_s: float, jitter_s: float, rng: random.Random
    ) -> None:
        self._delay_s = delay_s
        self._jitter_s = jitter_s
        self._rng = rng
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._latest = 0.0
        self.net = open_tap(device)
        with inside(Path("/run/netns") / namespace):
            self.peer = open_tap("eth0")

    @property
    def next_at(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def from_peer(self, now: float) -> None:
        for frame in _read(self.peer):
            wait = self._delay_s + self._rng.uniform(-self._jitter_s, self._jitter_s)
            self._latest = max(self._latest, now + max(0.0, wait))
            if len(self._waiting) < _MAX_WAITING:
                self._waiting.append((self._latest, frame))

    def from_net(self) -> None:
        for frame in _read(self.net):
            _write(self.peer, frame)

    def release(self, now: float) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            _write(self.net, waiting.popleft()[1])


def _read(descriptor: int) -> list[bytes]:
    frames: list[bytes] = []
    try:
        while len(frames) < _AT_ONCE:
            frames.append(os.read(descriptor, _FRAME_BYTES))
    except OSError:  # none left, or the device is down
        pass
    return frames


def _write(descriptor: int, frame: bytes) -> None:
    try:
        os.write(descriptor, frame)
    except OSError:  # the device is down: the frame is lost, as on any line
        return


def run(lines: list[Line]) -> None:
    """Move frames until standard input ends."""
    poll = select.epoll()
    by_peer = {line.peer: line for line in lines}
    by_net = {line.net: line for line in lines}
    for descriptor in (*by_peer, *by_net, sys.stdin.fileno()):
        poll.register(descriptor, select.EPOLLIN)
    while True:
        now = time.monotonic()
        due = min((at for line in lines if (at := line.next_at) is not None), default=now + 1.0)
        for descriptor, _ in poll.poll(max(0.0, due - now)):
            if descriptor in by_peer:
                by_peer[descriptor].from_peer(time.monotonic())
            elif descriptor in by_net:
                by_net[descriptor].from_net()
            elif not os.read(descriptor, 4096):
                return
        now = time.monotonic()
        for line in lines:
            line.release(now)


def main() -> None:
    lines = [
        Line(
            each["namespace"],
            each["device"],
            each["delay_s"],
            each["jitter_s"],
            random.Random(each["device"]),
        )
        for each in json.loads(sys.argv[1])
    ]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    run(lines)


if __name__ == "__main__":
    main()
