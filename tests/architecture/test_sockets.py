"""By which way everything leaves is one object's decision: nothing else makes a socket.

A feature that made one of its own would leave beside the VPN or the proxy that a user trusts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.source import Module, assert_none, modules

MAKERS = {
    "socket",
    "socketpair",
    "fromfd",
    "create_connection",
    "create_server",
    "create_datagram_endpoint",
    "open_connection",
    "start_server",
    "getaddrinfo",
    "getnameinfo",
    "gethostbyname",
    "gethostbyname_ex",
    "gethostbyaddr",
    "getfqdn",
    "urlopen",
    "urlretrieve",
    "TCPConnector",
    "UnixConnector",
    "TCPSite",
}
"""Names of what makes a socket, or asks the system's resolver to."""
DISGUISED = {"http.client", "urllib.request", "ftplib", "smtplib", "xmlrpc.client", "requests"}
"""Modules that speak with others by themselves."""
SILENT = {"ClientSession", "bind", "connect", "request"}
"""Of aiohttp and asyncio_dgram: make sockets unless they are given one."""

MAY = {
    "engine.net.route": {"socket", "getaddrinfo"},
    "engine.net.interface": {"socket"},  # to the kernel, which it asks about interfaces
    "engine.net.http_connector": {
        "TCPConnector",
        "create_connection",  # over a socket of the route's, which leads through the proxy
    },
    "engine.control.socket_path": {"socket"},  # a Unix socket: it leads to this machine's user
    "engine.control.metrics": {"create_server"},  # as the tracker
    "engine.tracker.app": {"socket", "getaddrinfo"},  # a server where it is told to be
    "engine.tracker.http_server": {"create_server"},  # of the socket of app.py
}
"""What each module may make."""


def _made(module: Module) -> Iterator[tuple[str, int]]:
    """What is called, by the last part of its name; bare names count where they were imported."""
    brought = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").split(".")[0] in {"socket", "asyncio", "aiohttp", "asyncio_dgram"}
        for alias in node.names
    }
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if brought.get(name) in MAKERS | SILENT:
                yield brought[name], node.lineno
            case ast.Call(func=ast.Attribute(attr=name)) if name in MAKERS:
                yield name, node.lineno
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="aiohttp" | "asyncio_dgram"), attr=name),
                keywords=given,
            ) if name in SILENT and "connector" not in {each.arg for each in given}:
                yield name, node.lineno


def test_only_the_route_makes_sockets() -> None:
    assert_none(
        f"{module.at(line)}: {name} is for engine/net/route.py; ask it for a socket or a name"
        for package in ("engine", "tui")
        for module in modules(package)
        for name, line in _made(module)
        if name not in MAY.get(module.name, set())
    )


def test_nothing_speaks_through_a_library_that_makes_its_own() -> None:
    assert_none(
        f"{module.at(found.line)}: {found.name} leaves by its own way"
        for package in ("engine", "tui")
        for module in modules(package)
        for found in module.imports()
        if found.name in DISGUISED
    )


def test_what_modules_may_make_they_make() -> None:
    made = {
        module.name: {name for name, _ in _made(module)}
        for module in modules("engine")
        if module.name in MAY
    }
    assert made == MAY
