"""Members as processes in network namespaces, on a bridge that leads nowhere else.

It runs inside of the sandbox (sandbox.py), whose network has the bridge. One namespace for each
host; neighbours are entered for good, since the kernel's table of those it learns is one for all
namespaces, and overflows with some thirty hosts; segments are not merged (GSO), or one lost packet
would be up to 64 KiB.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.swarm import shaping
from tests.swarm.launch import Launch, SwarmError
from tests.swarm.namespaces import inside
from tests.swarm.plan import Member, Plan

_BRIDGE: Final = "br0"
_ISLAND: Final = "br1"
_STOP_S: Final = 20.0
_CHOOSE_TCP: Final = """
for choice in cubic reno; do
  echo $choice 2>/dev/null >/proc/sys/net/ipv4/tcp_congestion_control && exit
done
"""
"""What most of the world uses, or else its ancestor; not what this machine happens to use."""
_TOLD_TCP: Final = Path("/proc/sys/net/ipv4/tcp_congestion_control")
_PROGRAMS: Final = {"ip": "iproute2", "tc": "iproute2", "iptables-restore": "iptables"}


class Netns:
    """The runtime of network namespaces."""

    name = "netns"

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._plan: Plan
        self._launches: Mapping[str, Launch] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._delay_line: subprocess.Popen[bytes] | None = None
        self._by_name: dict[str, Member] = {}
        self._limited: set[Path] = set()

    # ── the network ─────────────────────────────────────────────────────────────────────────────

    async def up(self, plan: Plan, launches: Mapping[str, Launch]) -> dict[str, str]:
        self._plan, self._launches = plan, launches
        self._by_name = {host.name: host for host in plan.hosts}
        hosts = plan.hosts
        netem = await has_netem()
        lines = [
            f"link add {bridge} type bridge forward_delay 0 mcast_snooping 0"
            for bridge in (_BRIDGE, _ISLAND)
        ]
        lines += [f"link set {bridge} addrgenmode none up" for bridge in (_BRIDGE, _ISLAND)]
        for host in hosts:
            lines.append(f"netns add {host.name}")
            if netem or not host.link.needs_delay:
                lines.append(
                    f"link add {host.device} type veth peer name eth0 address {host.mac} "
                    f"netns {host.name}"
                )
        await feed(lines, "ip", "-batch", "-")
        if not netem:
            await self._start_delay_line([host for host in hosts if host.link.needs_delay])
        await feed(
            [
                f"link set {host.device} addrgenmode none gso_max_segs 1 master {_BRIDGE} up"
                for host in hosts
            ],
            *("ip", "-batch", "-"),
        )
        await feed(
            [
                line
                for host in hosts
                for line in shaping.qdiscs(host.device, host.link.down, host.link, netem=False)
            ],
            *("tc", "-batch", "-"),
        )
        for some in _parts(hosts, 8):
            await asyncio.gather(*(self._configure(host, netem=netem) for host in some))
        await self._note_the_kernel(netem=netem)
        return {host.name: shaping.applied(host.link, netem=netem) for host in hosts if host.role}

    async def _configure(self, host: Member, *, netem: bool) -> None:
        nodad = " nodad" if ":" in host.address else ""
        lines = [
            "link set lo up",
            f"link set eth0 address {host.mac} addrgenmode none gso_max_segs 1 up",
            f"addr add {host.address}/{host.prefix} dev eth0{nodad}",
        ]
        lines += [
            f"neigh add {other.address} lladdr {other.mac} dev eth0 nud permanent"
            for other in self._plan.hosts
            if other.name != host.name
        ]
        # Multicast needs a way out of those that listen to 0.0.0.0.
        lines += [] if nodad else ["route add 224.0.0.0/4 dev eth0"]
        await feed(lines, "ip", "-n", host.name, "-batch", "-")
        delays_here = netem and host.link.needs_delay
        qdiscs = shaping.qdiscs("eth0", host.link.up, host.link, netem=delays_here)
        await feed(qdiscs, "tc", "-n", host.name, "-batch", "-")
        await run("", "ip", "netns", "exec", host.name, "sh", "-c", _CHOOSE_TCP)
        table = shaping.loss_table(host, self._plan.hosts)
        if table:
            restore = "ip6tables-restore" if nodad else "iptables-restore"
            await run(table, "ip", "netns", "exec", host.name, restore)

    async def _start_delay_line(self, hosts: Sequence[Member]) -> None:
        if not hosts:
            return
        wanted = [
            {
                "namespace": host.name,
                "device": host.device,
                "delay_s": host.link.delay_s,
                "jitter_s": host.link.jitter_s,
            }
            for host in hosts
        ]
        line = self._delay_line = _spawn_delay_line(json.dumps(wanted))
        assert line.stdout is not None
        if await asyncio.to_thread(line.stdout.readline) != b"ready\n":
            raise SwarmError("the delay line did not start")

    async def _note_the_kernel(self, *, netem: bool) -> None:
        namespace = Path("/run/netns") / self._plan.tracker.name
        with inside(namespace):
            tcp = _TOLD_TCP.read_text().strip()
        self.notes.append(f"Linux {os.uname().release}, TCP {tcp}, {os.cpu_count()} cores")
        if not netem and any(host.link.needs_delay for host in self._plan.hosts):
            self.notes.append(
                "the kernel has no netem: delay and jitter are made by a user-space delay line, "
                "which keeps packets in order and is late by a millisecond or two"
            )

    async def partition(self, names: list[str]) -> None:
        await self._move(names, _ISLAND)

    async def heal(self) -> None:
        await self._move([host.name for host in self._plan.hosts], _BRIDGE)

    async def _move(self, names: list[str], bridge: str) -> None:
        lines = [f"link set {self._by_name[name].device} master {bridge}" for name in names]
        await feed(lines, "ip", "-batch", "-")

    def wire(self) -> dict[str, int]:
        received = {}
        for line in Path("/proc/net/dev").read_text().splitlines()[2:]:
            device, _, counters = line.partition(":")
            received[device.strip()] = int(counters.split()[0])
        return {member.name: received.get(member.device, 0) for member in self._plan.members}

    # ── members ─────────────────────────────────────────────────────────────────────────────────

    async def start(self, name: str) -> None:
        self._running[name] = _spawn(name, self._launches[name])

    def is_running(self, name: str) -> bool:
        process = self._running.get(name)
        return process is not None and process.poll() is None

    async def stop(self, name: str) -> None:
        process = self._running[name]
        self._signal(name, signal.SIGCONT)
        if self.is_running(name):
            process.terminate()
        try:
            await asyncio.to_thread(process.wait, _STOP_S)
        except subprocess.TimeoutExpired:
            await self.kill(name)

    async def kill(self, name: str) -> None:
        self._signal(name, signal.SIGKILL)
        await asyncio.to_thread(self._running[name].wait)

    async def pause(self, name: str) -> None:
        self._signal(name, signal.SIGSTOP)

    async def resume(self, name: str) -> None:
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> None:
        """To all processes of a member: each has a session of its own."""
        if self.is_running(name):
            os.killpg(self._running[name].pid, number)

    async def limit_disk(self, folder: Path, size: int) -> None:
        how = "remount," if folder in self._limited else ""
        self._limited.add(folder)
        options = f"{how}size={size}"
        await run("", "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))

    async def down(self) -> None:
        """Namespaces and mounts go with the sandbox; here only who should end tidily does."""
        for name in list(self._running):
            self._signal(name, signal.SIGCONT)
            if self.is_running(name):
                self._running[name].terminate()
        ending = [asyncio.to_thread(process.wait, 5.0) for process in self._running.values()]
        await asyncio.gather(*ending, return_exceptions=True)
        for name in list(self._running):
            self._signal(name, signal.SIGKILL)
        if self._delay_line is not None:
            self._delay_line.kill()
            self._delay_line.wait()
            self._delay_line = None


def _spawn(name: str, launch: Launch) -> subprocess.Popen[bytes]:
    with launch.log.open("ab") as log:
        return subprocess.Popen(
            ["ip", "netns", "exec", name, *launch.argv],
            env=dict(launch.environ),
            cwd=launch.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _spawn_delay_line(lines: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.swarm.delay_line", lines],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


async def has_netem() -> bool:
    """True if the kernel can delay packets by itself."""
    probe = await asyncio.create_subprocess_exec(
        *("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    if await probe.wait():
        return False
    await run("", "tc", "qdisc", "del", "dev", "lo", "root")
    return True


async def feed(lines: Sequence[str], *command: str) -> None:
    """Give lines to a command that reads a batch. Raises SwarmError."""
    if lines:
        await run("\n".join(lines) + "\n", *command)


async def run(given: str, *command: str) -> str:
    """Run a command with this as its input; return what it said. Raises SwarmError."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except FileNotFoundError as error:
        package = _PROGRAMS.get(command[0], "")
        raise SwarmError(f"{command[0]} is not installed (apt install {package})") from error
    said, _ = await process.communicate(given.encode())
    if process.returncode:
        raise SwarmError(f"{' '.join(command)}: {said.decode(errors='replace').strip()[-300:]}")
    return said.decode(errors="replace")


def _parts(hosts: Sequence[Member], size: int) -> list[Sequence[Member]]:
    return [hosts[at : at + size] for at in range(0, len(hosts), size)]
