"""The server over real sockets: garbage, floods, slow clients, orderly ends, nothing left."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from engine.control import schema
from engine.control.client import ControlClient
from engine.control.framing import SMALL_LINE_BYTES, LineBuffer, decode_incoming
from engine.control.schema import Delta, Snapshot, Subscribe, View
from engine.control.server import MAX_CONNECTIONS, ControlServer, _Connection
from engine.errors import ControlError, EngineUnreachable
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.subscriber_window import Window

LIMIT_BYTES = 1000


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(12)


@pytest_asyncio.fixture
async def server(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[ControlServer]:
    server = ControlServer(engine, tmp_path / "s", request_limit_bytes=LIMIT_BYTES)
    await server.start()
    yield server
    await server.stop()
    assert len(asyncio.all_tasks()) == 1


class Raw:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, path: Path) -> Raw:
        return cls(*await asyncio.open_unix_connection(path, limit=1 << 24))

    async def answer(self) -> Any:
        return json.loads(await self.reader.readline())

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


@pytest_asyncio.fixture
async def raw(server: ControlServer) -> AsyncIterator[Raw]:
    raw = await Raw.connect(server.path)
    yield raw
    await raw.close()


async def test_the_socket_is_private_and_goes_away(engine: FakeEngine, tmp_path: Path) -> None:
    server = ControlServer(engine, tmp_path / "folder" / "s")
    await server.start()
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700
    await server.stop()
    await server.stop()
    assert not server.path.exists()


async def test_a_second_server_is_refused_and_the_first_goes_on(
    server: ControlServer, engine: FakeEngine
) -> None:
    with pytest.raises(ControlError, match="already running"):
        await ControlServer(engine, server.path).start()
    async with await ControlClient.connect(server.path) as client:
        assert (await client.call(schema.Status())).torrents == 12


async def test_a_whole_conversation_byte_by_byte(raw: Raw) -> None:
    for byte in b'{"jsonrpc":"2.0","id":"x","method":"session.status"}\n':
        raw.writer.write(bytes([byte]))
        await raw.writer.drain()
    answer = await raw.answer()
    assert answer["jsonrpc"] == "2.0"
    assert answer["id"] == "x"
    assert answer["result"]["torrents"] == 12
    assert "error" not in answer


@pytest.mark.parametrize(
    ("line", "call_id", "code"),
    [
        (b"\xff\xfe garbage", None, -32700),
        (b'[{"jsonrpc":"2.0","id":1,"method":"hello"}]', None, -32600),
        (b'{"jsonrpc":"2.0","id":4,"method":"no.such"}', 4, -32601),
        (b'{"jsonrpc":"2.0","id":5,"method":"torrent.get"}', 5, -32602),
        (b'{"jsonrpc":"2.0","id":6,"method":"torrent.get","params":{"torrent":"?"}}', 6, -32001),
        (b'{"jsonrpc":"2.0","id":null,"method":"torrent.get"}', None, -32602),
    ],
)
async def test_what_is_refused_is_answered_and_the_connection_lives(
    raw: Raw, line: bytes, call_id: int | None, code: int
) -> None:
    raw.writer.write(line + b"\n")
    answer = await raw.answer()
    assert (answer["id"], answer["error"]["code"]) == (call_id, code)
    assert answer["error"]["data"]["type"]
    raw.writer.write(b'{"jsonrpc":"2.0","id":7,"method":"hello","params":{}}\n')
    assert (await raw.answer())["id"] == 7


async def test_a_notification_is_obeyed_and_not_answered(raw: Raw, engine: FakeEngine) -> None:
    raw.writer.write(
        b'{"jsonrpc":"2.0","method":"torrent.pause","params":{"torrents":null}}\n'
        b'{"jsonrpc":"2.0","method":"no.such"}\n'
        b'{"jsonrpc":"2.0","id":2,"method":"session.status"}\n'
    )
    assert (await raw.answer())["id"] == 2
    assert [name for name, *_ in engine.calls] == ["pause"]


@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_an_oversized_line_is_named_and_costs_the_connection(raw: Raw, end: bytes) -> None:
    raw.writer.write(b"x" * (LIMIT_BYTES + 1) + end)
    answer = await raw.answer()
    assert answer["error"]["code"] == -32600
    assert str(LIMIT_BYTES) in answer["error"]["message"]
    assert await raw.reader.read() == b""


async def test_a_client_that_only_half_closes_gets_its_answers(raw: Raw) -> None:
    raw.writer.write(b'{"jsonrpc":"2.0","id":1,"method":"session.status"}\n')
    raw.writer.write_eof()
    assert (await raw.answer())["id"] == 1
    assert await raw.reader.read() == b""


async def test_a_bug_is_reported_as_ours_and_costs_nothing(
    raw: Raw, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.fail_with = KeyError("oops")  # type: ignore[assignment]
    raw.writer.write(b'{"jsonrpc":"2.0","id":1,"method":"session.shutdown"}\n')
    assert (await raw.answer())["error"]["code"] == -32603
    assert "session.shutdown failed" in caplog.text
    raw.writer.write(b'{"jsonrpc":"2.0","id":2,"method":"session.status"}\n')
    assert (await raw.answer())["id"] == 2


async def test_requests_run_side_by_side_and_few_at_a_time(
    server: ControlServer, engine: FakeEngine
) -> None:
    release = asyncio.Event()
    running = most = 0

    async def slow_announce(info_hashes: object) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1

    engine.announce = slow_announce  # type: ignore[method-assign]
    raw = await Raw.connect(server.path)
    line = '{"jsonrpc":"2.0","id":%d,"method":"torrent.announce","params":{"torrents":[]}}\n'
    raw.writer.write("".join(line % index for index in range(100)).encode())
    async with await ControlClient.connect(server.path) as other:
        await other.call(schema.Status())  # nobody else waits
    assert most == 32
    release.set()
    assert {(await raw.answer())["id"] for _ in range(100)} == set(range(100))
    await raw.close()


async def test_a_request_outlives_its_client(server: ControlServer, engine: FakeEngine) -> None:
    started, release, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow_announce(info_hashes: object) -> None:
        started.set()
        await release.wait()
        done.set()

    engine.announce = slow_announce  # type: ignore[method-assign]
    raw = await Raw.connect(server.path)
    raw.writer.write(
        b'{"jsonrpc":"2.0","id":1,"method":"view.subscribe","params":{"interval_s":0.05}}\n'
        b'{"jsonrpc":"2.0","id":2,"method":"torrent.announce","params":{"torrents":[]}}\n'
    )
    await started.wait()
    raw.writer.transport.abort()
    engine.tick()
    release.set()
    await asyncio.wait_for(done.wait(), 20)


async def test_stop_finishes_what_is_under_way(engine: FakeEngine, tmp_path: Path) -> None:
    server = ControlServer(engine, tmp_path / "s")
    await server.start()
    started, release = asyncio.Event(), asyncio.Event()

    async def slow_announce(info_hashes: object) -> None:
        started.set()
        await release.wait()

    engine.announce = slow_announce  # type: ignore[method-assign]
    client = await ControlClient.connect(server.path)
    await client.call(Subscribe())
    call = asyncio.create_task(client.call(schema.Announce(torrents=None)))
    await started.wait()
    stop = asyncio.create_task(server.stop())
    asyncio.get_running_loop().call_soon(release.set)
    assert len((await call).info_hashes) == 12
    await stop
    with pytest.raises(EngineUnreachable):
        await client.call(schema.Status())
    await client.close()


async def test_stop_does_not_wait_for_ever(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.control.server._STOP_GRACE_S", 0.01)
    server = ControlServer(engine, tmp_path / "s")
    await server.start()
    started = asyncio.Event()

    async def endless(info_hashes: object) -> None:
        started.set()
        await asyncio.get_running_loop().create_future()

    engine.announce = endless  # type: ignore[method-assign]
    async with await ControlClient.connect(server.path) as client:
        call = asyncio.create_task(client.call(schema.Announce(torrents=None)))
        await started.wait()
        await server.stop()
        with pytest.raises(EngineUnreachable):
            await call


async def test_what_is_being_closed_when_the_engine_stops_is_no_failure(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.control.server._STOP_GRACE_S", 0.01)
    server = ControlServer(engine, tmp_path / "s")
    await server.start()
    raw = await Raw.connect(server.path)
    closing = asyncio.Event()

    async def endless(writer: asyncio.StreamWriter) -> None:
        closing.set()
        await asyncio.get_running_loop().create_future()

    with monkeypatch.context() as patched:
        patched.setattr(asyncio.StreamWriter, "wait_closed", endless)
        raw.writer.close()
        await closing.wait()
        await server.stop()
    await raw.close()


async def test_unfinished_lines_of_all_clients_are_bounded_together(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a small request is served all the same."""
    monkeypatch.setattr("engine.control.framing.UNFINISHED_LIMIT_BYTES", 1_000_000)
    server = ControlServer(engine, tmp_path / "s")
    await server.start()
    holder, other = await Raw.connect(server.path), await Raw.connect(server.path)
    holder.writer.write(b"x" * 1_060_000)
    await holder.writer.drain()
    while server._unfinished._used_bytes < 1_060_000 - SMALL_LINE_BYTES:
        await asyncio.sleep(0)
    other.writer.write(b"x" * 200_000)
    assert "at the same time" in (await other.answer())["error"]["message"]
    assert await other.reader.read() == b""
    async with await ControlClient.connect(server.path) as client:
        await client.call(schema.Status())
    await holder.close()
    while server._unfinished._used_bytes:
        await asyncio.sleep(0)
    await other.close()
    await server.stop()


