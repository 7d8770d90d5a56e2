"""What commands share: how options become settings, peers and sockets."""

from __future__ import annotations

from pathlib import Path

import pytest
import rich_click as click

from engine.commands import options
from engine.core.compact import Endpoint
from engine.errors import InputError, SettingsError
from engine.net.route import Route
from engine.setting_kinds import Size
from engine.settings import Override


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SEEDWRIGHT_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_flags_win_over_set() -> None:
    found = options.overrides(
        ("transfer.up_limit=1", "network.listen=a"),
        network__listen=("--listen", "b"),
        network__isolated=("--isolated", True),
        storage__preallocate=("--preallocate", False),
        transfer__down_limit=("--down-limit", None),
        trackers__min_interval_s=("--x", 5),
    )
    assert found == [
        Override("transfer.up_limit", "1", "--set"),
        Override("network.listen", "a", "--set"),
        Override("network.listen", "b", "--listen"),
        Override("network.isolated", "true", "--isolated"),
        Override("trackers.min_interval_s", "5", "--x"),
    ]
    with pytest.raises(SettingsError, match=r"not section\.key=value"):
        options.overrides(("nonsense",))


async def test_settings_come_from_everywhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home / ".config" / "seedwright" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[daemon]\nsocket = "/from/file"\n')
    effective = await options.load_settings(None, [Override("network.half_open", "3")])
    assert effective.settings.daemon.socket == Path("/from/file")
    assert effective.settings.network.half_open == 3
    assert effective.origins["daemon.socket"].name == str(file)
    with pytest.raises(SettingsError, match="there is no configuration file"):
        await options.load_settings(home / "absent.toml")


async def test_the_socket_is_the_flags_the_settings_or_the_standard(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standard = home / ".local" / "state" / "seedwright" / "engine.sock"
    assert await options.find_socket(None) == standard
    monkeypatch.setenv("SEEDWRIGHT_DAEMON_SOCKET", "/from/environment")
    assert await options.find_socket(None) == Path("/from/environment")
    assert await options.find_socket(Path("x.sock")) == Path("x.sock")


async def test_peers_may_have_names() -> None:
    found = await options.resolve_peers(["localhost:5", "127.0.0.1:5", "[::1]:6"], Route())
    assert Endpoint("127.0.0.1", 5) in found
    assert Endpoint("::1", 6) in found
    assert len(found) == len(set(found))
    for wrong in ("", "host", "host:", "host:0x5", "1.2.3.4:70000", "no such.invalid:1"):
        with pytest.raises(InputError):
            await options.resolve_peers([wrong], Route())
    with pytest.raises(InputError, match="port"):
        await options.resolve_peers(["127.0.0.1:0"], Route())


def test_paths_may_begin_at_home(home: Path) -> None:
    assert options.FILE.convert("~/x", None, None) == home / "x"
    assert options.FILE.convert("x", None, None) == Path("x")
    with pytest.raises(click.BadParameter, match="names no user"):
        options.FILE.convert("~no-such-user-here/x", None, None)


def test_values_are_written_like_settings() -> None:
    size = options.Parsed(Size(0, 1 << 30))
    assert size.convert("16KiB", None, None) == 16384
    with pytest.raises(click.BadParameter, match=r"'5 apples' is not right.*10MiB"):
        size.convert("5 apples", None, None)
