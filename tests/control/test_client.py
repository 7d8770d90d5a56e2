"""The client: typed replies, the engine's own errors, and an end to every call."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from engine import errors
from engine.control import schema
from engine.control.client import ControlClient
from engine.control.schema import Delta, Snapshot, Subscribe
from engine.control.server import ControlServer
from engine.errors import BadRequestError, ControlError, EngineUnreachable, SeedwrightError
from tests.fakes.fake_engine import FakeEngine


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(12)


@pytest_asyncio.fixture
async def server(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[ControlServer]:
    server = ControlServer(engine, tmp_path / "s")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def client(server: ControlServer) -> AsyncIterator[ControlClient]:
    async with await ControlClient.connect(server.path, client="test") as client:
        yield client


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def impostor(path: Path, script: Script) -> asyncio.Server:
    """Something that is no engine, or a broken one; `script` answers one connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await script(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    return await asyncio.start_unix_server(serve, path)


HELLO = b'{"jsonrpc":"2.0","id":1,"result":{"version":1,"engine":"seedwright 9","pid":1,"new":0}}\n'


async def test_replies_are_typed(client: ControlClient, engine: FakeEngine) -> None:
    info_hash, torrent = next(iter(engine.torrents.items()))
    assert client.hello.pid == os.getpid()
    assert await client.call(schema.Status()) == engine.status()
    assert await client.call(schema.ListTorrents()) == [
        each.row() for each in engine.torrents.values()
    ]
    assert await client.call(schema.GetTorrent(torrent=torrent.name)) == engine.info(info_hash)
    assert await client.call(schema.GetFiles(torrent=info_hash)) == engine.files(info_hash)
    assert await client.call(schema.GetPeers(torrent=info_hash)) == engine.peers(info_hash)
    assert await client.call(schema.GetTrackers(torrent=info_hash)) == engine.trackers(info_hash)
    assert await client.call(schema.GetLog(torrent=info_hash)) == engine.log(info_hash)


async def test_a_torrent_of_many_megabytes_gets_through(
    client: ControlClient, engine: FakeEngine
) -> None:
    junk = os.urandom(20 << 20)
    with pytest.raises(errors.BencodeError):
        await client.call(schema.AddTorrent(metainfo=junk))
    [(_, request)] = engine.calls
    assert request.metainfo == junk


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, SeedwrightError)
    ],
)
async def test_errors_are_raised_as_what_they_are(
    client: ControlClient, engine: FakeEngine, kind: type[SeedwrightError]
) -> None:
    engine.fail_with = kind("this is why")
    with pytest.raises(kind, match=r"^this is why$") as caught:
        await client.call(schema.Pause(torrents=[]))
    assert type(caught.value) is kind
    assert caught.value.exit_code == kind.exit_code


async def test_calls_run_side_by_side(client: ControlClient, engine: FakeEngine) -> None:
    release = asyncio.Event()

    async def slow_announce(info_hashes: object) -> None:
        await release.wait()

    engine.announce = slow_announce  # type: ignore[method-assign]
    slow = asyncio.create_task(client.call(schema.Announce(torrents=None)))
    assert (await client.call(schema.Status())).torrents == 12
    assert not slow.done()
    release.set()
    assert len((await slow).info_hashes) == 12


async def test_a_call_that_takes_too_long_ends_and_its_late_answer_is_ignored(
    client: ControlClient, engine: FakeEngine
) -> None:
    release = asyncio.Event()

    async def slow_announce(info_hashes: object) -> None:
        await release.wait()

    engine.announce = slow_announce  # type: ignore[method-assign]
    with pytest.raises(EngineUnreachable, match=r"torrent\.announce within 0\.01 s"):
        await client.call(schema.Announce(torrents=[]), timeout_s=0.01)
    release.set()
    assert (await client.call(schema.Status())).torrents == 12


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(EngineUnreachable, match="no engine runs at"):
        await ControlClient.connect(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineUnreachable):
        await ControlClient.connect(tmp_path / "file")
    with pytest.raises(EngineUnreachable):
        await ControlClient.connect(tmp_path / ("x" * 200))


async def test_the_end_of_the_engine_ends_calls_and_notifications(
    server: ControlServer, engine: FakeEngine
) -> None:
    client = await ControlClient.connect(server.path)
    await client.call(Subscribe())
    notes = client.notifications()
    assert isinstance(await anext(notes), Snapshot)
    waiting = asyncio.ensure_future(anext(notes))
    await server.stop()
    with pytest.raises(EngineUnreachable, match="closed the connection"):
        await waiting
    with pytest.raises(EngineUnreachable):
        await client.call(schema.Status())
    assert client.is_closed
    await client.close()


