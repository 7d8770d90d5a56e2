"""The link over real sockets: it retries, resubscribes after a gap, asks no more than needed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from textual.message import Message

from engine.control import schema
from engine.control.server import ControlServer
from engine.engine_address import EngineAddress, Program
from engine.errors import EngineUnreachable, SourceError, UnknownTorrentError
from tests.commands.rig import ROOT
from tests.fakes.fake_engine import FakeEngine
from tui.link import LARGEST_TORRENT_BYTES, Link, Topic
from tui.messages import DetailsChanged, LinkDown, LinkUp, WindowChanged
from tui.store import Query, Span

M = TypeVar("M", bound=Message)


class Inbox:
    """Collects what a link posts."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._news = asyncio.Event()

    def post(self, message: Message) -> None:
        self.messages.append(message)
        self._news.set()

    async def next(self, kind: type[M], fits: Callable[[M], bool] = lambda _: True) -> M:
        """The first message of the kind that fits; the ones before it are dropped."""
        async with asyncio.timeout(20):
            while True:
                while self.messages:
                    message = self.messages.pop(0)
                    if isinstance(message, kind) and fits(message):
                        return message
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def running(
    address: EngineAddress, *, first_delay_s: float = 0.005
) -> AsyncIterator[tuple[Link, Inbox]]:
    link = Link(
        address,
        interval_s=0.05,
        poll_s=0.02,
        first_delay_s=first_delay_s,
        longest_delay_s=max(0.02, first_delay_s),
    )
    inbox = Inbox()
    task = asyncio.create_task(link.run(inbox.post))
    try:
        yield link, inbox
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def served(path: Path, engine: FakeEngine) -> AsyncIterator[ControlServer]:
    server = ControlServer(engine, path)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def test_it_waits_for_an_engine_and_finds_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with running(path) as (link, inbox):
        down = await inbox.next(LinkDown)
        assert str(path) in down.reason
        assert not link.is_up
        for count in (3, 5):
            async with served(path, FakeEngine(count)):
                assert (await inbox.next(LinkUp)).engine.startswith("seedwright")
                assert (await inbox.next(WindowChanged)).window.total == count
                assert link.is_up
            await inbox.next(LinkDown)


@pytest.mark.parametrize("turns", range(8))
async def test_who_ends_it_as_the_connection_ends_is_heeded(tmp_path: Path, turns: int) -> None:
    inbox = Inbox()
    async with served(tmp_path / "s", FakeEngine(3)):
        link = Link(tmp_path / "s", first_delay_s=60.0)
        task = asyncio.create_task(link.run(inbox.post))
        await inbox.next(WindowChanged)
        assert link._client is not None
        client = link._client
    await asyncio.wait([client._reading])
    for _ in range(turns):  # of the loop, until all who hear of it have
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), 20)
    assert task.cancelled()


async def test_an_engine_that_dies_and_comes_back_disturbs_no_other_link(tmp_path: Path) -> None:
    steady, mortal = FakeEngine(3), FakeEngine(5)
    async with (
        served(tmp_path / "a", steady),
        running(tmp_path / "a") as (link, inbox),
        running(tmp_path / "b") as (other, others),
    ):
        await inbox.next(WindowChanged)
        for _ in range(3):
            await others.next(LinkDown)
            async with served(tmp_path / "b", mortal):
                assert (await others.next(WindowChanged)).window.total == 5
                await other.pause([next(iter(mortal.torrents))])
            steady.tick()
            status = steady.status()
            await inbox.next(WindowChanged, lambda message, now=status: message.status == now)  # type: ignore[misc]
        assert link.is_up
        assert not [each for each in inbox.messages if isinstance(each, LinkDown)]
        assert [call[0] for call in mortal.calls] == ["pause"] * 3
        assert steady.calls == []


async def test_an_engine_behind_a_program_may_die_and_come_back(tmp_path: Path) -> None:
    command = f"cd {ROOT} && exec {sys.executable} -m engine connect --stdio --socket {tmp_path}/s"
    async with running(Program("exec:…", ("sh", "-c", command))) as (link, inbox):
        assert "no engine runs at" in (await inbox.next(LinkDown)).reason
        for count in (3, 5):
            engine = FakeEngine(count)
            async with served(tmp_path / "s", engine):
                assert (await inbox.next(WindowChanged)).window.total == count
                await link.pause([next(iter(engine.torrents))])
                assert engine.calls[0][0] == "pause"
            await inbox.next(LinkDown)
        assert not link.is_here


