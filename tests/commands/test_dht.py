"""`dht`: what it says of our node, and what two engines find and keep by it."""

from __future__ import annotations

import resource
import stat
from pathlib import Path

import pytest

from engine.commands.dht import NotFound
from tests.commands.conftest import Run
from tests.commands.rig import Rig, Server, publish, rig_at, until

ON = ("--set", "network.isolated=false", "--set", "dht.enabled=true")


class Pair:
    """Two engines; the second one knows the first."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.first = self._engine("first")
        self.node = f"127.0.0.1:{self._ask(self.first, 'status').json['port']}"
        self.second = self._engine("second", "--set", f"dht.bootstrap={self.node}")
        until(lambda: self._ask(self.second, "status").json["nodes"][0]["is_joined"])
        until(lambda: self._ask(self.first, "status").json["nodes"][0]["is_joined"])

    def _engine(self, name: str, *arguments: str) -> Server:
        socket = self.rig.home / f"{name}.sock"
        server = self.rig.begin(
            *("daemon", "--socket", socket, "--state-dir", self.rig.home / f"{name}-state"),
            *("--listen", "127.0.0.1:0", *arguments),
        )
        server.socket = socket
        server.wait_for("ready: peers at ")
        return server

    def _ask(self, server: Server, *arguments: str):  # type: ignore[no-untyped-def]
        return self.rig.run("dht", *arguments, "--json", "--socket", str(server.socket))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    with rig_at(tmp_path_factory.mktemp("dht")) as rig:
        yield Pair(rig)


def test_status_tells_of_our_node(run: Run, pair: Pair) -> None:
    there = ("--socket", pair.second.socket)
    told = run("dht", "status", "--json", *there).json
    (node,) = told["nodes"]
    assert node["family"] == "IPv4"
    assert node["nodes"] == 1
    assert len(node["node_id"]) == 40
    assert node["counters"]["sent"] > 0
    text = run("dht", "status", *there).out
    for words in ("IPv4  joined", "1, 1 of them good", node["node_id"], "not known yet"):
        assert words in text
    assert run("status", "--json", *there).json["dht_nodes"] == 1
    assert "DHT  1 node" in run("status", *there).out


def test_ping_and_add(run: Run, pair: Pair) -> None:
    there = ("--socket", pair.second.socket)
    told = run("dht", "ping", pair.node, "--json", *there).json
    assert len(told["node_id"]) == 40
    assert "answered in" in run("dht", "ping", pair.node, *there).out
    assert run("dht", "add", pair.node, *there).out == f"asked {pair.node}\n"
    assert run("dht", "ping", "nonsense", *there).is_error(2, "HOST:PORT")
    assert run("dht", "ping", "[::1]:9", *there).is_error(2, "IPv6")


def test_a_torrent_is_found_and_shows_the_dht_among_its_trackers(
    run: Run, pair: Pair, tmp_path: Path
) -> None:
    content = publish(tmp_path)
    first, second = ("--socket", pair.first.socket), ("--socket", pair.second.socket)
    added = run("add", content.torrent, "--save-path", content.folder, *first)
    assert added.code == 0, added

    def found() -> list[str]:
        return list(run("dht", "lookup", content.info_hash, "--json", *second).json["peers"])

    until(lambda: bool(found()))
    told = run("dht", "lookup", f"magnet:?xt=urn:btih:{content.info_hash}", *second)
    assert told.out.strip() == pair.node  # one number for TCP and UDP
    assert "1 peer; 1 of 1 node answered, the nearest is 1 hop away" in told.err
    row = run("trackers", "cargo", "--json", *first).json[0]  # PEX and LSD are told, too
    assert (row["url"], row["tier"], row["state"]) == ("DHT", -1, "working")
    assert row["next_announce_in_s"] > 0
    assert "DHT: 0 peers" in run("trackers", "cargo", *first).out
    assert run("announce", "cargo", *first).code == 0


def test_a_private_torrent_says_that_it_does_not_use_it(
    run: Run, pair: Pair, tmp_path: Path
) -> None:
    content = publish(tmp_path, "hidden", private=True)
    there = ("--socket", pair.first.socket)
    run("add", content.torrent, "--save-path", content.folder, *there)
    row = run("trackers", "hidden", "--json", *there).json[0]
    assert row["message"] == "not used: the torrent is private"


def test_an_immutable_item_is_kept_and_found(run: Run, pair: Pair, tmp_path: Path) -> None:
    there = ("--socket", pair.second.socket)
    put = run("dht", "put", "Hello World!", *there)
    assert put.out.strip() == "e5f96f6f38320f0f33959cb4d3d656452117aadb"  # of BEP 44
    assert put.err == "kept by 1 node\n"
    assert run("dht", "get", put.out.strip(), *there).out == "Hello World!\n"
    (tmp_path / "note").write_text("from a file")
    target = run("dht", "put", "--file", tmp_path / "note", "--json", *there).json["target"]
    assert run("dht", "get", target, "--json", *there).json["value"] == "from a file"


def test_a_mutable_item_is_replaced_by_its_owner(run: Run, pair: Pair, tmp_path: Path) -> None:
    there = ("--socket", pair.second.socket)
    key = tmp_path / "news.key"
    public = run("dht", "keygen", key).out.strip()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    signed = ("--key", key, "--salt", "app", *there)
    assert run("dht", "put", "one", "--json", *signed).json["seq"] == 1
    assert run("dht", "put", "two", "--json", *signed).json["seq"] == 2
    told = run("dht", "get", public, "--salt", "app", "--json", *there).json
    assert (told["seq"], told["value"]) == (2, "two")
    assert run("dht", "get", public, *there).is_error(NotFound.exit_code, "has an item")


def test_a_key_that_cannot_be_written_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    key = tmp_path / "news.key"
    _, most = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        refused = run("dht", "keygen", key)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused.is_error(5, "news.key", "File too large")
    assert not key.exists()


def test_what_cannot_be_done_says_why(run: Run, pair: Pair, engine: Server, tmp_path: Path) -> None:
    there = ("--socket", pair.second.socket)
    assert run("dht", "put", *there).is_error(2, "TEXT")
    assert run("dht", "put", "x" * 1000, *there).is_error(2, "1000")
    assert run("dht", "put", "x", "--salt", "s", *there).is_error(2, "--key")
    assert run("dht", "get", "zz", *there).is_error(3, "hexadecimal")
    assert run("dht", "get", "00" * 10, *there).is_error(3, "40")
    assert run("dht", "get", "00" * 20, *there).is_error(1, "none of 1 node")
    assert run("dht", "lookup", "00", *there).code == 2
    (tmp_path / "key").write_text("no key")
    assert run("dht", "put", "x", "--key", tmp_path / "key", *there).is_error(2, "keygen")
    assert run("dht", "keygen", tmp_path / "key").is_error(2, "there already")
    isolated = ("--socket", engine.socket)
    assert run("dht", "status", *isolated).out == "the DHT is off\n"
    assert run("dht", "lookup", "00" * 20, *isolated).is_error(3, "isolated")
