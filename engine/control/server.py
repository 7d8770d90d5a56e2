"""The control socket: accepts front ends, serves their requests, tells their subscriptions.

Invariant: what clients can make the engine hold is bounded: one line each under the size cap, and
all of them under one budget, a few requests under way, one notification beyond what a socket takes.
A client that breaks the rules or stops reading costs its own connection. Every task is owned and
ends with `stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

import msgspec

from engine.control import framing
from engine.control.dispatch import decode_request, serve
from engine.control.framing import Call
from engine.control.port import EnginePort
from engine.control.schema import Subscribe, Unsubscribe
from engine.control.socket_path import Claim
from engine.control.subscriptions import Subscriptions
from engine.errors import BadRequestError, SeedwrightError

MAX_CONNECTIONS = 64
_REQUESTS_UNDER_WAY = 32
"""Of one connection; the next line waits."""
_READ_BYTES = 256 * 1024
_WRITE_HIGH_BYTES = 256 * 1024
"""A connection with more than this unsent is told nothing new."""
_STOP_GRACE_S = 2.0
_CLOSE_GRACE_S = 1.0

_logger = logging.getLogger(__name__)


class ControlServer:
    """Serves one engine at one path. `start`, then `stop`."""

    def __init__(
        self,
        port: EnginePort,
        path: Path,
        *,
        claim: Claim | None = None,
        request_limit_bytes: int = framing.REQUEST_LIMIT_BYTES,
    ) -> None:
        """`claim`, taken of `path` before, is the caller's to release, after `stop`."""
        self.path = path
        self._held_claim = claim
        self._port = port
        self._request_limit_bytes = request_limit_bytes
        self._claim: Claim | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._unfinished = framing.Budget(framing.UNFINISHED_LIMIT_BYTES)

    async def start(self) -> None:
        """Begin to serve; the socket has mode 0600, a folder made for it 0700. Raises
        ControlError, also when an engine already runs at the path."""
        claim = self._held_claim or Claim(self.path)
        try:
            self._server = await asyncio.start_unix_server(self._serve, sock=claim.bind())
        except BaseException:
            if claim is not self._held_claim:
                claim.release()
            raise
        self._claim = claim

    async def stop(self) -> None:
        """Stop accepting, finish what is under way within two seconds, close every connection."""
        if self._server is None or self._claim is None:
            return
        self._server.close()
        for connection in self._connections.values():
            connection.stop()
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=_STOP_GRACE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self._server.wait_closed()
        if self._claim is not self._held_claim:
            self._claim.release()
        self._server = self._claim = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(self._connections) >= MAX_CONNECTIONS:
                error = BadRequestError(f"more than {MAX_CONNECTIONS} clients")
                writer.write(framing.encode_error(None, error))
                return
            lines = framing.LineBuffer(self._request_limit_bytes, self._unfinished)
            connection = _Connection(self._port, reader, writer, lines)
            self._connections[task] = connection
            try:
                await connection.run()
            finally:
                lines.close()
        except asyncio.CancelledError:
            # Only `stop` cancels, and asyncio.streams reports a cancelled connection as a failure.
            return
        except Exception:
            _logger.exception("a control connection failed")
        finally:
            await _close(writer)
            self._connections.pop(task, None)


class _Connection:
    def __init__(
        self,
        port: EnginePort,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        lines: framing.LineBuffer,
    ) -> None:
        self._port = port
        self._reader = reader
        self._writer = writer
        self._lines = lines
        lines.given_up = self._give_up
        self._subscriptions = Subscriptions(port)
        self._resubscribed = asyncio.Event()
        self._slots = asyncio.Semaphore(_REQUESTS_UNDER_WAY)
        self._reading: asyncio.Task[None] | None = None
        self._is_stopped = False
        writer.transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)

    async def run(self) -> None:
        """Serve until the client ends its side; requests under way are finished."""
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self._tell())
            self._reading = tasks.create_task(self._read(tasks))
            if self._is_stopped:
                self._reading.cancel()
            await asyncio.wait([self._reading])
            telling.cancel()

    def stop(self) -> None:
        """Read no more; `run` ends once the requests under way are answered."""
        self._is_stopped = True
        if self._reading is not None:
            self._reading.cancel()

    def _give_up(self) -> None:
        """The line that the client has begun gave way to another."""
        text = f"nothing more came of a line for {framing.STALLED_S:g} s, and others need its room"
        self._write(framing.encode_error(None, framing.malformed(framing.INVALID_REQUEST, text)))
        self.stop()

    async def _read(self, tasks: asyncio.TaskGroup) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(_READ_BYTES):
                try:
                    for line in self._lines.feed(data):
                        await self._slots.acquire()
                        tasks.create_task(self._answer(line))
                except BadRequestError as error:  # the line's end is unknown: no way to go on
                    self._write(framing.encode_error(None, error))
                    return

    async def _answer(self, line: bytes) -> None:
        call: Call | None = None
        try:
            try:
                call = framing.decode_call(line)
                request = decode_request(call)
                result = await serve(self._port, self._subscriptions, request)
                answer = framing.encode_result(_answer_id(call), result)
                if isinstance(request, Subscribe | Unsubscribe):
                    self._resubscribed.set()
            except SeedwrightError as error:
                answer = framing.encode_error(_answer_id(call), error)
            except Exception as error:
                _logger.exception("serving %s failed", call.method if call else "a line")
                answer = framing.encode_error(_answer_id(call), error)
            if call is None or call.id is not framing.NO_ID:
                self._write(answer)
                with contextlib.suppress(ConnectionError):
                    await self._writer.drain()
        finally:
            self._slots.release()

    def _write(self, data: bytes) -> None:
        # uvloop raises RuntimeError where asyncio drops what is written to a client that is gone.
        if not self._writer.is_closing():
            self._writer.write(data)

    async def _tell(self) -> None:
        """Tell the subscriptions what is due, never faster than the client reads."""
        loop = asyncio.get_running_loop()
        while not self._writer.is_closing():
            due_at = self._subscriptions.next_due_at()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due_at):
                    await self._resubscribed.wait()
            self._resubscribed.clear()
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()
                for note in self._subscriptions.due(loop.time()):
                    self._write(framing.encode_notification(note))
                    await self._writer.drain()


def _answer_id(call: Call | None) -> framing.CallId:
    return None if call is None or isinstance(call.id, msgspec.UnsetType) else call.id


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(_CLOSE_GRACE_S):
            await writer.wait_closed()
    except (OSError, TimeoutError, asyncio.CancelledError):
        # Only `stop` cancels; asyncio.streams would report it as a failure.
        writer.transport.abort()
