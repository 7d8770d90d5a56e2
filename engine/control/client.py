"""The front ends' side of the control socket: typed requests out, typed replies and notes back.

Invariant: every call ends, with its reply, with the error that the engine raised, or with
EngineUnreachable; a reader of notifications that falls behind loses the oldest ones (it sees a gap
in their numbers) and never holds up a reply. What carries its bytes is carrier.py's. It must not
import the engine beyond schema, framing, carrier and errors.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from functools import cache
from types import TracebackType
from typing import Any, Self

import msgspec

from engine.control import framing
from engine.control.carrier import SOCKET_TIMEOUT_S, Carrier, open_carrier
from engine.control.schema import NOTIFICATIONS, Delta, Hello, Request, Snapshot
from engine.engine_address import EngineAddress
from engine.errors import BadRequestError, ControlError, EngineUnreachable

CALL_TIMEOUT_S = 60.0
_READ_BYTES = 256 * 1024
_KEPT_NOTES = 256


class ControlClient:
    """One connection to an engine. Make it with `connect`; close it, or use `async with`."""

    def __init__(self, carrier: Carrier) -> None:
        self.hello: Hello.Reply
        """Who answers; set by `connect`."""
        self._carrier = carrier
        self._writer = carrier.writer
        self._last_id = 0
        self._waiting: dict[int, asyncio.Future[framing.Incoming | None]] = {}
        self._notes: deque[Snapshot | Delta] = deque(maxlen=_KEPT_NOTES)
        self._news = asyncio.Event()
        self._ended = ""
        """Why the connection is over; empty while it is not."""
        self._is_closing = False
        self._reading = asyncio.create_task(self._read(carrier.reader), name="control-client")

    @classmethod
    async def connect(
        cls, address: EngineAddress, *, client: str = "", timeout_s: float | None = None
    ) -> Self:
        """Connect to the engine at an address and say hello as `client`. Raises EngineUnreachable
        when nothing answers there, BadRequestError when engine and client speak different
        versions."""
        self = cls(await open_carrier(address, timeout_s))
        try:
            hello = Hello(client=client)
            self.hello = await self.call(hello, timeout_s=timeout_s or SOCKET_TIMEOUT_S)
        except BaseException:
            await self.close()
            raise
        return self

    @property
    def is_closed(self) -> bool:
        return bool(self._ended)

    async def call(self, request: Request, *, timeout_s: float | None = CALL_TIMEOUT_S) -> Any:
        """Send a request and return its typed reply (`request.reply`). Raises what the engine
        raised, or EngineUnreachable when the connection ends or `timeout_s` passes first (the
        engine may then still do it)."""
        if self._ended:
            raise EngineUnreachable(self._ended)
        self._last_id = call_id = self._last_id + 1
        answer: asyncio.Future[framing.Incoming | None] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = answer
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(framing.encode_request(call_id, request))
                with contextlib.suppress(ConnectionError):  # the reading task says it better
                    await self._writer.drain()
                incoming = await answer
        except TimeoutError as error:
            text = f"the engine did not answer {request.METHOD} within {timeout_s:g} s"
            raise EngineUnreachable(text) from error
        finally:
            del self._waiting[call_id]
        if incoming is None:
            raise EngineUnreachable(self._ended)
        if incoming.error is not None:
            raise framing.raised(incoming.error)
        try:
            return _decoder(request.reply).decode(incoming.result)
        except msgspec.DecodeError as error:
            raise ControlError(f"the engine's reply to {request.METHOD}: {error}") from error

    async def notifications(self) -> AsyncIterator[Snapshot | Delta]:
        """Yield what the subscriptions of this connection are told, for one reader. Ends after
        `close`; raises EngineUnreachable when the engine goes away."""
        while True:
            while self._notes:
                yield self._notes.popleft()
            if self._is_closing:
                return
            if self._ended:
                raise EngineUnreachable(self._ended)
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        """Close the connection; calls under way end with EngineUnreachable."""
        self._is_closing = True
        self._reading.cancel()
        try:
            await asyncio.wait([self._reading])
        finally:
            await self._carrier.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        lines = framing.LineBuffer(framing.HELLO_LIMIT_BYTES)
        ended = "the connection to the engine is closed"
        try:
            while data := await reader.read(_READ_BYTES):
                for line in lines.feed(data):
                    self._take(framing.decode_incoming(line))
                    lines.limit_bytes = framing.REPLY_LIMIT_BYTES
            ended = await self._carrier.why_ended() or "the engine closed the connection"
        except OSError as error:
            ended = f"lost the engine: {error.strerror or error}"
        except EngineUnreachable as error:
            ended = str(error)
        except BadRequestError as error:
            ended = f"what answers is no engine: {error}"
        finally:
            self._ended = ended
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_result(None)
            self._news.set()

    def _take(self, incoming: framing.Incoming) -> None:
        if incoming.method is not None:
            kind = _NOTES.get(incoming.method)
            if kind is not None:  # a newer engine may say more than we know
                self._notes.append(_decode_note(kind, incoming.params))
                self._news.set()
        elif isinstance(incoming.id, int):
            answer = self._waiting.get(incoming.id)
            if answer is not None and not answer.done():
                answer.set_result(incoming)
        elif incoming.error is not None:
            raise EngineUnreachable(f"the engine refuses: {incoming.error.message}")


_NOTES = {kind.METHOD: kind for kind in NOTIFICATIONS}


def _decode_note(kind: type[Snapshot] | type[Delta], params: msgspec.Raw) -> Snapshot | Delta:
    try:
        note: Snapshot | Delta = _decoder(kind).decode(params)
    except msgspec.DecodeError as error:
        raise framing.malformed(framing.PARSE_ERROR, f"{kind.METHOD}: {error}") from error
    return note


@cache
def _decoder(reply: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(reply)
