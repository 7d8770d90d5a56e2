"""The shape of the house: empty inits, modules of one topic and bounded length, mirrored tests."""

from __future__ import annotations

from pathlib import Path

from tests.architecture.source import ROOT, Module, assert_none, modules

LENGTH_BUDGET = 400

VAGUE = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}

TEST_FOLDERS = {"swarm": "swarm_room"}
"""Where a room's tests lie under another name: tests/swarm is for swarms of containers."""

WITHOUT_MIRROR = {
    "engine.__main__": "two lines; tests/end_to_end starts the engine by it",
    "engine.errors": "a tree of names; whoever raises one tests it",
    "engine.control.schema_dht": "values; test_schema.py sends all of them",
    "engine.control.schema_files": "values; test_schema.py sends all of them",
    "engine.control.schema_filter": "values; test_schema.py sends all of them",
    "engine.control.schema_peers": "values; test_schema.py sends all of them",
    "engine.control.schema_request": "values; test_schema.py sends all of them",
    "engine.control.schema_session": "values; test_schema.py sends all of them",
    "engine.control.schema_torrents": "values; test_schema.py sends all of them",
    "engine.control.schema_views": "values; test_schema.py sends all of them",
    "engine.commands.transferring": "test_get.py and test_seed.py run it",
    "engine.control.port": "a Protocol; the fake and the real engine are tested against it",
    "engine.discovery.dht.counters": "values; the node is tested by them",
    "engine.discovery.dht.events": "values; the node is tested by them",
    "engine.discovery.dht.messages": "values; krpc is tested with them",
    "engine.net.name_sockets": "tests/net/test_names.py asks over them",
    "engine.net.proxy_steps": "values; the scripts of SOCKS5 and HTTP are tested with them",
    "engine.net.udp_tracker_socket": "tests/net/test_udp_tracker_client.py asks over them",
    "engine.net.connection": "a Protocol; the connections are tested against it",
    "engine.torrent.owner": "a Protocol; the session is tested by what torrents tell it",
    "engine.torrent.facilities": "values; every torrent is tested with them",
    "engine.utp.counters": "values; test_connection.py reads them",
    "engine.utp.feedback": "every packet passes it; test_connection.py sends what must not",
    "engine.utp.flight": "rows of packets; test_outbound.py fills and sends them",
    "engine.utp.shared": "values; every connection is tested with them",
    "engine.utp.timing": "every connection is tested by it, on a virtual clock",
    "engine.tracker.shared_scripts": "run by Valkey; what they answer is tested of shared_swarms",
    "engine.storage.backend": "a Protocol; its implementations are tested against it",
}
"""Modules that no test module is named after, and why."""


def _product() -> list[Module]:
    return [*modules("engine"), *modules("tui")]


def test_inits_are_empty() -> None:
    """Importing a package imports nothing else."""
    assert_none(str(module.path) for module in _product() if module.is_init and module.text.strip())


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {module.path.parent for module in _product()}
    assert_none(
        f"{folder} has no __init__.py"
        for folder in sorted(folders)
        if not (ROOT / folder / "__init__.py").exists()
    )


def test_modules_say_what_they_are() -> None:
    assert_none(
        f"{module.path} has no docstring"
        for module in _product()
        if not module.is_init and not module.docstring
    )


def test_modules_have_a_topic() -> None:
    assert_none(
        f"{module.path}: name it by what it is"
        for module in _product()
        if any(VAGUE & set(part.split("_")) for part in module.path.with_suffix("").parts)
    )


def test_modules_keep_to_the_length_budget() -> None:
    assert_none(
        f"{module.path} has {lines} lines: split it by topic"
        for module in _product()
        if (lines := module.text.count("\n")) > LENGTH_BUDGET
    )


def _mirror(module: Module) -> Path:
    room = Path(TEST_FOLDERS.get(module.room, module.room))
    below = module.path.parent.parts[2:]
    return Path("tests", room, *below, f"test_{module.path.stem}.py")


def test_every_module_of_the_engine_has_its_tests() -> None:
    """tests/<room>/test_<module>.py, or several test_<module>_<topic>.py."""
    untested = []
    for module in modules("engine"):
        mirror = _mirror(module)
        split = (ROOT / mirror.parent).glob(f"{mirror.stem}_*.py")
        if module.is_init or module.name in WITHOUT_MIRROR or (ROOT / mirror).exists():
            continue
        if not any(split):
            untested.append(f"{module.path} has no {mirror}")
    assert_none(untested)


def test_exceptions_are_still_needed() -> None:
    known = {module.name: module for module in modules("engine")}
    stale = [
        name for name in WITHOUT_MIRROR if name in known and (ROOT / _mirror(known[name])).exists()
    ]
    assert_none(f"{name} is well-behaved by now: take it off its list" for name in stale)
