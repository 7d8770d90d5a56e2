"""JSON-RPC 2.0 over a byte stream: one JSON object a line, capped in size, errors with a type.

Invariant: every line that leaves is one object and one newline; every line that arrives becomes a
Call (at the engine) or an Incoming (at a client), or raises BadRequestError with the JSON-RPC code
that answers it. Params are always an object, batches are refused, and no more than the limit is
held.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from engine import errors
from engine.control.schema import Delta, Request, Snapshot
from engine.errors import BadRequestError, ControlError, SeedwrightError

REQUEST_LIMIT_BYTES = 48 * 1024 * 1024
"""Holds the base64 of the largest .torrent there may be."""
UNFINISHED_LIMIT_BYTES = 2 * REQUEST_LIMIT_BYTES
"""Of all clients of an engine together."""
SMALL_LINE_BYTES = 64 * 1024
STALLED_S = 10.0
"""A client that sends a line sends it without such pauses."""
REPLY_LIMIT_BYTES = 256 * 1024 * 1024
"""Holds a list of half a million torrents."""
HELLO_LIMIT_BYTES = 1024 * 1024
"""Until it has said hello, what answers may be anything."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

CallId = int | str | None
NO_ID = msgspec.UNSET
"""What `Call.id` is when the caller wants no answer."""


class Budget:
    """Bytes that the unfinished lines of several buffers may have together; what a small line needs
    does not count, so that one is always taken. A line of which nothing came for STALLED_S gives
    way to one that needs its room."""

    __slots__ = ("_clock", "_grown_at", "_limit_bytes", "_used_bytes")

    def __init__(self, limit_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._used_bytes = 0
        self._grown_at: dict[LineBuffer, float] = {}
        """When each larger line grew; first the one that did not for longest."""

    def change(self, line: LineBuffer, before: int, now: int) -> bool:
        """Count a line that grew or went; False if it may not grow so much, and must go."""
        more = max(0, now - SMALL_LINE_BYTES) - max(0, before - SMALL_LINE_BYTES)
        self._grown_at.pop(line, None)
        while more > 0 and self._used_bytes + more > self._limit_bytes:
            if not self._one_gives_way():
                return False
        self._used_bytes += more
        if now > SMALL_LINE_BYTES:
            self._grown_at[line] = self._clock()
        return True

    def _one_gives_way(self) -> bool:
        line, grown_at = next(iter(self._grown_at.items()), (None, 0.0))
        if line is None or self._clock() - grown_at < STALLED_S:
            return False
        line.close()
        line.given_up()
        return True


class LineBuffer:
    """Cuts a stream into lines; holds the unfinished one. With a `budget` it must be closed."""

    __slots__ = ("_budget", "_pending", "given_up", "limit_bytes")

    def __init__(self, limit_bytes: int, budget: Budget | None = None) -> None:
        self.limit_bytes = limit_bytes
        self.given_up: Callable[[], None] = lambda: None
        """Called when the unfinished line gave way to one of another buffer; the stream is then of
        no more use."""
        self._budget = budget
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that `data` completes, without their newlines; must be exhausted. Blank
        lines are skipped. Raises BadRequestError at a line over the limit, after the lines before
        it; the stream is then of no more use."""
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._check(len(part))
            line = part
            if self._pending:
                line = bytes(self._pending) + part
                self.close()
            if line and not line.isspace():
                yield line
        self._check(len(rest))
        held = len(self._pending)
        if self._budget is not None and not self._budget.change(self, held, held + len(rest)):
            self.close()
            raise malformed(INVALID_REQUEST, "others send too much at the same time: try again")
        self._pending += rest

    def _check(self, more_bytes: int) -> None:
        if len(self._pending) + more_bytes > self.limit_bytes:
            self.close()
            raise malformed(INVALID_REQUEST, f"a line of more than {self.limit_bytes} bytes")

    def close(self) -> None:
        """Forget the unfinished line."""
        if self._budget is not None:
            self._budget.change(self, len(self._pending), 0)
        self._pending.clear()


class Call(msgspec.Struct, frozen=True):
    """A request as it arrives at the engine; with NO_ID it wants no answer."""

    jsonrpc: Literal["2.0"]
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")
    id: CallId | msgspec.UnsetType = NO_ID


class ErrorData(msgspec.Struct, frozen=True):
    type: str = ""
    """Name of the class in engine/errors.py."""


class ErrorBody(msgspec.Struct, frozen=True):
    code: int
    message: str
    data: ErrorData = ErrorData()


class Incoming(msgspec.Struct, frozen=True):
    """A line as it arrives at a client: with `method` a notification, else an answer to `id`."""

    jsonrpc: Literal["2.0"]
    id: CallId = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorBody | None = None


class _Request(msgspec.Struct, frozen=True):
    id: int
    method: str
    params: Request
    jsonrpc: str = "2.0"


class _Result(msgspec.Struct, frozen=True):
    id: CallId
    result: Any
    jsonrpc: str = "2.0"


class _Failure(msgspec.Struct, frozen=True):
    id: CallId
    error: ErrorBody
    jsonrpc: str = "2.0"


class _Notification(msgspec.Struct, frozen=True):
    method: str
    params: Snapshot | Delta
    jsonrpc: str = "2.0"


_encode = msgspec.json.Encoder().encode
_decode_call = msgspec.json.Decoder(Call).decode
_decode_incoming = msgspec.json.Decoder(Incoming).decode


def encode_request(call_id: int, request: Request) -> bytes:
    return _encode(_Request(call_id, request.METHOD, request)) + b"\n"


def encode_result(call_id: CallId, result: object) -> bytes:
    return _encode(_Result(call_id, result)) + b"\n"


def encode_error(call_id: CallId, error: Exception) -> bytes:
    """Encode any error; what is not a SeedwrightError travels as an internal one, by its name."""
    if isinstance(error, SeedwrightError):
        code = error.code if isinstance(error, ControlError) else ControlError.code
        body = ErrorBody(code, str(error), ErrorData(type(error).__name__))
    else:
        text = f"internal error: {type(error).__name__}; see the engine's log"
        body = ErrorBody(INTERNAL_ERROR, text, ErrorData(ControlError.__name__))
    return _encode(_Failure(call_id, body)) + b"\n"


def encode_notification(note: Snapshot | Delta) -> bytes:
    return _encode(_Notification(note.METHOD, note)) + b"\n"


def decode_call(line: bytes) -> Call:
    """Read a request. Raises BadRequestError: no JSON, a batch, no JSON-RPC 2.0 request."""
    try:
        return _decode_call(line)
    except msgspec.ValidationError as error:
        if line.lstrip().startswith(b"["):
            raise malformed(INVALID_REQUEST, "batches are not served") from error
        raise malformed(INVALID_REQUEST, f"not a JSON-RPC 2.0 request: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(PARSE_ERROR, f"not JSON: {error}") from error


def decode_incoming(line: bytes) -> Incoming:
    """Read an answer or a notification. Raises BadRequestError."""
    try:
        return _decode_incoming(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(PARSE_ERROR, f"not a JSON-RPC 2.0 answer: {error}") from error


def malformed(code: int, text: str) -> BadRequestError:
    """Make a BadRequestError that travels as `code`."""
    error = BadRequestError(text)
    error.code = code
    return error


def raised(body: ErrorBody) -> SeedwrightError:
    """Make the error that the engine raised: of the same class, or a ControlError if unknown."""
    error = _ERROR_TYPES.get(body.data.type, ControlError)(body.message)
    if isinstance(error, ControlError):
        error.code = body.code
    return error


_ERROR_TYPES: dict[str, type[SeedwrightError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, SeedwrightError)
}
