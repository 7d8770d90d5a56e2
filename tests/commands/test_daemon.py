"""`daemon`: settings reach the engine, signals end it, what it had comes back."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from tests.commands.rig import Rig, publish


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_its_torrents_come_back(
    rig: Rig, tmp_path: Path, number: signal.Signals
) -> None:
    content = publish(tmp_path)
    daemon = rig.daemon()
    socket_path = daemon.socket
    assert socket_path is not None
    arguments = ("--socket", socket_path)
    added = rig.run("add", content.torrent, "--save-path", content.folder, *arguments)
    assert added.code == 0
    ended = daemon.end(number)
    assert (ended.code, ended.out) == (0, "")
    assert "Traceback" not in ended.err
    assert not socket_path.exists()

    again = rig.daemon()
    rows = rig.run("list", "--json", *arguments).json
    assert [row["info_hash"] for row in rows] == [content.info_hash]
    assert again.end().code == 0


def test_settings_by_flag_environment_and_file(rig: Rig) -> None:
    config = rig.home / "config.toml"
    config.write_text(
        '[network]\nlisten = "127.0.0.1:0"\nmax_connections = 7\n[future]\nthing = 1\n'
        '[transfer]\nup_limit = "5MiB/s"\ndown_limit = "9MiB/s"\n'
    )
    environ = {
        "SEEDWRIGHT_TRANSFER_DOWN_LIMIT": "8MiB/s",
        "SEEDWRIGHT_DAEMON_SOCKET": str(rig.home / "e.sock"),
        "SEEDWRIGHT_DAEMON_STATE_DIR": str(rig.home / "state"),
    }
    daemon = rig.begin(
        "daemon", "--config", config, "--set", "transfer.up_limit=4MiB/s", environ=environ
    )
    said = daemon.wait_for("ready: peers at ")
    assert "there is no section 'future'; it is ignored" in said
    status = rig.run("status", "--json", environ=environ).json
    assert status["listen"][0].startswith("127.0.0.1:")
    assert (status["down_limit"], status["up_limit"]) == (8 << 20, 4 << 20)
    assert not status["is_isolated"]
    assert (rig.home / "state" / "state.db").exists()
    assert daemon.end().code == 0


def test_it_says_what_it_waits_for(rig: Rig) -> None:
    at = ("--socket", rig.home / "s.sock", "--listen", "*:0", "--isolated")
    daemon = rig.begin("daemon", "--interface", "absent9", *at)
    daemon.wait_for("ready: waiting for absent9, nothing is sent until then, control socket ")
    assert daemon.end().code == 0


def test_what_does_not_start_is_one_line(rig: Rig) -> None:
    daemon = rig.daemon()
    free = ("--listen", "127.0.0.1:0")
    same = rig.run("daemon", "--socket", daemon.socket or "", *free, "--log-level", "error")
    assert same.is_error(3, "already running")
    other = ("daemon", "--socket", rig.home / "o.sock", "--state-dir", rig.home / "o")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = ("cannot listen on", "in use", "config set network.listen '*:0'")
        assert rig.run(*other, "--listen", address).is_error(2, *said)
    assert rig.run(*other, "--listen", "somewhere:1").is_error(2, "--listen", "somewhere")
    assert rig.run(*other, *free, "--set", "no.such=1").is_error(2, "no.such")
    assert rig.run(*other, *free, "--log-level", "loud").is_error(2, "--log-level", "loud")
    assert rig.run(*other, environ={"SEEDWRIGHT_NONSENSE": "1"}).is_error(2, "NONSENSE")
    (rig.home / "file").write_text("")
    state = rig.run("daemon", "--socket", rig.home / "p.sock", "--state-dir", "file", *free)
    assert state.is_error(5, "file")
