"""Members as containers of the seedbox's image, on a network that leads nowhere else.

A compose file for each run, with a project and a network of its own. The containers have no rights;
their links are shaped from outside, in their network namespaces, which needs root. A container that
is started again has a new line, so that is shaped each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.swarm import shaping
from tests.swarm.drivers import ROOT
from tests.swarm.launch import Launch, SwarmError
from tests.swarm.netns import feed, has_netem, run
from tests.swarm.plan import Member, Plan

IMAGE: Final = os.environ.get("SEEDWRIGHT_IMAGE", "seedwright:local")
PYTHON: Final = "/opt/seedwright/bin/python"
_COMPOSE: Final = "compose.json"
_INTO_LOG: Final = 'exec "$$@" >>"$$0" 2>&1'
"""Compose takes one dollar sign for a variable of its own."""


class Containers:
    """The runtime of containers."""

    name = "containers"

    def __init__(self, folder: Path) -> None:
        self.notes: list[str] = []
        self._folder = folder
        self._project = f"swarm-{secrets.token_hex(4)}"
        self._plan: Plan
        self._by_name: dict[str, Member] = {}
        self._compose: list[str] = []
        self._bridge = ""
        self._running: set[str] = set()
        self._devices: dict[str, str] = {}
        """The end of each running member's line on the host."""
        self._sent_before: dict[str, int] = {}
        """By earlier lines of it."""
        self._limited: set[Path] = set()
        self._netem = False

    # ── the network ─────────────────────────────────────────────────────────────────────────────

    async def up(self, plan: Plan, launches: Mapping[str, Launch]) -> dict[str, str]:
        if os.geteuid():
            raise SwarmError("shaping the links of containers needs root; RUNTIME=netns does not")
        self._plan = plan
        self._by_name = {host.name: host for host in plan.hosts}
        self._compose = [*_compose_command(), "-p", self._project, "-f", str(self._file)]
        await _docker("image", "inspect", IMAGE, why=f"there is no image {IMAGE}: make image")
        self._netem = await has_netem()
        document = compose_document(plan, launches, self._project)
        self._file.write_text(json.dumps(document, indent=1))
        await run("", *self._compose, "up", "--no-start")
        network = json.loads(await _docker("network", "inspect", f"{self._project}_swarm"))[0]
        self._bridge = f"br-{network['Id'][:12]}"
        await run("", "ip", "link", "add", self._island, "type", "bridge", "forward_delay", "0")
        await run("", "ip", "link", "set", self._island, "up")
        self.notes.append(f"image {IMAGE}, Linux {os.uname().release}, {os.cpu_count()} cores")
        if not self._netem and any(host.link.needs_delay for host in plan.hosts):
            self.notes.append(
                "the kernel has no netem: delay and jitter are NOT applied to containers; "
                "RUNTIME=netns has a delay line for that"
            )
        return {host.name: self._applied(host) for host in plan.members}

    @property
    def _file(self) -> Path:
        return self._folder / _COMPOSE

    @property
    def _island(self) -> str:
        return f"sw{self._project[-8:]}"

    def _applied(self, host: Member) -> str:
        text = shaping.applied(host.link, netem=True)
        if host.link.needs_delay and not self._netem:
            text = text.replace("netem", "NOT applied:")
        return text

    async def _shape(self, host: Member) -> None:
        """Find the line of a member that has just started, and make it what was planned."""
        container = self._container(host.name)
        seen = json.loads(await _docker("inspect", container))[0]
        pid = str(seen["State"]["Pid"])
        if pid == "0":
            raise SwarmError(f"{host.name} did not start: {await _docker('logs', container)}")
        inside = ("nsenter", "-t", pid, "-n")
        line = json.loads(await run("", *inside, "ip", "-j", "link", "show", "eth0"))[0]
        device = Path(f"/sys/class/net/{_name_of(line['link_index'])}").name
        self._devices[host.name] = device
        lines = ["link set eth0 gso_max_segs 1"]
        lines += [
            f"neigh replace {other.address} lladdr {other.mac} dev eth0 nud permanent"
            for other in self._plan.hosts
            if other.name != host.name
        ]
        await feed(lines, *inside, "ip", "-batch", "-")
        await feed([f"link set {device} gso_max_segs 1"], "ip", "-batch", "-")
        netem = self._netem and host.link.needs_delay
        out = shaping.qdiscs("eth0", host.link.up, host.link, netem=netem)
        await feed(out, *inside, "tc", "-batch", "-")
        into = shaping.qdiscs(device, host.link.down, host.link, netem=False)
        await feed(into, "tc", "-batch", "-")
        table = shaping.loss_table(host, self._plan.hosts)
        if table:
            restore = "ip6tables-restore" if ":" in host.address else "iptables-restore"
            await run(table, *inside, restore)

    async def partition(self, names: list[str]) -> None:
        await self._move(names, self._island)

    async def heal(self) -> None:
        await self._move(list(self._devices), self._bridge)

    async def _move(self, names: list[str], bridge: str) -> None:
        lines = [f"link set {self._devices[name]} master {bridge}" for name in names]
        await feed(lines, "ip", "-batch", "-")

    def wire(self) -> dict[str, int]:
        return {
            member.name: self._sent_before.get(member.name, 0) + self._sent(member.name)
            for member in self._plan.members
        }

    def _sent(self, name: str) -> int:
        device = self._devices.get(name)
        if device is None:
            return 0
        try:
            counter = Path(f"/sys/class/net/{device}/statistics/rx_bytes")
            return int(counter.read_text())
        except OSError:
            return 0

    # ── members ─────────────────────────────────────────────────────────────────────────────────

    def _container(self, name: str) -> str:
        return f"{self._project}-{name}"

    async def start(self, name: str) -> None:
        await _docker("start", self._container(name))
        self._running.add(name)
        await self._shape(self._by_name[name])

    async def stop(self, name: str) -> None:
        await self._end(name, "stop")

    async def kill(self, name: str) -> None:
        await self._end(name, "kill")

    async def _end(self, name: str, how: str) -> None:
        sent = self._sent_before.get(name, 0) + self._sent(name)
        self._running.discard(name)
        await _docker(how, self._container(name))
        self._sent_before[name] = sent
        self._devices.pop(name, None)

    async def pause(self, name: str) -> None:
        await _docker("pause", self._container(name))

    async def resume(self, name: str) -> None:
        await _docker("unpause", self._container(name))

    def is_running(self, name: str) -> bool:
        return name in self._running

    async def limit_disk(self, folder: Path, size: int) -> None:
        how = "remount," if folder in self._limited else ""
        self._limited.add(folder)
        options = f"{how}size={size},mode=1777"
        await run("", "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))

    async def down(self) -> None:
        if self._file.exists():
            with contextlib.suppress(SwarmError):
                await run("", *self._compose, "down", "-v", "--remove-orphans", "-t", "2")
        with contextlib.suppress(SwarmError):
            await run("", "ip", "link", "del", self._island)
        for folder in self._limited:
            with contextlib.suppress(SwarmError):
                await run("", "umount", str(folder))


def compose_document(plan: Plan, launches: Mapping[str, Launch], project: str) -> dict[str, Any]:
    """The compose file of a run, for the plugin and for docker-compose 1.29. Pure."""
    key = "ipv6_address" if plan.scenario.network.ip == 6 else "ipv4_address"
    services = {}
    for host in plan.hosts:
        launch = launches.get(host.name)
        if launch is None:
            continue
        services[host.name] = {
            "image": IMAGE,
            "container_name": f"{project}-{host.name}",
            "entrypoint": ["/bin/sh", "-c", _INTO_LOG, str(launch.log)],
            "command": [part.replace("$", "$$") for part in (PYTHON, *launch.argv[1:])],
            "environment": _environment(launch),
            "user": f"{os.getuid()}:{os.getgid()}",
            "working_dir": str(launch.folder),
            "mac_address": host.mac,
            "cap_drop": ["ALL"],
            "read_only": True,
            "init": True,
            "healthcheck": {"disable": True},
            "volumes": _volumes(launch),
            "networks": {"swarm": {key: host.address}},
        }
    return {
        "version": "2.4",
        "services": services,
        "networks": {
            "swarm": {
                "internal": True,
                "enable_ipv6": plan.scenario.network.ip == 6,
                "ipam": {"config": [{"subnet": subnet} for subnet in plan.subnets]},
            }
        },
    }


def _is_ours(launch: Launch) -> bool:
    """Tests are in no image: their modules are looked at from outside."""
    return any(part.startswith("tests.") for part in launch.argv)


def _environment(launch: Launch) -> dict[str, str]:
    found = {"HOME": str(launch.folder)}
    return found | ({"PYTHONPATH": str(ROOT)} if _is_ours(launch) else {})


def _volumes(launch: Launch) -> list[str]:
    """The folder above, at the same path, since sockets lie beside the folder of a member."""
    above = launch.folder.parent
    return [f"{above}:{above}", *([f"{ROOT}:{ROOT}:ro"] if _is_ours(launch) else [])]


def _compose_command() -> list[str]:
    """How compose is called here. Raises SwarmError."""
    plugins = ("/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins")
    homes = (
        *plugins,
        str(Path.home() / ".docker/cli-plugins"),
        "/usr/local/lib/docker/cli-plugins",
    )
    if any(Path(home, "docker-compose").exists() for home in homes):
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise SwarmError("neither docker compose nor docker-compose is installed")


def sweep(folder: Path) -> None:
    """Remove what a killed run has left of its containers; `folder` is the run's."""
    if not (folder / _COMPOSE).exists():
        return

    async def remove() -> None:
        document = json.loads((folder / _COMPOSE).read_text())
        names = [service["container_name"] for service in document["services"].values()]
        project = "-".join(names[0].split("-")[:2]) if names else ""
        for command in (
            ("docker", "rm", "-f", "-v", *names),
            ("docker", "network", "rm", f"{project}_swarm"),
            ("ip", "link", "del", f"sw{project[-8:]}"),
        ):
            with contextlib.suppress(SwarmError):
                await run("", *command)
        for place in folder.glob("*/downloads"):
            if os.path.ismount(place):
                with contextlib.suppress(SwarmError):
                    await run("", "umount", str(place))

    asyncio.run(remove())


def _name_of(index: int) -> str:
    for device in Path("/sys/class/net").iterdir():
        if int((device / "ifindex").read_text()) == index:
            return device.name
    raise SwarmError(f"there is no device of index {index}")


async def _docker(*command: str, why: str = "") -> str:
    try:
        return await run("", "docker", *command)
    except SwarmError as error:
        raise SwarmError(why or str(error)) from error
