"""What makes a link: commands for tc and tables for iptables, and in words what was made. Pure.

Rates are kept by tbf at both ends of a peer's line: what it sends at its own, what it gets at the
other. Packets are lost on arrival: at the peer what comes to it, at everybody else what comes from
it. (Lost on the way out, the kernel would tell TCP at once and nothing would be lost.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.swarm.links import Link
from tests.swarm.plan import Member
from tests.swarm.quantities import rate_text

_MTU_FRAME: Final = 1514
_BURST_S: Final = 0.005
"""A timer of the kernel is late by up to 4 ms; what it missed meanwhile may go at once."""


def tbf(rate: float, queue_s: float) -> str:
    """The token bucket of a rate in bits a second, as tc takes it."""
    burst = max(2 * _MTU_FRAME, round(rate / 8 * _BURST_S))
    return f"tbf rate {rate:.0f}bit burst {burst} latency {queue_s * 1000:.0f}ms"


def qdiscs(device: str, rate: float, link: Link, *, netem: bool) -> list[str]:
    """Lines for `tc -batch` that shape what leaves `device`; `netem` also delays it there."""
    lines = []
    parent = "root"
    if netem:
        delay = f"delay {link.delay_s * 1000:g}ms"
        if link.jitter_s:
            delay += f" {link.jitter_s * 1000:g}ms"
        lines.append(f"qdisc add dev {device} root handle 1: netem {delay} limit 20000")
        parent = "parent 1: handle 10:"
    if rate:
        lines.append(f"qdisc add dev {device} {parent} {tbf(rate, link.queue_s)}")
    return lines


def loss_table(member: Member, hosts: Sequence[Member]) -> str:
    """The filter of one host for iptables-restore; empty if it loses nothing."""
    own = member.link.loss
    rules = [f"-A INPUT -i eth0 {_dice(own)}"] if own else []
    rules += [
        f"-A INPUT -i eth0 -s {other.address} {_dice(other.link.loss)}"
        for other in hosts
        if other.link.loss and other.name != member.name
    ]
    return "\n".join(["*filter", ":INPUT ACCEPT", *rules, "COMMIT", ""]) if rules else ""


def _dice(probability: float) -> str:
    return f"-m statistic --mode random --probability {probability:.6f} -j DROP"


def applied(link: Link, *, netem: bool) -> str:
    """Say how a link is made."""
    parts = []
    if link.up or link.down:
        parts.append(f"tbf {rate_text(link.up)} up, {rate_text(link.down)} down")
    if link.needs_delay:
        how = "netem" if netem else "delay line, in order,"
        parts.append(f"{how} {link.delay_s * 1000:g} ± {link.jitter_s * 1000:g} ms out")
    if link.loss:
        parts.append(f"iptables statistic {link.loss:.2%} each way")
    return "; ".join(parts) or "no limits"
