"""What a setting of the network can be: addresses, names of hosts, servers and interfaces.

As those of setting_kinds.py: `parse(show(value)) == value` for every value that `parse` gave.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.core.compact import endpoint, split_host_port
from engine.core.ip_filter import parse_network
from engine.core.proxy_address import ProxyAddress, parse_proxy
from engine.errors import InputError

_HOST = re.compile(r"[A-Za-z0-9_.-]{1,253}", re.ASCII)
_INTERFACE = re.compile(r"[^\s/]*")
_MAX_INTERFACE_BYTES = 15


@dataclass(frozen=True, slots=True)
class Networks:
    """Addresses and networks, as a list or with commas between them."""

    @property
    def expected(self) -> str:
        return "addresses and networks such as 192.168.0.0/16, fd00::/8"

    def parse(self, given: object) -> tuple[str, ...]:
        parts = given.split(",") if isinstance(given, str) else given
        if not isinstance(parts, list | tuple):
            raise ValueError
        networks = []
        for part in parts:
            if not isinstance(part, str):
                raise ValueError
            if part.strip():
                networks.append(str(parse_network(part)))
        return tuple(networks)

    def show(self, value: tuple[str, ...]) -> str:
        return ", ".join(value)


@dataclass(frozen=True, slots=True)
class Address:
    """HOST:PORT with a numeric host or `*`, all addresses; port 0 is any free one."""

    @property
    def expected(self) -> str:
        return "HOST:PORT such as 0.0.0.0:6881, [::1]:6881 or *:6881"

    def parse(self, given: object) -> str:
        if not isinstance(given, str):
            raise ValueError
        try:
            host, port = split_host_port(given.strip())
        except InputError:
            raise ValueError from None  # it says no more than `expected`
        if host == "*":
            return f"*:{port}"
        # Port 0 is no peer's address, so the host is checked with another.
        return str(endpoint(host, 1)._replace(port=port))

    def show(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class OptionalAddress:
    """HOST:PORT like Address, or nothing: the empty text."""

    @property
    def expected(self) -> str:
        return f"{Address().expected}, or nothing"

    def parse(self, given: object) -> str:
        return "" if given in ("", None) else Address().parse(given)

    def show(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class InterfaceName:
    """The name of a network interface, or nothing: the empty text."""

    @property
    def expected(self) -> str:
        return "the name of a network interface such as tun0, or nothing for any"

    def parse(self, given: object) -> str:
        name = given.strip() if isinstance(given, str) else "/"
        if not _INTERFACE.fullmatch(name) or len(name.encode()) > _MAX_INTERFACE_BYTES:
            raise ValueError
        return name

    def show(self, value: str) -> str:
        return value


@dataclass(frozen=True, slots=True)
class ProxyUrl:
    """Where a proxy is and who we are to it, or nothing: None."""

    @property
    def expected(self) -> str:
        return "socks5://USER:PASSWORD@HOST:PORT or http://HOST:PORT, or nothing for no proxy"

    @property
    def is_secret(self) -> bool:
        return True

    def parse(self, given: object) -> ProxyAddress | None:
        if given is None or isinstance(given, ProxyAddress):
            return given
        if not isinstance(given, str):
            raise ValueError
        return parse_proxy(given) if given.strip() else None

    def show(self, value: ProxyAddress | None) -> str:
        return "" if value is None else value.url

    def tell(self, value: ProxyAddress | None) -> str:
        return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses, each with a port or without, as a list or with commas between them."""

    @property
    def expected(self) -> str:
        return "ADDRESSes such as 10.8.0.1 or 10.8.0.1:5353, or nothing for none"

    def parse(self, given: object) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(_server, _listed(given))))

    def show(self, value: tuple[str, ...]) -> str:
        return ", ".join(value)


@dataclass(frozen=True, slots=True)
class Addresses:
    """HOST:PORTs, as a list or with commas between them; a host may be a name."""

    @property
    def expected(self) -> str:
        return "HOST:PORTs with commas between them, or nothing for none"

    def parse(self, given: object) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(_named_address, _listed(given))))

    def show(self, value: tuple[str, ...]) -> str:
        return ", ".join(value)


def _listed(given: object) -> Sequence[object]:
    if isinstance(given, str):
        return [part for part in re.split(r"[,\s]+", given) if part]
    if not isinstance(given, list | tuple):
        raise ValueError
    return given


def _server(given: object) -> str:
    if not isinstance(given, str):
        raise ValueError
    try:
        return endpoint(given.strip(), 1).host
    except InputError:
        return str(endpoint(*split_host_port(given.strip())))


def _named_address(given: object) -> str:
    if not isinstance(given, str):
        raise ValueError
    try:
        host, port = split_host_port(given.strip())
        if ":" in host:
            return str(endpoint(host, port))
    except InputError:
        raise ValueError from None  # it says no more than `expected`
    if not port or not _HOST.fullmatch(host) or ".." in host:
        raise ValueError
    return f"{host}:{port}"
