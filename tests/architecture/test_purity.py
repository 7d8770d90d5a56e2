"""Pure modules decide and touch nothing: bytes, time and chance are arguments."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from tests.architecture.source import Module, assert_none, modules
from tests.architecture.test_imports import SCHEMA

PURE_ROOMS = {"core", "wire", "utp", "swarm", "discovery"}
PURE_MODULES = {
    "engine.errors",
    "engine.setting_kinds",
    "engine.settings",
    "engine.control.change_log",
    *SCHEMA,
    "engine.control.subscriptions",
    "engine.control.view_order",
    "engine.net.http_tunnel",
    "engine.net.proxy_steps",
    "engine.net.socks5",
    "engine.torrent.lifecycle",
    "engine.tracker.announce",
    "engine.tracker.swarm_table",
    "engine.tracker.udp_protocol",
    "tui.format",
    "tui.store",
}
LIBRARIES = {"control": {"msgspec"}, "tui": {"rich"}}
"""Third-party names that pure modules of this room or package may use: values and arithmetic."""

WORLD = {
    *("asyncio", "concurrent", "contextvars", "multiprocessing", "sched", "threading", "_thread"),
    *("select", "selectors", "signal", "socketserver", "ssl", "subprocess"),
    *("datetime", "os", "platform", "pwd", "resource", "secrets", "sys", "time", "uuid"),
    *("fcntl", "fileinput", "glob", "io", "mmap", "shutil", "sqlite3", "tempfile"),
    *("ftplib", "http", "imaplib", "poplib", "smtplib", "urllib.request", "urllib.error"),
    *("ctypes", "gc", "importlib", "inspect", "logging", "weakref"),
}
"""Standard modules that reach the clock, the system, other threads or the machinery of Python."""

PATHS_ARE_VALUES_IN = {"engine.setting_kinds", "engine.settings"}
DATES_ARE_SHOWN_IN = {"tui.format"}

SOCKET_NAMES = {"AF_INET", "AF_INET6", "inet_ntop", "inet_pton"}
"""What socket has of pure functions: addresses as text and as bytes."""

CALLS = {"breakpoint", "eval", "exec", "input", "open", "print", "__import__"}


def _pure_modules() -> Iterator[Module]:
    for package in ("engine", "tui"):
        for module in modules(package):
            if module.name in PURE_MODULES or (package == "engine" and module.room in PURE_ROOMS):
                yield module


def _forbidden(module: Module, name: str) -> bool:
    top = name.split(".", maxsplit=1)[0]
    if top in {"engine", "tui"}:
        return False
    if top == "pathlib":
        return module.name not in PATHS_ARE_VALUES_IN
    if top == "datetime":
        return module.name not in DATES_ARE_SHOWN_IN
    if top not in sys.stdlib_module_names:
        return top not in LIBRARIES.get(module.room or module.name.split(".", maxsplit=1)[0], set())
    return top in WORLD or name in WORLD


def _faults(module: Module) -> Iterator[str]:
    for found in module.imports():
        if found.for_types_only:
            continue
        if found.name == "random":
            yield f"{module.at(found.line)}: chance is an argument (random.Random)"
        elif _forbidden(module, found.name):
            yield f"{module.at(found.line)}: {module.name} is pure and must not import {found.name}"
    for node in ast.walk(module.tree):
        match node:
            case ast.ImportFrom(module="socket"):
                yield f"{module.at(node.lineno)}: write socket.NAME, so that it can be checked"
            case ast.Attribute(value=ast.Name(id="socket"), attr=name) if name not in SOCKET_NAMES:
                yield f"{module.at(node.lineno)}: {module.name} must not use socket.{name}"
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                yield f"{module.at(node.lineno)}: {module.name} must not call {name}()"
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield f"{module.at(node.lineno)}: {module.name} is pure and waits for nothing"


def test_pure_modules_touch_nothing() -> None:
    faults = [fault for module in _pure_modules() for fault in _faults(module)]
    assert_none(faults)
