"""Connections by a program: noise before it, its words when it fails, its end when we are done."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.control import schema
from engine.control.carrier import GREETING, explained, open_carrier
from engine.control.client import ControlClient
from engine.control.server import ControlServer
from engine.engine_address import Program, parse_address
from engine.errors import AccessRefused, EngineUnreachable
from tests.commands.rig import ROOT
from tests.fakes.fake_engine import FakeEngine


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ControlServer]:
    server = ControlServer(FakeEngine(), tmp_path / "s")
    await server.start()
    yield server
    await server.stop()


def shell(script: str) -> Program:
    return Program(f"exec:{script}", ("sh", "-c", script))


def connect(socket: Path) -> str:
    """The command that leads to an engine."""
    where = f"cd {shlex.quote(str(ROOT))}"
    return f"{where}; exec {sys.executable} -m engine connect --stdio --socket {socket}"


async def test_an_engine_behind_a_noisy_shell(server: ControlServer) -> None:
    noise = "echo Welcome; printf 'no line end'; echo motd >&2; "
    async with await ControlClient.connect(shell(noise + connect(server.path))) as client:
        assert client.hello.engine.startswith("seedwright")
        assert len(await client.call(schema.ListTorrents())) == 12


async def test_many_megabytes_go_both_ways(server: ControlServer) -> None:
    async with await ControlClient.connect(shell(connect(server.path))) as client:
        text = "x" * (8 << 20)
        request = schema.GetTorrent(torrent=text)
        with pytest.raises(Exception, match="no torrent"):
            await client.call(request)
        rows = await asyncio.gather(*(client.call(schema.ListTorrents()) for _ in range(20)))
        assert all(len(each) == 12 for each in rows)


async def test_the_end_of_the_engine_is_told(server: ControlServer) -> None:
    client = await ControlClient.connect(shell(connect(server.path)))
    await server.stop()
    with pytest.raises(EngineUnreachable, match="closed the connection"):
        async for _ in client.notifications():
            pass
    await client.close()


async def test_the_words_of_who_ends_the_connection_are_kept() -> None:
    """As ssh's, when the line is dead."""
    script = (
        """echo '{"jsonrpc":"2.0","method":"connected"}'; read request; """
        "echo 'Timeout, server box not responding.' >&2; exit 255"
    )
    program = Program("ssh://box", ("sh", "-c", script), "box")
    with pytest.raises(EngineUnreachable, match="ssh: Timeout, server box not responding"):
        await ControlClient.connect(program)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'seedwright: no engine runs at /x' >&2; exit 6", "^no engine runs at /x$"),
        ("exit 3", "^sh ended with code 3$"),
        ("echo SSH-2.0-OpenSSH_9", "^sh ended with code 0$"),
        ("echo \"seedwright: No such command 'connect'.\" >&2; exit 2", "too old"),
        ("yes", "^sh said nothing"),
    ],
)
async def test_a_program_that_leads_to_no_engine(script: str, said: str) -> None:
    with pytest.raises(EngineUnreachable, match=said):
        await open_carrier(shell(script))


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(EngineUnreachable, match="no-such-thing is not installed here"):
        await open_carrier(parse_address("exec:no-such-thing"))


async def test_a_program_that_says_nothing_is_ended(tmp_path: Path) -> None:
    """Also when it does not want to."""
    told = tmp_path / "pid"
    script = f"trap '' TERM; echo $$ > {told}; echo waiting >&2; while :; do sleep 0.1; done"
    with pytest.raises(EngineUnreachable, match=r"no answer within 0.5 s: waiting"):
        await open_carrier(shell(script), 0.5)
    assert not Path("/proc", told.read_text().strip()).exists()


async def test_who_is_hurried_leaves_no_program_either(tmp_path: Path) -> None:
    """As the interface is when it is left while it connects: its tasks are cancelled twice."""
    told = tmp_path / "pid"
    script = f"trap '' TERM HUP; echo $$ > {told}; while :; do sleep 0.1; done"
    connecting = asyncio.create_task(open_carrier(shell(script)))
    async with asyncio.timeout(20):
        while not told.exists() or not told.read_text().strip():
            await asyncio.sleep(0.01)
        for _ in range(2):
            connecting.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await connecting
        while Path("/proc", told.read_text().strip()).exists():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("held", ["2>/dev/null", ">/dev/null"], ids=["stdout", "stderr"])
async def test_what_a_program_leaves_behind_keeps_no_pipe_of_ours_open(
    held: str, tmp_path: Path
) -> None:
    """As ssh does with ControlPersist, for hours."""
    told = tmp_path / "pid"
    behind = f"echo $$ > {told}; exec sleep 600"
    script = f"setsid sh -c {shlex.quote(behind)} {held} </dev/null & cat"
    opening = f"printf '%s' {shlex.quote(GREETING.decode())}; {script}"
    before = len(os.listdir("/proc/self/fd"))
    carrier = await open_carrier(shell(opening))
    try:
        await carrier.close()
        async with asyncio.timeout(20):
            while len(os.listdir("/proc/self/fd")) > before:
                await asyncio.sleep(0.01)
    finally:
        async with asyncio.timeout(20):
            while not told.exists() or not told.read_text().strip():
                await asyncio.sleep(0.01)
        os.kill(int(told.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("turns", range(10))
async def test_who_is_hurried_while_the_program_starts(turns: int) -> None:
    """Nothing is left of it, whatever of it was there: the leak plugin looks for its pipes."""
    before = _children()
    connecting = asyncio.create_task(open_carrier(shell("while :; do sleep 0.1; done")))
    for _ in range(turns):
        await asyncio.sleep(0)
    for _ in range(2):
        connecting.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await connecting
    async with asyncio.timeout(20):
        while _children() - before:
            await asyncio.sleep(0.01)


def _children() -> set[str]:
    """The ids of the processes that this one has started."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {child for file in tasks for child in file.read_text().split()}


async def test_a_program_has_no_terminal_and_no_one_to_ask() -> None:
    script = "(: </dev/tty) 2>/dev/null && exit 1; echo askpass=$SSH_ASKPASS_REQUIRE >&2; exit 2"
    with pytest.raises(EngineUnreachable, match=r"^askpass=never$"):
        await open_carrier(shell(script))


def test_what_ssh_says() -> None:
    ssh = Program("ssh://me@box", ("ssh",), "box")
    refused = explained(ssh, 255, "banner\nme@box: Permission denied (publickey).\n")
    assert isinstance(refused, AccessRefused)
    assert str(refused).startswith("ssh: me@box: Permission denied (publickey)")
    assert isinstance(explained(ssh, 255, "Host key verification failed.\n"), AccessRefused)
    down = explained(ssh, 255, "ssh: connect to host box port 22: Connection refused\n")
    assert str(down) == "ssh: connect to host box port 22: Connection refused"
    assert not isinstance(down, AccessRefused)
    absent = explained(ssh, 127, "sh: 1: exec: seedwright: not found\n")
    assert str(absent) == "there is no seedwright on the PATH of box"
