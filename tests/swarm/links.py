"""What the line of a peer does to what goes over it, and nets: lines as they are sold. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.swarm.quantities import rate_text


@dataclass(frozen=True, slots=True)
class Link:
    """The line of one peer. Rates are bits a second on the wire, Ethernet header included; 0 is no
    limit."""

    up: float = 0.0
    down: float = 0.0
    delay_s: float = 0.0
    """Added to each packet on its way out: a round trip has that of both ends."""
    jitter_s: float = 0.0
    """The delay of a packet is up to this much less or more; packets keep their order."""
    loss: float = 0.0
    """Probability that a packet is lost, each way."""
    queue_s: float = 0.2
    """The longest queue in front of a rate, in seconds of that rate."""

    @property
    def needs_delay(self) -> bool:
        return bool(self.delay_s or self.jitter_s)

    def __str__(self) -> str:
        parts = [f"{rate_text(self.up)} up", f"{rate_text(self.down)} down"]
        if self.needs_delay:
            parts.append(f"{self.delay_s * 1000:g} ± {self.jitter_s * 1000:g} ms")
        if self.loss:
            parts.append(f"{self.loss:.2%} loss")
        return ", ".join(parts)


_M: Final = 1e6


@dataclass(frozen=True, slots=True)
class Net:
    """A kind of network: the line of whoever publishes, and those of the rest."""

    about: str
    publisher: Link
    peer: Link


NETS: Final[dict[str, Net]] = {
    "even": Net(
        "publisher 10 up, peers 5 up and 20 down (Mbit/s), no delay: figures are stated for it",
        Link(up=10 * _M, down=100 * _M),
        Link(up=5 * _M, down=20 * _M),
    ),
    "lan": Net("no limits and no delay", Link(), Link()),
    "fibre": Net(
        "50 Mbit/s both ways, 4 ms",
        Link(50 * _M, 50 * _M, 0.004, 0.001),
        Link(50 * _M, 50 * _M, 0.004, 0.001),
    ),
    "adsl": Net(
        "publisher 10 up, peers 1 up and 16 down (Mbit/s), 15 ± 5 ms",
        Link(10 * _M, 50 * _M, 0.01, 0.002),
        Link(1 * _M, 16 * _M, 0.015, 0.005),
    ),
    "mobile": Net(
        "peers 5 up and 20 down (Mbit/s), 40 ± 20 ms, 1 % loss",
        Link(10 * _M, 50 * _M, 0.01, 0.002),
        Link(5 * _M, 20 * _M, 0.04, 0.02, 0.01),
    ),
}
