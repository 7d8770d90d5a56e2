"""From a scenario to members with names, addresses and links. Pure.

Addresses are of 198.18.0.0/15 (RFC 2544) or fd00::/8: no client takes them for local ones, which
many never choke and do not count in their limits.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from tests.swarm.links import Link
from tests.swarm.scenario import Role, Scenario

TRACKER: Final = "tracker"
TRACKER_PORT: Final = 6969
PEER_PORT: Final = 6881
_TRACKER: Final = 2
"""1 is the host's own address where there is one."""
_BASE_4: Final = int(ip_address("198.18.0.0"))
_FIRST: Final = 10
_BLOCK: Final = 1024
"""Addresses of one run."""


@dataclass(frozen=True, slots=True)
class Member:
    """One host of the network."""

    name: str
    number: int
    address: str
    mac: str
    link: Link
    role: Role | None
    """None for the tracker."""
    joins_s: float | None = None
    nodes: tuple[str, ...] = ()
    """HOST:PORT of those whom it joins the DHT by."""

    @property
    def device(self) -> str:
        """Its end in the network of all; unique and short."""
        return f"m{self.number}"

    @property
    def prefix(self) -> int:
        return 64 if ":" in self.address else 15

    @property
    def counts(self) -> bool:
        """It is one of those for whom it is all done."""
        return self.role is not None and self.role.is_awaited


@dataclass(frozen=True, slots=True)
class Plan:
    scenario: Scenario
    tracker: Member
    members: tuple[Member, ...]
    """Without the tracker."""
    block: int = 0

    @property
    def subnets(self) -> tuple[str, ...]:
        """The part of the network that is this run's."""
        four = f"{ip_address(_BASE_4 + self.block * _BLOCK)}/22"
        six = (f"fd53:5750:{self.block:x}::/64",) if self.scenario.network.ip == 6 else ()
        return (four, *six)

    @property
    def hosts(self) -> tuple[Member, ...]:
        return (self.tracker, *self.members)

    @property
    def announce(self) -> str | None:
        kind = self.scenario.network.tracker
        if kind == "none":
            return None
        return f"{kind}://{host_port(self.tracker.address, TRACKER_PORT)}/announce"

    def of(self, roles: Iterable[str]) -> list[Member]:
        wanted = set(roles)
        return [m for m in self.members if m.role is not None and m.role.name in wanted]


def host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def plan(scenario: Scenario, block: int = 0) -> Plan:
    """Give everybody a name, a number and an address; `block` is the part of the network, 0 to 127,
    for runs that share one machine's network."""
    ip = scenario.network.ip
    members: list[Member] = []
    for role in scenario.roles:
        width = len(str(role.count))
        for index in range(role.count):
            number = _FIRST + len(members)
            name = role.name if role.count == 1 else f"{role.name}-{index + 1:0{width}}"
            joins_s = None if role.joins_s is None else role.joins_s + index * role.every_s
            link = scenario.link_of(role)
            members.append(
                Member(name, number, _address(number, ip, block), _mac(number), link, role, joins_s)
            )
    nodes = [each for each in members if each.role and each.role.name in scenario.network.dht]
    members = [
        replace(
            member,
            nodes=tuple(host_port(n.address, PEER_PORT) for n in nodes if n is not member),
        )
        for member in members
    ]
    tracker = Member(TRACKER, _TRACKER, _address(_TRACKER, ip, block), _mac(_TRACKER), Link(), None)
    return Plan(scenario, tracker, tuple(members), block)


def choose(
    members: list[Member], share: float, count: int | None, rng: random.Random
) -> list[Member]:
    """Some of them by chance, in their order; `share` of them rounded, at least one."""
    wanted = count if count is not None else max(1, round(share * len(members)))
    chosen = set(rng.sample(range(len(members)), min(wanted, len(members))))
    return [member for index, member in enumerate(members) if index in chosen]


def _address(number: int, ip: int, block: int) -> str:
    if ip == 6:
        return f"fd53:5750:{block:x}::{number:x}"
    return str(ip_address(_BASE_4 + block * _BLOCK + number))


def _mac(number: int) -> str:
    return f"02:53:57:50:{number >> 8:02x}:{number & 255:02x}"
