"""seedbox/vpn.yaml as it stands, but for a side-car that makes an interface of no real VPN.

There are two ways from the side-car's network to a seed: the tunnel, which comes and goes, and a
plain one, which is always there, and which the system prefers.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.storage.creator import create
from tests.commands.rig import ROOT
from tests.seedbox.containers import (
    IMAGE,
    LOCKED_DOWN,
    PATIENCE_S,
    Container,
    compose_command,
    container,
    docker,
    needs_image,
)

FAR = "10.99.0.1"
TUNNEL, PLAIN = "tun0", "plain0"
_HOSTS = {TUNNEL: ("10.88.0.1", "10.88.0.2"), PLAIN: ("10.77.0.1", "10.77.0.2")}
_CONNECT = f"import socket; socket.create_connection(('{FAR}', 6881), 5)"


def _missing() -> str:
    for tool in ("ip", "nsenter"):
        if shutil.which(tool) is None:
            return f"no {tool} here"
    if os.geteuid() or not Path("/dev/net/tun").exists():
        return "making interfaces needs root and /dev/net/tun"
    return "" if compose_command() else "neither docker compose nor docker-compose is installed"


pytestmark = [
    needs_image,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(_missing()), reason=_missing() or "it is here"),
]


class Ways:
    """What leads from the side-car's network to the seed."""

    def __init__(self, near: Container, far: Container) -> None:
        self._pids = [str(each.state()["Pid"]) for each in (near, far)]
        self._on(1, "address", "add", f"{FAR}/32", "dev", "lo")

    def up(self, name: str, metric: int) -> None:
        near, far = self._pids
        _ip(
            *("link", "add", name, "netns", near, "type", "veth"),
            *("peer", "name", name, "netns", far),
        )
        for end, host in enumerate(_HOSTS[name]):
            self._on(end, "address", "add", f"{host}/24", "dev", name)
            self._on(end, "link", "set", name, "up")
        route = ("via", _HOSTS[name][1], "dev", name, "metric", str(metric))
        self._on(0, "route", "add", f"{FAR}/32", *route)

    def down(self, name: str) -> None:
        self._on(0, "link", "del", name)

    def _on(self, end: int, *arguments: str) -> None:
        _run("nsenter", f"--net=/proc/{self._pids[end]}/ns/net", "ip", *arguments)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (command, done.stderr)


@contextlib.contextmanager
def _up(folder: Path) -> Iterator[tuple[Container, Container]]:
    """The side-car and the seedbox."""
    project = f"seedwright-test-{uuid.uuid4().hex[:12]}"
    stand_in = {
        "version": "3.8",
        "services": {"vpn": {"image": IMAGE, "entrypoint": ["sleep", "infinity"], "user": "0"}},
        "networks": {"default": {"internal": True}},
    }
    override = folder / "stand-in.yaml"
    override.write_text(yaml.safe_dump(stand_in))
    files = ("-f", str(ROOT / "seedbox" / "vpn.yaml"), "-f", str(override))
    compose = [*compose_command(), "-p", project, *files]
    environ = {**os.environ, "SEEDWRIGHT_IMAGE": IMAGE, "SEEDWRIGHT_NETWORK_ISOLATED": "true"}

    def ask(*arguments: str) -> str:
        done = subprocess.run(
            [*compose, *arguments], env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    try:
        ask("up", "-d")
        yield Container(ask("ps", "-q", "vpn")), Container(ask("ps", "-q", "seedbox"))
    finally:
        ask("down", "-v", "--remove-orphans", "-t", "2")


def _until(met: Callable[[], bool], box: Container) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        assert time.monotonic() < deadline, box.logs
        time.sleep(0.1)


def _status(box: Container) -> dict[str, Any]:
    done = box.run("status", "--json", check=False)
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


def _torrent(box: Container) -> dict[str, Any]:
    (row,) = json.loads(box.run("list", "--json").stdout)
    found: dict[str, Any] = row
    return found


def test_nothing_leaves_but_through_the_tunnel_at_the_port_of_the_file(tmp_path: Path) -> None:
    payload = tmp_path / "far" / "payload.bin"
    payload.parent.mkdir()
    payload.write_bytes(os.urandom(4 << 20))
    (tmp_path / "t").write_bytes(create(payload).encode())
    with (
        container(
            "daemon", options=LOCKED_DOWN, user="0:0", volumes={"/data": payload.parent}
        ) as far,
        _up(tmp_path) as (side_car, box),
    ):
        far.until_healthy()
        docker("cp", str(tmp_path / "t"), f"{far.name}:/config/t")
        far.run("add", "/config/t")
        far.until("seeding", "list", "--json")
        ways = Ways(side_car, far)
        ways.up(PLAIN, 0)

        # Before the tunnel is there, nothing is; though there would be a way.
        docker("exec", side_car.name, "python3", "-c", _CONNECT)
        _until(lambda: _status(box).get("waiting") == f"waiting for {TUNNEL}", box)
        assert _status(box)["listen"] == []
        assert box.run("health", check=False).returncode != 0
        docker("cp", str(tmp_path / "t"), f"{box.name}:/config/t")
        box.run("limits", "--down", "64KiB/s")
        box.run("add", "/config/t", "--peer", f"{FAR}:6881")

        # It comes, and so does the port that the VPN forwards.
        _forward(side_car, 7001)
        ways.up(TUNNEL, 500)
        _until(lambda: _status(box).get("listen") == ["10.88.0.1:7001"], box)
        assert box.run("health").returncode == 0
        _until(lambda: _torrent(box)["have"] > 0, box)

        # The port changes in the middle of the download.
        _forward(side_car, 7002)
        _until(lambda: _status(box).get("listen") == ["10.88.0.1:7002"], box)
        had = _torrent(box)["have"]
        _until(lambda: _torrent(box)["have"] > had, box)

        # It goes, and the traffic stops; the other way is still there.
        ways.down(TUNNEL)
        _until(lambda: _status(box).get("waiting") == f"waiting for {TUNNEL}", box)
        _until(lambda: _torrent(box)["peers"] == 0, box)
        docker("exec", side_car.name, "python3", "-c", _CONNECT)
        had, sent = _torrent(box)["have"], _sent_by(side_car)
        assert 0 < had < payload.stat().st_size
        assert box.run("health", check=False).returncode != 0
        box.run("announce", "--all")
        for _ in range(10):  # as long as ten questions take
            assert _torrent(box)["have"] == had
            assert _sent_by(side_car) == sent

        # It comes back.
        ways.up(TUNNEL, 500)
        box.run("limits", "--down", "0")
        box.until("seeding", "list", "--json")
        assert _status(box)["listen"] == ["10.88.0.1:7002"]


def _forward(side_car: Container, port: int) -> None:
    """As the side-car of a real VPN writes it."""
    docker("exec", side_car.name, "sh", "-c", f"echo {port} >/forwarded/port")


def _sent_by(side_car: Container) -> int:
    """TCP segments and UDP datagrams that anybody in that network ever sent."""
    script = "cat /proc/net/snmp"
    lines = docker("exec", side_car.name, "sh", "-c", script).stdout.splitlines()
    sent = 0
    for protocol, field in (("Tcp:", "OutSegs"), ("Udp:", "OutDatagrams")):
        names, values = (line.split() for line in lines if line.startswith(protocol))
        sent += int(values[names.index(field)])
    return sent