async def test_a_command_connects_at_once_to_an_engine_that_is_back(tmp_path: Path) -> None:
    engine = FakeEngine(3)
    async with running(tmp_path / "s", first_delay_s=3600) as (link, inbox):
        await inbox.next(LinkDown)
        with pytest.raises(EngineUnreachable, match="the engine is not reachable"):
            await link.everything()
        async with served(tmp_path / "s", engine), asyncio.timeout(20):
            rows, _ = await asyncio.gather(link.everything(), link.pause([*engine.torrents]))
            await inbox.next(LinkUp)
        await inbox.next(LinkDown)
        assert len(rows) == 3
        assert [call[0] for call in engine.calls] == ["pause"]


async def test_a_command_knocks_at_no_far_host_by_itself_and_names_the_key(tmp_path: Path) -> None:
    knocks = tmp_path / "knocks"
    program = Program("ssh://me@box", ("sh", "-c", f"echo >> {knocks}; exit 255"), "box")
    async with running(program, first_delay_s=3600) as (link, inbox):
        await inbox.next(LinkDown)
        with pytest.raises(EngineUnreachable, match=r"not reachable; \^R tries now"):
            await link.everything()
        assert knocks.read_text().count("\n") == 1


async def test_a_link_at_rest_is_told_figures_and_no_rows(tmp_path: Path) -> None:
    engine = FakeEngine(500)
    async with served(tmp_path / "s", engine), running(tmp_path / "s") as (link, inbox):
        await inbox.next(WindowChanged, lambda message: len(message.window.rows) == 64)
        link.watch(next(iter(engine.torrents)), Topic.PEERS)
        await inbox.next(DetailsChanged)
        link.rest()
        at_rest = await inbox.next(WindowChanged, lambda message: not message.window.rows)
        assert (at_rest.window.total, at_rest.status.torrents) == (500, 500)
        engine.tick()
        told = await inbox.next(WindowChanged, lambda message: message.status == engine.status())
        assert told.window.rows == ()


async def test_who_is_not_let_in_does_not_knock_again(tmp_path: Path) -> None:
    knocks = tmp_path / "knocks"
    script = f"echo >> {knocks}; echo 'me@box: Permission denied (publickey).' >&2; exit 255"
    refused = Program("ssh://me@box", ("sh", "-c", script), "box")
    async with running(refused) as (link, inbox), running(tmp_path / "s") as (_, others):
        assert "Permission denied" in (await inbox.next(LinkDown)).reason
        for _ in range(20):
            await others.next(LinkDown)
        assert knocks.read_text().count("\n") == 1
        link.retry()
        await inbox.next(LinkDown)
        assert knocks.read_text().count("\n") == 2


async def test_commands_without_an_engine_are_refused(tmp_path: Path) -> None:
    link = Link(tmp_path / "s")
    with pytest.raises(EngineUnreachable):
        await link.pause([])
    with pytest.raises(EngineUnreachable):
        await link.add("http://host/a.torrent")


async def test_the_newest_view_wins(tmp_path: Path) -> None:
    engine = FakeEngine(500)
    async with served(tmp_path / "s", engine), running(tmp_path / "s") as (link, inbox):
        await inbox.next(WindowChanged)
        for offset in range(0, 400, 10):
            link.show(Query(sort="size", descending=True), Span(offset, 64))
        last = await inbox.next(WindowChanged, lambda message: message.window.offset == 390)
        by_size = sorted((each.size for each in engine.torrents.values()), reverse=True)
        assert [row.size for row in last.window.rows] == by_size[390:454]


async def test_details_are_posted_when_they_change(tmp_path: Path) -> None:
    engine = FakeEngine()
    torrent = engine.named("debian-13.1.0-amd64-DVD-1.iso")
    async with served(tmp_path / "s", engine), running(tmp_path / "s") as (link, inbox):
        for topic in Topic:
            link.watch(torrent.info_hash, topic)
            told = await inbox.next(DetailsChanged, lambda message, t=topic: message.topic is t)  # type: ignore[misc]
            assert told.info_hash == torrent.info_hash
        told = await inbox.next(DetailsChanged) if len(torrent.log) > 1 else told
        torrent.log.append(schema.LogLine(at=1.0, level="error", text="something new"))
        told = await inbox.next(DetailsChanged)
        assert told.details[-1].text == "something new"  # type: ignore[index,union-attr]


