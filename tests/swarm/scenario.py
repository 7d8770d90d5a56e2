"""A scenario as its TOML file says it, checked: payload, network, roles, events, expectations.

Invariant: what is not understood is an error that names the place, and guesses what was meant; a
scenario that was read can be planned. README.md tells users what every key means. Pure.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from engine.errors import InputError, SettingsError
from engine.settings import check
from tests.swarm import quantities
from tests.swarm.links import NETS, Link

T = TypeVar("T")

CLIENTS: Final = ("seedwright", "libtorrent", "transmission", "aria2", "qbittorrent")
BEHAVIOURS: Final = ("honest", "free-rider", "corrupter", "liar")
TRACKERS: Final = ("http", "udp", "none")
ACTIONS: Final = (
    *("kill", "pause", "partition", "leave", "tracker-down"),
    *("start", "resume", "heal", "tracker-up", "disk-free", "join"),
)
UNDOES: Final[Mapping[str, str]] = {
    "kill": "start",
    "leave": "start",
    "pause": "resume",
    "partition": "heal",
    "tracker-down": "tracker-up",
}
WITHOUT_WHO: Final = frozenset({"heal", "tracker-down", "tracker-up"})
CONDITIONS: Final = ("first complete", "all complete", "copy held")
"""Beside "N% complete": what an event can wait for. A copy is held when the peers, without whoever
had everything from the start, hold one whole copy between them."""


class ScenarioError(InputError):
    """The file of a scenario cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    size: int = 32 << 20
    piece_length: int = 256 << 10
    files: int = 1
    is_private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    net: str = "even"
    ip: int = 4
    tracker: str = "http"
    interval_s: float = 15.0
    dht: tuple[str, ...] = ()
    """Roles whose members everybody joins the DHT by; none: nobody knows a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """So many members that are alike."""

    name: str
    count: int = 1
    has_all: bool = False
    client: str = "seedwright"
    behaviour: str = "honest"
    link: Mapping[str, float] = field(default_factory=dict)
    """What its links have other than the net's: names of fields of Link."""
    settings: Mapping[str, str] = field(default_factory=dict)
    disk: int | None = None
    """Bytes of the disk that it saves on; None = enough."""
    joins_s: float | None = 0.0
    """Seconds after the start; None = an event lets it join."""
    every_s: float = 0.0
    """Seconds between one of the role and the next."""
    is_awaited: bool = True
    """The run ends when all who are awaited have everything."""
    is_told: bool = True
    """False: its torrent names no tracker, so that nobody tells it about others."""
    by_magnet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    do: str
    who: tuple[str, ...] = ()
    """Roles; empty for what concerns nobody in particular."""
    at_s: float | None = None
    when: str = ""
    after_s: float = 0.0
    """Seconds that it waits once `when` is true."""
    share: float = 1.0
    count: int | None = None
    """How many of them; None = `share` of them."""
    back_after_s: float | None = None
    every_s: float | None = None
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What must be true in the end; None and empty = not asked."""

    complete_by_s: float | None = None
    is_identical: bool = True
    publisher_copies: float | None = None
    ratio: float | None = None
    no_leak: bool = False
    recovered: bool = False
    never: tuple[str, ...] = ()
    """Roles that must not get anything."""
    riders_slower: float | None = None
    """Mean completion of the free riders over that of who gives, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    name: str
    description: str
    payload: Payload = Payload()
    network: Network = Network()
    roles: tuple[Role, ...] = ()
    events: tuple[Event, ...] = ()
    expect: Expect = Expect()
    time_limit_s: float = 300.0
    needs: tuple[str, ...] = ()
    """Settings of the engine without which it makes no sense, as section.key."""

    def with_peers(self, total: int) -> Scenario:
        """The same with `total` members that come with nothing, in the proportions of their roles;
        roles of one that join later stay as they are. Raises ScenarioError."""
        scaled = [role for role in self.roles if not role.has_all and role.count > 1]
        fixed = sum(role.count for role in self.roles if not role.has_all and role.count == 1)
        if not scaled:
            raise ScenarioError(f"{self.name} has no role of several peers, so PEERS= fits nowhere")
        rest = total - fixed
        if rest < len(scaled):
            raise ScenarioError(f"{self.name} needs at least {fixed + len(scaled)} peers")
        before = sum(role.count for role in scaled)
        counts = {role.name: max(1, round(rest * role.count / before)) for role in scaled}
        largest = max(counts, key=lambda name: counts[name])
        counts[largest] += rest - sum(counts.values())
        roles = tuple(replace(role, count=counts.get(role.name, role.count)) for role in self.roles)
        return replace(self, roles=roles)

    def in_net(self, net: str) -> Scenario:
        """The same in another net; what roles say about their links themselves is dropped. Raises
        ScenarioError."""
        if net not in NETS:
            raise ScenarioError(f"there is no net {net!r}{_guess(net, NETS)}")
        roles = tuple(replace(role, link={}) for role in self.roles)
        return replace(self, network=replace(self.network, net=net), roles=roles)

    def with_client(self, client: str) -> Scenario:
        """The same with another client wherever somebody is honest; settings are dropped, since
        they are in the words of ours. Raises ScenarioError."""
        if client not in CLIENTS:
            raise ScenarioError(f"there is no client {client!r}{_guess(client, CLIENTS)}")
        roles = tuple(
            replace(role, client=client, settings={}) if role.behaviour == "honest" else role
            for role in self.roles
        )
        return replace(self, roles=roles)

    def link_of(self, role: Role) -> Link:
        net = NETS[self.network.net]
        return replace(net.publisher if role.has_all else net.peer, **role.link)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


