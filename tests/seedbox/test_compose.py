"""`make up`: what is in the way is said in one line, with what to do about it."""

from __future__ import annotations

import os
import socket
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from tests.commands.rig import ROOT
from tests.seedbox.containers import IMAGE, compose_command, needs_image

pytestmark = [
    needs_image,
    pytest.mark.skipif(not compose_command(), reason="no docker compose"),
    pytest.mark.timeout(300),
]


class _Compose:
    """seedbox/compose.sh, as a project of its own."""

    def __init__(self) -> None:
        self._project = f"seedwright-test-{uuid.uuid4().hex[:8]}"

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        variables = {"COMPOSE_PROJECT_NAME": self._project, "SEEDWRIGHT_IMAGE": IMAGE, **variables}
        return subprocess.run(
            [ROOT / "seedbox" / "compose.sh", *arguments],
            env={**os.environ, "SEEDWRIGHT_NETWORK_ISOLATED": "true", **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )


@pytest.fixture
def compose() -> Iterator[_Compose]:
    called = _Compose()
    yield called
    called("down", "--volumes", "--timeout", "0")


def test_a_taken_port_is_told_with_the_way_to_another(compose: _Compose) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        done = compose("up", "-d", SEEDWRIGHT_PORT=str(port))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"seedbox: port {port} is taken by another program")
    assert line.endswith(f"SEEDWRIGHT_PORT={port + 1} make up")

    assert compose("up", "-d", SEEDWRIGHT_PORT=str(port)).returncode == 0
    second = _Compose()
    try:
        refused = second("up", "-d", SEEDWRIGHT_PORT=str(port))
    finally:
        second("down", "--volumes", "--timeout", "0")
    assert f"port {port} is taken by the container seedwright-test-" in refused.stderr


def test_an_image_that_is_not_built_is_told_with_the_way_to_it(compose: _Compose) -> None:
    done = compose("up", "-d", SEEDWRIGHT_IMAGE="seedwright-never-built:local")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "there is no image seedwright-never-built:local yet" in line
    assert "make image up" in line


def test_no_docker_is_told_in_a_line(compose: _Compose) -> None:
    done = compose("up", "-d", DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 1
    assert done.stderr.startswith("seedbox: Docker does not answer")
    assert done.stderr.count("\n") == 1
