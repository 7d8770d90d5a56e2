"""The socket's path: one engine a path, stale sockets replaced, other people's files left alone."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.control.socket_path import Claim, default_socket_path
from engine.errors import ControlError


def test_the_default_follows_xdg() -> None:
    home = Path.home()
    assert default_socket_path({"XDG_RUNTIME_DIR": "/run/user/7"}) == Path(
        "/run/user/7/seedwright/engine.sock"
    )
    assert default_socket_path({}) == home / ".local/state/seedwright/engine.sock"
    assert default_socket_path({"XDG_RUNTIME_DIR": "relative", "XDG_STATE_HOME": "/s"}) == Path(
        "/s/seedwright/engine.sock"
    )


def test_permissions(tmp_path: Path) -> None:
    claim = Claim(tmp_path / "new" / "engine.sock")
    with claim.bind():
        assert stat.S_IMODE(claim.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(claim.path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "new" / "engine.sock.lock").stat().st_mode) == 0o600
    claim.release()
    assert not claim.path.exists()


def test_a_claimed_path_names_its_owner(tmp_path: Path) -> None:
    claim = Claim(tmp_path / "s")
    with pytest.raises(ControlError, match=rf"process {os.getpid()}\) is already running"):
        Claim(tmp_path / "s")
    claim.release()
    Claim(tmp_path / "s").release()


def test_a_kill_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "s"
    script = (
        "import sys, os, signal; from pathlib import Path; "
        "from engine.control.socket_path import Claim; "
        "claim = Claim(Path(sys.argv[1])); bound = claim.bind(); bound.listen(); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert stat.S_ISSOCK(path.lstat().st_mode)
    claim = Claim(path)
    claim.bind().close()
    claim.release()


def test_a_stranger_that_answers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(os.fspath(path))
        stranger.listen()
        with pytest.raises(ControlError, match="already running"):
            Claim(path)
        assert path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s"
    match kind:
        case "file":
            path.write_text("precious")
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ControlError, match="no socket"):
        Claim(path)
    assert os.path.lexists(path)


def test_release_leaves_a_successor_alone(tmp_path: Path) -> None:
    claim = Claim(tmp_path / "s")
    claim.bind().close()
    claim.path.unlink()
    claim.path.write_text("somebody else's")
    claim.release()
    assert claim.path.read_text() == "somebody else's"


def test_a_path_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "s", tmp_path / ("x" * 120)):
        with pytest.raises(ControlError, match=str(path.name)):
            Claim(path)