def parse(text: str, name: str) -> Scenario:
    """Read a scenario. Raises ScenarioError."""
    try:
        top = _Table(name, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{name}: {error}") from error
    roles = tuple(_role(each, table) for each, table in top.tables("role"))
    if not roles:
        raise ScenarioError(f"{name}: there is no [role.…]")
    if not any(role.has_all for role in roles):
        raise ScenarioError(f'{name}: no role has = "all", so there is nothing to get')
    names = [role.name for role in roles]
    scenario = Scenario(
        name=name,
        description=top.take("description", _text),
        payload=_payload(top.table("payload")),
        network=_network(top.table("network"), names),
        roles=roles,
        events=tuple(_event(table, names) for table in top.list("event")),
        expect=_expect(top.table("expect"), names),
        time_limit_s=top.take("time_limit", quantities.seconds, 300.0),
        needs=top.take("needs", _texts, ()),
    )
    top.end()
    return scenario


def _payload(table: _Table) -> Payload:
    usual = Payload()
    payload = Payload(
        size=table.take("size", quantities.size_bytes, usual.size),
        piece_length=table.take("piece_length", quantities.size_bytes, usual.piece_length),
        files=table.take("files", _whole(1, 100_000), 1),
        is_private=table.take("private", _switch, False),
    )
    table.end()
    return payload


def _network(table: _Table, roles: list[str]) -> Network:
    network = Network(
        net=table.take("net", _one_of(NETS), "even"),
        ip=table.take("ip", _one_of((4, 6)), 4),
        tracker=table.take("tracker", _one_of(TRACKERS), "http"),
        interval_s=table.take("interval", quantities.seconds, 15.0),
        dht=table.take("dht", _names(roles), ()),
    )
    table.end()
    return network


def _role(name: str, table: _Table) -> Role:
    link = {
        key: value
        for key, value in (
            ("up", table.take("up", quantities.bits_per_s, None)),
            ("down", table.take("down", quantities.bits_per_s, None)),
            ("delay_s", table.take("delay", quantities.seconds, None)),
            ("jitter_s", table.take("jitter", quantities.seconds, None)),
            ("loss", table.take("loss", quantities.share, None)),
            ("queue_s", table.take("queue", quantities.seconds, None)),
        )
        if value is not None
    }
    has_all = table.take("has", _one_of(("all", "nothing")), "nothing") == "all"
    client = table.take("client", _one_of(CLIENTS), "seedwright")
    behaviour = table.take("behaviour", _one_of(BEHAVIOURS), "honest")
    if behaviour != "honest" and client != "seedwright":
        raise ScenarioError(f"{table.place}: only seedwright can be told to be a {behaviour}")
    is_honest = behaviour in ("honest", "free-rider")
    role = Role(
        name=name,
        count=table.take("count", _whole(1, 1000), 1),
        has_all=has_all or behaviour in ("corrupter", "liar"),
        client=client,
        behaviour=behaviour,
        link=link,
        settings=_settings(table.table("settings"), client),
        disk=table.take("disk", quantities.size_bytes, None),
        joins_s=table.take("joins", _joining, 0.0),
        every_s=table.take("every", quantities.seconds, 0.0),
        is_awaited=table.take("awaited", _switch, not has_all and is_honest),
        is_told=table.take("told", _switch, True),
        by_magnet=table.take("magnet", _switch, False),
    )
    table.end()
    return role


def _settings(table: _Table, client: str) -> dict[str, str]:
    found = {}
    for key, value in table.rest().items():
        if client == "seedwright":
            try:
                check(key, value, None)
            except SettingsError as error:
                raise ScenarioError(f"{table.place}: {error}") from error
        found[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def _event(table: _Table, roles: list[str]) -> Event:
    do = table.take("do", _one_of(ACTIONS))
    event = Event(
        do=do,
        who=table.take("who", _names(roles), ()),
        at_s=table.take("at", quantities.seconds, None),
        when=table.take("when", _condition, ""),
        after_s=table.take("after", quantities.seconds, 0.0),
        share=table.take("share", quantities.share, 1.0),
        count=table.take("count", _whole(1, 1000), None),
        back_after_s=table.take("back_after", quantities.seconds, None),
        every_s=table.take("every", quantities.seconds, None),
        times=table.take("times", _whole(1, 1000), 1),
    )
    table.end()
    if (event.at_s is None) == (not event.when):
        raise ScenarioError(f'{table.place}: say either at = "20s" or when = "half complete"')
    if not event.who and do not in WITHOUT_WHO:
        raise ScenarioError(f"{table.place}: {do} needs who = one role or several")
    if event.back_after_s is not None and do not in UNDOES:
        raise ScenarioError(f"{table.place}: nothing takes {do} back, so back_after means nothing")
    if event.times > 1 and event.every_s is None:
        raise ScenarioError(f'{table.place}: times = {event.times} needs every = "…"')
    return event


def _expect(table: _Table, roles: list[str]) -> Expect:
    expect = Expect(
        complete_by_s=table.take("complete_by", quantities.seconds, None),
        is_identical=table.take("identical", _switch, True),
        publisher_copies=table.take("publisher_copies", _number, None),
        ratio=table.take("ratio", _number, None),
        no_leak=table.take("no_leak", _switch, False),
        recovered=table.take("recovered", _switch, False),
        never=table.take("never", _names(roles), ()),
        riders_slower=table.take("riders_slower", _number, None),
    )
    table.end()
    return expect


# ── values ──────────────────────────────────────────────────────────────────────────────────────


class _Table:
    """One table of the file: what is taken is checked, what is left over is an error."""

    def __init__(self, place: str, given: object) -> None:
        if not isinstance(given, Mapping):
            raise ScenarioError(f"{place}: expected a table")
        self.place = place
        self._given = dict(given)
        self._known: list[str] = []

    def take(self, key: str, read: Callable[[Any], T], default: Any = ...) -> T:
        self._known.append(key)
        if key not in self._given:
            if default is ...:
                raise ScenarioError(f"{self.place}: {key} is missing")
            return default  # type: ignore[no-any-return]
        given = self._given.pop(key)
        try:
            return read(given)
        except ValueError as error:
            raise ScenarioError(f"{self.place}: {key} = {given!r}: {error}") from error

    def table(self, key: str) -> _Table:
        self._known.append(key)
        return _Table(f"{self.place}: [{key}]", self._given.pop(key, {}))

    def tables(self, key: str) -> list[tuple[str, _Table]]:
        below = self.table(key)
        return [
            (name, _Table(f"{self.place}: [{key}.{name}]", t)) for name, t in below.rest().items()
        ]

    def list(self, key: str) -> list[_Table]:
        self._known.append(key)
        found = self._given.pop(key, [])
        if not isinstance(found, list):
            raise ScenarioError(f"{self.place}: write [[{key}]], with two brackets")
        return [_Table(f"{self.place}: [[{key}]] {n}", each) for n, each in enumerate(found, 1)]

    def rest(self) -> dict[str, Any]:
        """All that is left; its keys are free."""
        found, self._given = self._given, {}
        return found

    def end(self) -> None:
        for key in self._given:
            raise ScenarioError(f"{self.place}: there is no key {key!r}{_guess(key, self._known)}")


def _guess(unknown: object, known: Iterable[object]) -> str:
    names = [str(each) for each in known]
    close = difflib.get_close_matches(str(unknown), names, n=1)
    return f" (did you mean {close[0]}?)" if close else f"; known: {', '.join(names)}"


def _text(given: object) -> str:
    if not isinstance(given, str) or not given:
        raise ValueError("expected text")
    return given


def _texts(given: object) -> tuple[str, ...]:
    return tuple(_text(each) for each in (given if isinstance(given, list) else [given]))


def _switch(given: object) -> bool:
    if not isinstance(given, bool):
        raise ValueError("expected true or false")
    return given


def _number(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or given < 0:
        raise ValueError("expected a number")
    return float(given)


def _whole(least: int, most: int) -> Callable[[object], int]:
    def read(given: object) -> int:
        if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return given

    return read


def _one_of(known: Iterable[T]) -> Callable[[T], T]:
    choices = list(known)

    def read(given: T) -> T:
        if given not in choices or isinstance(given, bool):
            raise ValueError(f"expected one of them{_guess(given, choices)}")
        return given

    return read


def _names(roles: list[str]) -> Callable[[object], tuple[str, ...]]:
    def read(given: object) -> tuple[str, ...]:
        for name in (found := _texts(given)):
            if name not in roles:
                raise ValueError(f"there is no role {name!r}{_guess(name, roles)}")
        return found

    return read


def _joining(given: object) -> float | None:
    return None if given == "by event" else quantities.seconds(given)


def _condition(given: object) -> str:
    text = _text(given)
    if text == "half complete":
        return "50% complete"
    if text.endswith(" complete") and text.removesuffix(" complete") not in ("first", "all"):
        quantities.share(text.removesuffix(" complete"))
    elif text not in CONDITIONS:
        raise ValueError(f'expected "half complete", "30% complete"{_guess(text, CONDITIONS)}')
    return text