async def test_who_looks_away_and_back_is_told_again(tmp_path: Path) -> None:
    engine = FakeEngine()
    one, other = list(engine.torrents)[:2]
    async with served(tmp_path / "s", engine), running(tmp_path / "s") as (link, inbox):
        link.watch(one, Topic.FILES)
        told = await inbox.next(DetailsChanged)
        for elsewhere in (None, other):
            link.watch(elsewhere, Topic.FILES)
            link.watch(one, Topic.FILES)
            again = await inbox.next(DetailsChanged)
            assert (again.info_hash, again.details) == (one, told.details)


async def test_a_watched_torrent_may_go(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with served(tmp_path / "s", engine), running(tmp_path / "s") as (link, inbox):
        gone, kept = list(engine.torrents)[:2]
        link.watch(gone, Topic.OVERVIEW)
        await inbox.next(DetailsChanged)
        await link.remove([gone], delete_data=False)
        link.watch(kept, Topic.OVERVIEW)
        assert (await inbox.next(DetailsChanged)).info_hash == kept
        with pytest.raises(UnknownTorrentError):
            await link.limits_of(gone)


async def test_a_file_that_is_no_torrent_file(tmp_path: Path) -> None:
    engine = FakeEngine()
    huge = tmp_path / "huge.torrent"
    with huge.open("wb") as file:
        file.truncate(LARGEST_TORRENT_BYTES + 1)
    async with served(tmp_path / "s", engine), running(tmp_path / "s") as (link, inbox):
        await inbox.next(LinkUp)
        for path, said in (
            (tmp_path / "absent.torrent", "No such file"),
            (tmp_path, "Is a directory"),
            (huge, "too large"),
        ):
            with pytest.raises(SourceError, match=said):
                await link.add(str(path))
        assert engine.calls == []


class ScriptedEngine:
    """Answers hello and subscribe; says what it is told to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.writer: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        while line := await reader.readline():
            call = json.loads(line)
            self.asked.append(call)
            hello = {"version": schema.VERSION, "engine": "scripted", "pid": 1}
            result = hello if call["method"] == "hello" else {"id": 1}
            self.say(id=call["id"], result=result)
        writer.close()

    def say(self, **line: Any) -> None:
        assert self.writer is not None
        self.writer.write(json.dumps({"jsonrpc": "2.0", **line}).encode() + b"\n")

    def note(self, method: str, seq: int, **fields: Any) -> None:
        self.say(method=method, params={"id": 1, "seq": seq, "total": 0, "rows": [], **fields})

    def subscriptions(self) -> list[dict[str, Any]]:
        return [call["params"] for call in self.asked if call["method"] == "view.subscribe"]


STATUS = msgspec.to_builtins(FakeEngine().status())


async def test_a_gap_asks_for_a_snapshot_again(tmp_path: Path) -> None:
    engine = ScriptedEngine()
    server = await asyncio.start_unix_server(engine.serve, tmp_path / "s")
    async with running(tmp_path / "s") as (_, inbox):
        await inbox.next(LinkUp)
        async with asyncio.timeout(20):
            while not engine.subscriptions():
                await asyncio.sleep(0)
        engine.note("view.snapshot", 1, status=STATUS)
        engine.note("view.delta", 2, total=7)
        assert (await inbox.next(WindowChanged, lambda m: m.window.seq == 2)).window.total == 7
        engine.note("view.delta", 4, total=9)
        async with asyncio.timeout(20):
            while len(engine.subscriptions()) < 2:
                await asyncio.sleep(0)
        first, second = engine.subscriptions()
        assert first.get("id") is None
        assert second["id"] == 1
        assert second["view"] == first["view"]
        engine.note("view.delta", 5, total=10)
        engine.note("view.snapshot", 6, total=11, status=STATUS)
        after = await inbox.next(WindowChanged)
        assert (after.window.seq, after.window.total) == (6, 11)
    server.close()
    await server.wait_closed()


async def test_garbage_on_the_socket_is_an_engine_that_is_not_reachable(tmp_path: Path) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9\n")
        writer.close()

    server = await asyncio.start_unix_server(babble, tmp_path / "s")
    async with running(tmp_path / "s") as (_, inbox):
        for _ in range(3):
            assert (await inbox.next(LinkDown)).reason
    server.close()
    await server.wait_closed()
