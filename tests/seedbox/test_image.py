"""The image of the seedbox, as people run it: locked down, as anybody, and killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.storage.creator import create
from tests.seedbox.containers import (
    LOCKED_DOWN,
    container,
    docker,
    internal_network,
    needs_image,
)

pytestmark = [needs_image, pytest.mark.timeout(300)]


def _folder(path: Path, owner: int) -> Path:
    path.mkdir()
    path.chmod(0o755)
    subprocess.run(["chown", f"{owner}:{owner}", str(path)], check=True)
    return path


@pytest.mark.parametrize("user", ["1000:1000", "12345:54321", "0:0"])
def test_it_works_for_any_user_with_nothing_allowed(user: str) -> None:
    with container("daemon", user=user) as box:
        box.until_healthy()
        assert docker("exec", box.name, "cat", "/proc/1/comm").stdout == "seedwright\n"
        docker("stop", "--time", "20", box.name)
        state = box.state()
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False), box.logs
        assert "stopping" in box.logs


def test_a_client_on_the_host_manages_it_by_the_socket(tmp_path: Path) -> None:
    config = _folder(tmp_path / "config", 1000)
    with container("daemon", volumes={"/config": config}) as box:
        box.until_healthy()
        told = subprocess.run(
            [
                sys.executable,
                "-m",
                "engine",
                "status",
                "--json",
                "--socket",
                config / "engine.sock",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(told.stdout)["is_isolated"] is True


def test_a_client_reaches_several_without_their_sockets(tmp_path: Path) -> None:
    """As [engines] names them: by whatever runs a program in a container."""
    with container("daemon") as one, container("daemon", user="12345:54321") as other:
        for box in (one, other):
            box.until_healthy()
            command = f"docker exec -i {box.name} seedwright connect --stdio"
            told = subprocess.run(
                [sys.executable, "-m", "engine", "status", "--json", "-e", f"exec:{command}"],
                capture_output=True,
                text=True,
                check=True,
            )
            assert json.loads(told.stdout)["is_isolated"] is True


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"user": "7:7"}, "user 7:7 may not write to /config, which belongs to 1000:1000"),
        ({"environ": {"PUID": "1001"}}, "PUID:PGID ask for 1001:1000, but the container runs as"),
        ({"environ": {"PUID": "me"}}, "PUID and PGID are numbers"),
        ({"environ": {"UMASK": "9"}}, "UMASK=9 is no mask"),
    ],
)
def test_what_cannot_work_is_said(how: dict[str, object], words: str, tmp_path: Path) -> None:
    volumes = {"/config": _folder(tmp_path / "config", 1000)}
    with container("daemon", volumes=volumes, **how) as box:  # type: ignore[arg-type]
        docker("wait", box.name)
        assert box.state()["ExitCode"] == 78
        assert words in box.logs


def test_puid_pgid_and_umask_for_those_used_to_them(tmp_path: Path) -> None:
    volumes = {f"/{name}": _folder(tmp_path / name, 4321) for name in ("config", "data")}
    with container(
        "daemon",
        options=(*LOCKED_DOWN, "--cap-add", "SETUID", "--cap-add", "SETGID"),
        user="0:0",
        volumes=volumes,
        environ={"PUID": "4321", "PGID": "4321", "UMASK": "077"},
    ) as box:
        box.until_healthy()
        status = docker("exec", box.name, "cat", "/proc/1/status").stdout
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert set(fields["Uid"].split()) == set(fields["Gid"].split()) == {"4321"}
        assert int(fields["CapEff"], 16) == 0
        state = volumes["/config"] / "state"
        assert (state.stat().st_uid, state.stat().st_mode & 0o077) == (4321, 0)


def test_settings_from_files_win_in_the_order_that_config_tells(tmp_path: Path) -> None:
    config = _folder(tmp_path / "config", 1000)
    (config / "config.toml").write_text("[transfer]\nup_limit = '1MiB/s'\ndown_limit = '1MiB/s'\n")
    (config / "config.d").mkdir()
    (config / "config.d" / "10.toml").write_text("[transfer]\nup_limit = '2MiB/s'\n")
    (config / "limit").write_text("9\n")
    environ = {"SEEDWRIGHT_NETWORK_HALF_OPEN_FILE": "/config/limit"}
    with container("daemon", volumes={"/config": config}, environ=environ) as box:
        box.until_healthy()
        told = json.loads(box.run("config", "--json").stdout)
        assert told["transfer.up_limit"] == {
            "value": "2MiB/s",
            "from": "file",
            "name": "/config/config.d/10.toml",
        }
        assert told["transfer.down_limit"]["name"] == "/config/config.toml"
        assert told["network.half_open"]["value"] == "9"
        assert json.loads(box.run("status", "--json").stdout)["up_limit"] == 2 << 20


def test_a_torrent_put_into_the_watched_folder_survives_a_kill_and_reaches_others(
    tmp_path: Path,
) -> None:
    payload = tmp_path / "payload.bin"
    payload.write_bytes(bytes(range(256)) * 4096)
    torrent = create(payload)
    volumes = {
        f"/{name}": _folder(tmp_path / name, 1000) for name in ("config", "data", "watch", "far")
    }
    far = volumes.pop("/far")
    (volumes["/data"] / payload.name).write_bytes(payload.read_bytes())
    with internal_network() as network:
        with container("daemon", volumes=volumes, network=network) as box:
            box.until_healthy()
            (volumes["/watch"] / "payload.torrent").write_bytes(torrent.encode())
            box.until("seeding", "list", "--json")
            docker("kill", box.name)
        assert (volumes["/watch"] / "payload.torrent.added").exists()
        with (
            container("daemon", volumes=volumes, network=network) as box,
            container("daemon", volumes={"/data": far}, network=network) as other,
        ):
            box.until("seeding", "list", "--json")
            other.until_healthy()
            docker(
                "cp", str(volumes["/watch"] / "payload.torrent.added"), f"{other.name}:/config/t"
            )
            other.run("add", "/config/t", "--peer", f"{box.name}:6881")
            other.until("seeding", "list", "--json")
        assert (far / payload.name).read_bytes() == payload.read_bytes()
