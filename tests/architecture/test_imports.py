"""Imports point one way: the picture of the rooms in engine/README.md, as rules."""

from __future__ import annotations

from tests.architecture.source import Module, assert_none, modules

ROOMS: dict[str, set[str]] = {
    "core": set(),
    "wire": {"core"},
    "utp": {"core"},
    "swarm": {"core"},
    "discovery": {"core"},
    "storage": {"core"},
    "tracker": {"core"},
    "net": {"core", "wire", "utp", "discovery"},
    "torrent": {"core", "wire", "utp", "swarm", "discovery", "storage", "net"},
    "session": {"core", "wire", "utp", "swarm", "discovery", "storage", "net", "torrent"},
    "control": {"core", "discovery", "session", "torrent"},
}
"""What each room may import beside itself and engine.errors."""

TAKES_SETTINGS = {"storage", "tracker", "net", "torrent", "session", "control"}
"""May import engine.settings; pure rooms get plain values."""

SCHEMA = {
    f"engine.control.{name}"
    for name in (
        *("schema", "schema_dht", "schema_files", "schema_filter", "schema_peers"),
        *("schema_request", "schema_session", "schema_torrents", "schema_views"),
    )
}
"""The interface of the engine: a module for each topic, and one that has the names of all."""

FRONT_DOOR = {
    *SCHEMA,
    "engine.engine_address",
    *(f"engine.control.{name}" for name in ("framing", "client", "carrier", "socket_path")),
}
"""What a front end loads: small, and the same for all of them."""

COMPOSING = {"commands"}
"""Folders that, like the modules outside of all rooms, compose the product: they import everything,
the interface included, and no room imports them."""

BELOW_ALL: dict[str, set[str]] = {
    "engine.engine_address": set(),
    "engine.errors": set(),
    "engine.network_kinds": {"core"},
    "engine.setting_kinds": {"core"},
    "engine.setting_sections": {"core"},
    "engine.settings": {"core"},
}
"""Modules outside of the rooms that rooms may import, and the rooms that these may import. The
others (command line, daemon) compose the product: they import everything, nothing imports them."""


def _room_of(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else ""


def _may_import(module: Module, name: str) -> bool:
    if module.name in FRONT_DOOR:
        return name in FRONT_DOOR or name == "engine.errors"
    if module.name in BELOW_ALL:
        return name in BELOW_ALL or _room_of(name) in BELOW_ALL[module.name]
    if not module.room or module.room in COMPOSING:
        return True
    if name in BELOW_ALL:
        return name == "engine.errors" or module.room in TAKES_SETTINGS
    return _room_of(name) in ROOMS[module.room] | {module.room}


def test_rooms_import_only_what_lies_below_them() -> None:
    wrong = [
        f"{module.at(found.line)}: {module.name} must not import {found.name}"
        for module in modules("engine")
        for found in module.imports()
        if found.name.split(".", maxsplit=1)[0] == "engine" and not _may_import(module, found.name)
    ]
    assert_none(wrong)


def test_the_schema_is_reached_by_one_name() -> None:
    wrong = [
        f"{module.at(found.line)}: take it from engine.control.schema"
        for package in ("engine", "tui", "tests")
        for module in modules(package)
        for found in module.imports()
        if found.name.startswith("engine.control.schema_") and module.name not in SCHEMA
    ]
    assert_none(wrong)


def test_every_room_has_its_rule() -> None:
    rooms = {module.room for module in modules("engine") if module.room}
    assert rooms <= set(ROOMS) | COMPOSING, "a room that test_imports.py does not know"


def test_the_engine_knows_no_front_end_and_no_test() -> None:
    wrong = [
        f"{module.at(found.line)}: {module.name} must not import {found.name}"
        for module in modules("engine")
        for found in module.imports()
        if found.name.split(".", maxsplit=1)[0] == "tests"
        or (
            found.name.split(".", maxsplit=1)[0] == "tui"
            and (module.room in ROOMS or module.name in BELOW_ALL)
        )
    ]
    assert_none(wrong)


def test_the_interface_reaches_the_engine_through_its_link_only() -> None:
    wrong = [
        f"{module.at(found.line)}: {module.name} must not import {found.name}"
        for module in modules("tui")
        for found in module.imports()
        if found.name.split(".", maxsplit=1)[0] in {"engine", "tests"}
        and found.name != "engine.errors"
        and not (module.name == "tui.link" and found.name in FRONT_DOOR)
    ]
    assert_none(wrong)
