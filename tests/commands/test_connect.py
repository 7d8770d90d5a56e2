"""Engines elsewhere: by their names, over ssh; and what is said when they are not there."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.commands.rig import ROOT, Result, Rig, Server, publish, until
from tests.fakes.ports import free_port

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
FAKE_SSH = """#!/bin/sh
printf '%s\\n' "$@" > "$0.told"
for last; do :; done
exec sh -c "$last"
"""


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def far(rig: Rig) -> dict[str, str]:
    """An environment with a `seedwright`, and an `ssh` that is the far host itself."""
    folder = rig.home / "bin"
    _script(folder / "seedwright", f'#!/bin/sh\nexec {sys.executable} -m engine "$@"\n')
    _script(folder / "ssh", FAKE_SSH)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def _name(rig: Rig, name: str, address: str) -> None:
    assert rig.run("config", "set", f"engines.{name}", address).code == 0


def test_an_engine_by_its_name_over_ssh(rig: Rig, far: dict[str, str]) -> None:
    daemon = rig.daemon()
    _name(rig, "box", f"ssh://me@box.example:2022{daemon.socket}")
    content = publish(rig.home)
    added = rig.run("add", content.torrent, "--paused", "-e", "box", "--save-path", rig.home,
                    environ=far)  # fmt: skip
    assert added.code == 0, added
    assert [row["name"] for row in rig.run("list", "-e", "box", "--json", environ=far).json] == [
        content.name
    ]
    told = (rig.home / "bin" / "ssh.told").read_text().splitlines()
    assert told[told.index("-p") : told.index("--") + 2] == [
        "-p", "2022", "-l", "me", "--", "box.example",
    ]  # fmt: skip
    ended = rig.run("shutdown", "-e", "box", environ=far)
    assert ended.out == "the engine has ended\n"
    assert daemon.end().code == 0


def test_the_far_seedwright_finds_the_socket(rig: Rig, far: dict[str, str]) -> None:
    daemon = rig.daemon()
    environ = far | {"SEEDWRIGHT_DAEMON_SOCKET": str(daemon.socket)}
    assert rig.run("status", "--engine", "ssh://box", environ=environ).code == 0
    environ["SEEDWRIGHT_DAEMON_SOCKET"] = str(rig.home / "other" / "engine.sock")
    none = rig.run("status", "--engine", "ssh://box", environ=environ)
    assert none.is_error(6, "ssh://box: no engine runs at", "engine.sock")


def test_what_ssh_says_is_said(rig: Rig, far: dict[str, str]) -> None:
    ssh = rig.home / "bin" / "ssh"
    _script(ssh, "#!/bin/sh\necho 'me@box: Permission denied (publickey).' >&2; exit 255\n")
    refused = rig.run("list", "-e", "ssh://me@box", environ=far)
    assert refused.is_error(6, "ssh://me@box: ssh: me@box: Permission denied (publickey); what")
    _script(ssh, FAKE_SSH)
    (rig.home / "bin" / "seedwright").unlink()
    absent = rig.run("list", "-e", "ssh://box", environ=far)
    assert absent.is_error(6, "there is no seedwright on the PATH of box")
    ssh.unlink()
    bare = rig.run("list", "-e", "ssh://box", environ=far | {"PATH": str(ssh.parent)})
    assert bare.is_error(6, "ssh is not installed here")


def test_names_that_are_not_there(rig: Rig) -> None:
    _name(rig, "box", "/run/box.sock")
    assert rig.run("list", "-e", "bix").is_error(2, "no engine 'bix'", "did you mean box?")
    assert rig.run("list", "-e", "box").is_error(6, "no engine runs at /run/box.sock")
    assert rig.run("list", "-e", "ftp://box").is_error(2, "ftp://box leads to no engine")


def test_folders_of_an_engine_elsewhere_are_said_whole(rig: Rig, far: dict[str, str]) -> None:
    content = publish(rig.home)
    said = rig.run("add", content.torrent, "-o", "films", "-e", "ssh://box", environ=far)
    assert said.is_error(2, "films: name the whole path")


def test_a_program_is_as_good_as_ssh(run: Run, engine: Server) -> None:
    address = (
        f"exec:env PYTHONPATH={ROOT} {sys.executable} -m engine connect --stdio "
        f"--socket {engine.socket}"
    )
    assert run("status", "--json", "-e", address).json["is_isolated"] is True


def test_without_an_engine_and_without_a_wish(run: Run, tmp_path: Path) -> None:
    assert run("connect").is_error(2, "with --stdio")
    absent = run("connect", "--stdio", "--socket", tmp_path / "absent.sock")
    assert absent.is_error(6, "no engine runs at")
    listed = [line.split()[:1] for line in run("--help").out.splitlines()]
    assert ["add-peer"] in listed
    assert ["connect"] not in listed


@pytest.fixture
def sshd(rig: Rig) -> Iterator[tuple[dict[str, str], Path]]:
    """A real server of ssh on loopback, and an environment whose `ssh` knows it as `box`."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("sshd is not installed (apt install openssh-server)")
    if not os.geteuid() and not Path("/run/sshd").is_dir():
        pytest.skip("sshd has no /run/sshd here, which it wants of root")
    folder = rig.home / "ssh"
    folder.mkdir(mode=0o700)
    for name in ("host", "user", "stranger"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
        )
    port = free_port()
    _script(folder / "bin" / "seedwright", f'#!/bin/sh\nexec {sys.executable} -m engine "$@"\n')
    runtime = rig.home / "run"
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"SetEnv PATH={folder}/bin:/usr/bin:/bin PYTHONPATH={ROOT} XDG_RUNTIME_DIR={runtime}\n"
    )
    public = (folder / "host.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public[0]} {public[1]}\n")
    (folder / "config").write_text(
        f"Host box stranger unknown\n  HostName 127.0.0.1\n  Port {port}\n  IdentitiesOnly yes\n"
        f"Host unknown\n  UserKnownHostsFile /dev/null\n"
        f"Host stranger\n  IdentityFile {folder}/stranger\n"
        f"Host box unknown\n  IdentityFile {folder}/user\n"
        f"Host *\n  UserKnownHostsFile {folder}/known_hosts\n"
    )
    ssh = shutil.which("ssh")
    _script(rig.home / "bin" / "ssh", f'#!/bin/sh\nexec {ssh} -F {folder}/config "$@"\n')
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", folder / "sshd_config"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until(lambda: process.poll() is not None or _answers(port))
        assert process.poll() is None, (folder / "log").read_text()
        yield {"PATH": f"{rig.home}/bin:/usr/bin:/bin"}, runtime / "seedwright" / "engine.sock"
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def test_over_a_real_ssh(rig: Rig, sshd: tuple[dict[str, str], Path]) -> None:
    environ, path = sshd

    def ask(host: str, *words: str | Path) -> Result:
        return rig.run(*words, "-e", f"ssh://{host}", environ=environ)

    assert ask("box", "status").is_error(6, f"no engine runs at {path}")
    path.parent.mkdir(parents=True)
    daemon = rig.begin(
        *("daemon", "--socket", path, "--state-dir", rig.home / "state"),
        *("--listen", "127.0.0.1:0", "--isolated"),
    )
    daemon.wait_for("ready: peers at ")
    assert ask("box", "status").code == 0
    assert ask(f"box{path}", "status").code == 0
    content = publish(rig.home, sizes=6_000_000)
    assert ask("box", "add", content.torrent, "--paused", "-o", rig.home).code == 0
    assert content.name in ask("box", "list").out
    assert ask("stranger", "list").is_error(6, "Permission denied (publickey)")
    assert ask("unknown", "list").is_error(6, "Host key verification failed")
    assert ask("box", "shutdown").out == "the engine has ended\n"
    assert daemon.end().code == 0
