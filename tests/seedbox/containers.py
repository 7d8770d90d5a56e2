"""Containers of the seedbox's image, for tests: started, asked, and always removed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

IMAGE = os.environ.get("SEEDWRIGHT_IMAGE", "seedwright:local")
PATIENCE_S = 60.0
LOCKED_DOWN = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--tmpfs", "/tmp", "--memory", "256m", "--pids-limit", "128"),
)


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert not check or done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done


def compose_command() -> list[str]:
    """How compose is called here; empty if it is not there."""
    plugin = ["docker", "compose"]
    if (
        shutil.which("docker")
        and not subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode
    ):
        return plugin
    return ["docker-compose"] if shutil.which("docker-compose") else []


def missing() -> str:
    """Why there is nothing to test; empty if there is."""
    if shutil.which("docker") is None or docker("info", check=False).returncode:
        return "no Docker engine answers"
    if docker("image", "inspect", IMAGE, check=False).returncode:
        return f"no image {IMAGE}: make image builds it"
    return ""


needs_image = pytest.mark.skipif(bool(missing()), reason=missing() or "it is here")


@dataclass(frozen=True)
class Container:
    name: str

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `seedwright ARGUMENTS` in it."""
        return docker("exec", self.name, "seedwright", *arguments, check=check)

    @property
    def logs(self) -> str:
        done = docker("logs", self.name)
        return done.stdout + done.stderr

    def state(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(
            docker("inspect", "--format", "{{json .State}}", self.name).stdout
        )
        return found

    def until_healthy(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.run("health", check=False).returncode:
            assert self.state()["Running"], self.logs
            assert time.monotonic() < deadline, self.logs
            time.sleep(0.1)

    def until(self, word: str, *command: str) -> str:
        """Ask again until a command says the word."""
        deadline = time.monotonic() + PATIENCE_S
        while word not in (said := self.run(*command, check=False).stdout):
            assert time.monotonic() < deadline, (said, self.logs)
            time.sleep(0.1)
        return said


@contextlib.contextmanager
def container(
    *command: str,
    options: tuple[str, ...] = LOCKED_DOWN,
    user: str = "1000:1000",
    network: str = "none",
    volumes: Mapping[str, Path] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Container]:
    """Start one; without another `network` it reaches nobody but itself."""
    made = Container(f"seedwright-test-{uuid.uuid4().hex[:12]}")
    settings = {"SEEDWRIGHT_NETWORK_ISOLATED": "true", **(environ or {})}
    docker(
        *("run", "--detach", "--name", made.name, "--network", network, "--user", user),
        *options,
        *(f"--volume={path}:{at}" for at, path in (volumes or {}).items()),
        *(f"--env={name}={value}" for name, value in settings.items()),
        IMAGE,
        *command,
    )
    try:
        yield made
    finally:
        docker("rm", "--force", "--volumes", made.name)


@contextlib.contextmanager
def internal_network() -> Iterator[str]:
    """A network without a way out."""
    name = f"seedwright-test-{uuid.uuid4().hex[:12]}"
    docker("network", "create", "--internal", name)
    try:
        yield name
    finally:
        docker("network", "rm", name)
