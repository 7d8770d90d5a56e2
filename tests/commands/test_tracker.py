"""`tracker`: runs until told to end, serves whom it should."""

from __future__ import annotations

import json
import signal
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from engine.core import bencode
from tests.commands.rig import Rig
from tests.tracker.valkey import Valkey, needs_valkey

HASH = bytes(range(20))


def _announce(url: str) -> dict[bytes, object]:
    query = urllib.parse.urlencode(
        {"info_hash": HASH, "peer_id": b"-XX0000-abcdefghijkl", "port": 5000, "left": 1},
        quote_via=urllib.parse.quote,
    )
    with urllib.request.urlopen(f"{url}?{query}&uploaded=0&downloaded=0&compact=1") as reply:
        found = bencode.decode(reply.read())
    assert isinstance(found, dict)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_a_signal(rig: Rig, number: signal.Signals) -> None:
    tracker = rig.begin(
        *("tracker", "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--json"),
        *("--interval", "2min", "--min-interval", "30s"),
    )
    tracker.wait_for("}\n")
    told = json.loads(tracker.out.read_text())
    assert told["announce"] == [
        f"http://{told['http']}/announce",
        f"udp://{told['udp']}/announce",
    ]
    reply = _announce(told["announce"][0])
    assert (reply[b"interval"], reply[b"min interval"]) == (120, 30)
    with urllib.request.urlopen(f"http://{told['http']}/stats.json") as page:
        assert json.load(page)["torrents"] == 1
    ended = tracker.end(number)
    assert ended.code == 0
    assert "seedwright: " not in ended.err


def test_an_allow_list_is_read_again_on_sighup(rig: Rig) -> None:
    allowed = rig.home / "allowed.txt"
    allowed.write_text("# none yet\n")
    tracker = rig.begin("tracker", "--http", "127.0.0.1:0", "--allow-list", allowed)
    url = tracker.wait_for("statistics at").split("announce to ")[1].split()[0]
    assert b"failure reason" in _announce(url)
    allowed.write_text(f"{HASH.hex()}  # ours\n")
    tracker.process.send_signal(signal.SIGHUP)
    tracker.wait_for("allow-list read again")
    assert b"failure reason" not in _announce(url)
    assert tracker.end().code == 0


def test_what_cannot_be_served_is_one_line(rig: Rig, tmp_path: Path) -> None:
    tracker = rig.begin("tracker", "--http", "127.0.0.1:0")
    taken = tracker.wait_for("statistics").split("http://")[1].split("/")[0]
    assert rig.run("tracker", "--http", taken).is_error(2, "cannot listen on", "in use")
    assert rig.run("tracker", "--udp", "nowhere").is_error(2, "HOST:PORT")
    (tmp_path / "bad").write_text("xyz")
    arguments = ("tracker", "--udp", "127.0.0.1:0", "--allow-list", tmp_path / "bad")
    assert rig.run(*arguments).is_error(2, "line 1")
    assert rig.run("tracker", "--interval", "soon").is_error(2, "--interval")
    refused = rig.run("tracker", "--http", "127.0.0.1:0", "--valkey", tmp_path / "none")
    assert refused.is_error(2, "--valkey: neither a URL nor a file", "No such file")


@needs_valkey
def test_trackers_share_swarms_by_an_address_from_a_file(rig: Rig) -> None:
    with tempfile.TemporaryDirectory(prefix="sw-") as folder:
        valkey = Valkey(Path(folder))
        valkey.start()
        try:
            (rig.home / "url").write_text(f"{valkey.url}\n")
            told = []
            for _ in range(2):
                tracker = rig.begin(
                    *("tracker", "--http", "127.0.0.1:0", "--valkey", rig.home / "url")
                )
                text = tracker.wait_for("statistics at")
                told.append(_announce(text.split("announce to ")[1].split()[0]))
            assert [reply[b"incomplete"] for reply in told] == [1, 1]
            assert tracker.end().code == 0
        finally:
            valkey.stop()