async def test_a_client_that_never_ends_its_line_keeps_no_other_from_a_long_one(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.control.framing.UNFINISHED_LIMIT_BYTES", 1_000_000)
    monkeypatch.setattr("engine.control.framing.STALLED_S", 0.0)
    server = ControlServer(engine, tmp_path / "s")
    await server.start()
    silent, other = await Raw.connect(server.path), await Raw.connect(server.path)
    silent.writer.write(b"x" * 1_060_000)
    await silent.writer.drain()
    while server._unfinished._used_bytes < 1_060_000 - SMALL_LINE_BYTES:
        await asyncio.sleep(0)
    request = b'{"jsonrpc":"2.0","id":1,"method":"session.status"}'
    other.writer.write(b" " * 500_000 + request + b"\n")
    assert (await other.answer())["id"] == 1
    assert "nothing more came" in (await silent.answer())["error"]["message"]
    assert await silent.reader.read() == b""
    other.writer.write(request + b"\n")
    assert (await other.answer())["id"] == 1
    for each in (silent, other):
        await each.close()
    while server._unfinished._used_bytes:
        await asyncio.sleep(0)
    await server.stop()


async def test_too_many_clients_are_told_so(server: ControlServer) -> None:
    clients = [await ControlClient.connect(server.path) for _ in range(MAX_CONNECTIONS)]
    with pytest.raises(EngineUnreachable, match=r"^the engine refuses: more than"):
        await ControlClient.connect(server.path)
    await clients.pop().close()
    for client in clients:
        await client.close()


async def test_a_subscriber_sees_what_the_engine_has(
    server: ControlServer, engine: FakeEngine
) -> None:
    async with await ControlClient.connect(server.path) as client:
        view = View(limit=5, sort=schema.Sort.PROGRESS)
        reply = await client.call(Subscribe(view=view, interval_s=0.05))
        window = Window()
        told = 0
        async for note in client.notifications():
            assert note.id == reply.id
            assert isinstance(note, Snapshot) == (told == 0)
            assert window.apply(note)
            assert window.status == engine.status()
            rows = sorted(
                (each.row() for each in engine.torrents.values()),
                key=lambda row: (row.progress, row.name.casefold()),
            )
            assert window.rows == rows[:5]
            told += 1
            if told == 5:
                break
            engine.tick(30)
        await client.call(schema.Unsubscribe(id=reply.id))


async def test_a_slow_client_is_told_less_and_catches_up(
    server: ControlServer, engine: FakeEngine
) -> None:
    def change_all() -> None:
        for torrent in engine.torrents.values():
            torrent.uploaded += 1
            torrent.error = "x" * 20_000
            engine.touch(torrent.info_hash)

    change_all()
    reader, writer = await asyncio.open_unix_connection(server.path, limit=1024)
    writer.write(
        b'{"jsonrpc":"2.0","id":1,"method":"view.subscribe","params":{"interval_s":0.05}}\n'
    )
    quick_notes = 0
    async with await ControlClient.connect(server.path) as quick:
        await quick.call(Subscribe(view=View(limit=0), interval_s=0.05))
        async for _ in quick.notifications():
            quick_notes += 1
            change_all()
            if quick_notes == 12:
                break
    lines, window, told = LineBuffer(1 << 20), Window(), 0
    newest = [torrent.row() for torrent in engine.torrents.values()]
    while not window.rows or set(window.rows) != set(newest):
        for line in lines.feed(await reader.read(1 << 16)):
            incoming = decode_incoming(line)
            if incoming.method is not None:
                note: Snapshot | Delta = (
                    msgspec.json.decode(incoming.params, type=Delta)
                    if told
                    else msgspec.json.decode(incoming.params, type=Snapshot)
                )
                assert window.apply(note)
                told += 1
    assert told < 9 < quick_notes
    writer.close()
    await writer.wait_closed()


async def test_an_answer_to_a_client_that_is_gone_is_dropped() -> None:
    """uvloop's transports refuse to be written to then."""

    class Transport:
        def set_write_buffer_limits(self, high: int) -> None:
            """Nothing is kept."""

    class Gone:
        transport = Transport()

        def is_closing(self) -> bool:
            return True

        def write(self, data: bytes) -> None:
            raise RuntimeError("the handler is closed")

        async def drain(self) -> None:
            raise ConnectionResetError

    reader = asyncio.StreamReader()
    reader.feed_data(b'{"jsonrpc":"2.0","id":1,"method":"session.status"}\n' * 40 + b"x" * 200)
    reader.feed_eof()
    connection = _Connection(FakeEngine(1), reader, Gone(), LineBuffer(150))  # type: ignore[arg-type]
    await connection.run()