async def test_our_own_close_ends_calls_and_notifications_quietly(
    server: ControlServer, engine: FakeEngine
) -> None:
    release = asyncio.Event()

    async def slow_announce(info_hashes: object) -> None:
        await release.wait()

    engine.announce = slow_announce  # type: ignore[method-assign]
    client = await ControlClient.connect(server.path)
    call = asyncio.create_task(client.call(schema.Announce(torrents=[])))
    waiting = asyncio.ensure_future(anext(client.notifications(), None))
    await client.call(schema.Status())
    await client.close()
    await client.close()
    assert await waiting is None
    with pytest.raises(EngineUnreachable):
        await call
    release.set()


async def test_a_reader_that_falls_behind_sees_a_gap_and_never_blocks_replies(
    tmp_path: Path,
) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(HELLO)
        line = b'{"jsonrpc":"2.0","method":"view.delta","params":{"id":1,"seq":%d,"total":0,"rows":[]}}\n'  # noqa: E501
        writer.write(b"".join(line % seq for seq in range(1000)))
        await reader.readline()
        writer.write(b'{"jsonrpc":"2.0","id":2,"result":{}}\n')
        await reader.read()

    async with (
        await impostor(tmp_path / "s", flood),
        await ControlClient.connect(tmp_path / "s") as client,
    ):
        await client.call(schema.Shutdown())
        notes = client.notifications()
        seqs = [(await anext(notes)).seq for _ in range(256)]
        assert seqs == list(range(744, 1000))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"[]\n",
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}\n',
        HELLO + b"\x00\xff\n",
        HELLO + b'{"jsonrpc":"2.0","method":"view.delta","params":{"seq":"x"}}\n',
    ],
)
async def test_what_is_no_engine_is_unreachable(tmp_path: Path, answer: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        await writer.drain()

    async def talk() -> None:
        async with await ControlClient.connect(tmp_path / "s") as client:
            await client.call(schema.Status())

    async with await impostor(tmp_path / "s", script):
        with pytest.raises(EngineUnreachable):
            await talk()


async def test_who_says_no_hello_may_not_fill_the_memory(tmp_path: Path) -> None:
    taken = 0
    is_over = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                writer.write(b"x" * 1024 * 1024)
                await writer.drain()
                taken += 1
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        is_over.set()

    async with await impostor(tmp_path / "s", endless):
        with pytest.raises(EngineUnreachable, match="no engine"):
            await ControlClient.connect(tmp_path / "s")
        await is_over.wait()
    assert taken < 4


async def test_a_reply_of_a_wrong_shape_is_a_control_error(tmp_path: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(HELLO + b'{"jsonrpc":"2.0","method":"news.of.tomorrow","params":[1]}\n')
        await reader.readline()
        writer.write(b'{"jsonrpc":"2.0","id":2,"result":{"version":7}}\n')
        await reader.read()

    async with (
        await impostor(tmp_path / "s", script),
        await ControlClient.connect(tmp_path / "s") as client,
    ):
        assert client.hello.engine == "seedwright 9"
        with pytest.raises(ControlError, match=r"session\.status") as caught:
            await client.call(schema.Status())
        assert type(caught.value) is ControlError


async def test_another_version_is_a_clear_error(
    server: ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "VERSION", 2)
    with pytest.raises(BadRequestError, match="speaks version 2"):
        await ControlClient.connect(server.path)


async def test_changing_a_view_is_answered_with_its_snapshot(
    client: ControlClient, engine: FakeEngine
) -> None:
    reply = await client.call(Subscribe(interval_s=0.05))
    notes = client.notifications()
    assert len((await anext(notes)).rows) == 12
    await client.call(Subscribe(id=reply.id, view=schema.View(limit=2), interval_s=0.05))
    note = await anext(notes)
    assert isinstance(note, Snapshot)
    assert (note.seq, len(note.rows), note.total) == (2, 2, 12)
    engine.tick()
    note = await anext(notes)
    assert isinstance(note, Delta)
    assert note.seq == 3


def test_the_client_loads_neither_the_engine_nor_aiohttp() -> None:
    script = (
        "import sys, engine.control.client\n"
        "bad = [name for name in sys.modules if name.split('.')[0] in ('aiohttp', 'textual')"
        " or name.startswith('engine.')"
        " and name not in ('engine.control', 'engine.engine_address', 'engine.errors')"
        " and not name.startswith('engine.control.')]\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.stderr.decode() == ""
