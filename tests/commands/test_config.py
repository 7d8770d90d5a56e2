"""`config`: every setting, where it came from, and a file that keeps what it does not know."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import rich_click as click
from hypothesis import given
from hypothesis import strategies as st

from engine.commands.config import as_toml, folded
from engine.errors import SettingsError
from engine.settings import KINDS
from tests.commands.conftest import Run
from tests.commands.rig import Server


@pytest.fixture
def file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("SEEDWRIGHT_CONFIG", str(path))
    return path


def test_every_value_says_where_it_came_from(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('[transfer]\nup_limit = "1MiB/s"\ndown_limit = "2MiB/s"\n[a]\nb = 1\n')
    monkeypatch.setenv("SEEDWRIGHT_TRANSFER_DOWN_LIMIT", "3MiB/s")
    told = run("config", "--set", "network.half_open=9", "--json").json
    assert list(told) == list(KINDS)
    assert told["transfer.up_limit"] == {"value": "1MiB/s", "from": "file", "name": str(file)}
    assert told["transfer.down_limit"] == {
        "value": "3MiB/s",
        "from": "environment",
        "name": "SEEDWRIGHT_TRANSFER_DOWN_LIMIT",
    }
    assert told["network.half_open"] == {"value": "9", "from": "flag", "name": "--set"}
    assert told["network.listen"]["from"] == "default"

    text = run("config")
    assert "seedwright" not in text.err
    assert "no section 'a'" in text.err
    lines = {line.split()[0]: line for line in text.out.splitlines()}
    assert lines["transfer.up_limit"].split()[1:3] == ["1MiB/s", "file"]
    assert "0 (automatic)" in lines["transfer.upload_slots"]
    assert "0 (automatic)" in lines["storage.open_files"]
    assert told["transfer.upload_slots"]["value"] == "0"
    place, *origin = lines["daemon.socket"].split()[1:]
    assert place.endswith("/.local/state/seedwright/engine.sock")
    assert origin == ["default"]
    assert lines["metrics.listen"].split()[1:] == ["(none)", "default"]
    assert lines["storage.watch_folder"].split()[1:] == ["(none)", "default"]


@pytest.mark.parametrize("columns", [60, 80, 100, 132])
def test_every_line_fits_a_terminal(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("SEEDWRIGHT_NETWORK_ISOLATED", "true")
    monkeypatch.setenv("SEEDWRIGHT_STORAGE_SAVE_PATH", "/srv/" + "a-very-long-name/" * 8)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    size = os.terminal_size((columns, 24))
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_, **__: size)
    lines = click.unstyle(run("config").out).splitlines()
    assert len(lines) > len(KINDS)
    assert max(map(len, lines)) <= max(columns, 80)
    assert sum(line.count("a-very-long-name") for line in lines) == 8
    assert any("environ" in line for line in lines)


@given(st.text(alphabet="ab,/ ", max_size=60), st.integers(1, 20))
def test_folding_loses_nothing_but_blanks(value: str, width: int) -> None:
    lines = folded(value, width)
    assert "".join("".join(lines).split()) == "".join(value.split())
    assert all(len(line) <= width for line in lines)


def test_set_and_unset_keep_the_rest(run: Run, file: Path) -> None:
    assert run("config", "path").out == f"{file}\n"
    assert run("config", "set", "transfer.up_limit", "2MiB/s").code == 0
    done = run("config", "set", "transfer.down_limit", "0")
    assert done.out == f"transfer.down_limit = 0 (no limit) in {file}\n"
    assert run("config", "unset", "transfer.down_limit").code == 0
    refused = run("config", "set", "network.listen", "foo")
    assert refused.is_error(2, "network.listen: 'foo' is not right; expected HOST:PORT")
    done = run("config", "set", "storage.preallocate", "yes")
    assert done.out == f"storage.preallocate = true in {file}\n"
    assert run("config", "set", "network.half_open", "12").code == 0
    file.write_text(file.read_text() + "[future]\nkept = true\n")
    assert run("config", "set", "network.listen", "10.0.0.1:0").code == 0
    assert tomllib.loads(file.read_text()) == {
        "transfer": {"up_limit": "2MiB/s"},
        "storage": {"preallocate": True},
        "network": {"half_open": 12, "listen": "10.0.0.1:0"},
        "future": {"kept": True},
    }
    assert run("config", "unset", "network.listen").code == 0
    assert "listen" not in file.read_text()
    assert run("config", "--json").json["network.listen"]["from"] == "default"


def test_a_running_engine_takes_it_at_its_next_start(
    run: Run, file: Path, engine: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDWRIGHT_DAEMON_SOCKET", str(tmp_path / "absent.sock"))
    assert run("config", "set", "transfer.up_limit", "3MiB/s").err == ""

    monkeypatch.setenv("SEEDWRIGHT_DAEMON_SOCKET", str(engine.socket))
    later = "the running engine takes it at its next start"
    done = run("config", "set", "transfer.up_limit", "3 MiB/s")
    assert done.out == f"transfer.up_limit = 3MiB/s in {file}\n"
    assert done.err == f"{later}; `seedwright limits --up 3MiB/s` sets it now\n"
    done = run("config", "unset", "transfer.up_limit")
    assert done.err == f"{later}; `seedwright limits --up 0` sets it now\n"
    assert run("config", "set", "network.half_open", "12").err == f"{later}\n"
    # Names of engines are read by commands, each time.
    assert run("config", "set", "engines.box", "ssh://me@box").err == ""

    other = tmp_path / "other.toml"
    monkeypatch.delenv("SEEDWRIGHT_DAEMON_SOCKET")
    other.write_text(f"[daemon]\nsocket = '{engine.socket}'\n")
    done = run("config", "--config", other, "set", "transfer.down_limit", "0")
    assert done.err == f"{later}; `seedwright limits --down 0 -e {engine.socket}` sets it now\n"


def test_a_folder_to_watch_may_come_later(run: Run, file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    words = ("config", "set", "storage.watch_folder", folder)
    until = "nothing is added from it until it is a folder"
    done = run(*words)
    assert (done.code, done.out) == (0, f"storage.watch_folder = {folder} in {file}\n")
    assert done.err == f"{folder} is not there yet: {until}\n"
    folder.write_text("a file")
    assert run(*words).err == f"{folder} is no folder: {until}\n"
    folder.unlink()
    folder.mkdir()
    assert run(*words).err == ""
    assert run("config", "set", "storage.watch_folder", "").err == ""


def test_one_value_for_a_script(run: Run, file: Path) -> None:
    file.write_text('[transfer]\nup_limit = "1MiB/s"\n[engines]\nbox = "ssh://me@box"\n')
    assert run("config", "get", "transfer.up_limit").out == "1MiB/s\n"
    assert run("config", "get", "transfer.down_limit").out == "0\n"
    assert run("config", "get", "engines.box").out == "ssh://me@box\n"
    assert run("config", "get", "daemon.socket").out.endswith("/engine.sock\n")
    assert run("config", "get", "metrics.listen").out == "\n"
    for word in ("get", "unset"):
        refused = run("config", word, "transfer.up_limt")
        assert refused.is_error(2, "did you mean transfer.up_limit?")


def test_another_file(run: Run, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "new" / "other.toml"
    assert run("config", "--config", other, "path").out == f"{other}\n"
    assert run("config", "--config", other, "set", "trackers.numwant", "5").code == 0
    assert tomllib.loads(other.read_text()) == {"trackers": {"numwant": 5}}
    assert run("config", "--config", other, "--json").json["trackers.numwant"]["value"] == "5"
    assert not file.exists()


def test_wrong_settings_change_nothing(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("config", "set", "no.such", "1").is_error(2, "no.such")
    assert run("config", "set", "transfer.up_limt", "1").is_error(2, "did you mean transfer.up_")
    assert run("config", "set", "transfer.up_limit", "fast").is_error(2, "fast", "10MiB/s")
    assert run("config", "unset", "no.such").is_error(2, "no.such")
    assert not file.exists()
    file.write_text("this is no TOML")
    assert run("config").is_error(2, str(file))
    assert run("config", "set", "transfer.up_limit", "1").is_error(2, str(file))
    assert file.read_text() == "this is no TOML"
    file.write_text("")
    monkeypatch.setenv("SEEDWRIGHT_TRANSFER_UP_LIMT", "1")
    assert run("config").is_error(2, "SEEDWRIGHT_TRANSFER_UP_LIMIT")


def test_values_are_written_as_toml_has_them() -> None:
    assert as_toml("storage.preallocate", "on") is True
    assert as_toml("storage.disk_threads", "3") == 3
    assert as_toml("storage.buffer_bytes", "32MiB") == "32MiB"
    with pytest.raises(SettingsError):
        as_toml("storage.disk_threads", "three")


def test_the_password_of_a_proxy_is_never_shown(
    run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, shown = "socks5://me:s3cret@10.0.0.1:1080", "socks5://me:***@10.0.0.1:1080"
    done = run("config", "set", "network.proxy", url)
    assert done.out == f"network.proxy = {shown} in {file}\n"
    assert tomllib.loads(file.read_text())["network"]["proxy"] == url
    secret = tmp_path / "secret"
    secret.write_text(f"{url}\n")
    assert run("config", "unset", "network.proxy").code == 0
    assert "(none)" in next(line for line in run("config").out.splitlines() if "proxy" in line)
    monkeypatch.setenv("SEEDWRIGHT_NETWORK_PROXY_FILE", str(secret))
    told = run("config", "--json")
    assert told.json["network.proxy"]["value"] == shown
    assert shown in run("config").out
    for wrong in (f"{url}/x", url.replace("socks5", "socks9"), url.replace("1080", "no")):
        refused = run("config", "--set", f"network.proxy={wrong}")
        assert refused.is_error(2, "network.proxy", "expected socks5://")
        assert "s3cret" not in refused.err
