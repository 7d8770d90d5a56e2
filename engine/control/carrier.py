"""What carries a connection to an engine: a Unix socket, or a program's standard input and output.

Invariant: every failure to open one is an EngineUnreachable in the words of who failed, and a
program that was started has ended when `close` returns. A program never has the terminal: it cannot
ask for a password and wait for ever. It must not import the engine beyond the errors.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable
from typing import Final, Protocol, cast

from engine.control.socket_path import unreachable
from engine.engine_address import EngineAddress, Program
from engine.errors import AccessRefused, EngineUnreachable

GREETING: Final = b'{"jsonrpc":"2.0","method":"connected"}\n'
"""What a program says before it forwards the engine's own bytes: a notification, of which a client
that does not look for it takes no notice."""
SOCKET_TIMEOUT_S: Final = 5.0
PROGRAM_TIMEOUT_S: Final = 30.0
"""It may have to reach a far host, prove who we are, and start an interpreter there."""
_NOISE_BYTES: Final = 64 * 1024
"""So much the start-up files of a far shell may say before the greeting."""
_WORDS_BYTES: Final = 4096
_GRACE_S: Final = 1.0
_REFUSALS: Final = (
    "Permission denied",
    "Host key verification failed",
    "Too many authentication failures",
)
_SSH_FAILED: Final = 255
_NOT_FOUND: Final = {126, 127}


class Carrier(Protocol):
    """An open connection. `close` it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def why_ended(self) -> str:
        """Once the reader is at its end: why, as far as somebody said; else empty."""

    async def close(self) -> None: ...


async def open_carrier(address: EngineAddress, timeout_s: float | None = None) -> Carrier:
    """Open a connection to the engine at an address. Raises EngineUnreachable; AccessRefused where
    it is of no use to try again."""
    if isinstance(address, Program):
        return await _ProgramCarrier.start(address, timeout_s or PROGRAM_TIMEOUT_S)
    try:
        async with asyncio.timeout(timeout_s or SOCKET_TIMEOUT_S):
            return _SocketCarrier(*await asyncio.open_unix_connection(address))
    except OSError as error:  # a timeout is one
        raise unreachable(address, error) from error


class _SocketCarrier:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def why_ended(self) -> str:
        return ""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class _ProgramCarrier:
    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.reader = cast(asyncio.StreamReader, process.stdout)
        self.writer = cast(asyncio.StreamWriter, process.stdin)
        self._program = program
        self._process = process
        self._said = bytearray()
        self._listening = asyncio.create_task(self._listen(), name="program-errors")

    @classmethod
    async def start(cls, program: Program, timeout_s: float) -> _ProgramCarrier:
        starting = asyncio.create_task(
            asyncio.create_subprocess_exec(
                *program.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, "SSH_ASKPASS_REQUIRE": "never"},
            )
        )
        try:
            process = await asyncio.shield(starting)  # cancelled in the middle it would leave pipes
        except asyncio.CancelledError:
            starting.add_done_callback(_give_up)
            raise
        except FileNotFoundError as error:
            raise EngineUnreachable(f"{program.argv[0]} is not installed here") from error
        except OSError as error:
            text = f"cannot start {program.argv[0]}: {error.strerror or error}"
            raise EngineUnreachable(text) from error
        self = cls(program, process)
        try:
            async with asyncio.timeout(timeout_s):
                if not await self._is_greeted():
                    await self._has_ended()
                    raise explained(program, process.returncode, self._words())
        except TimeoutError as error:
            await self.close()
            text = self._words() or "nothing was said"
            raise EngineUnreachable(f"no answer within {timeout_s:g} s: {text}") from error
        except BaseException:
            await self.close()
            raise
        return self

    async def _is_greeted(self) -> bool:
        """Step over what a far shell says of its own; False when no engine is to come."""
        noise_bytes = 0
        with contextlib.suppress(ValueError):  # a line beyond the limit of the reader
            while line := await self.reader.readline():
                if line.endswith(GREETING):
                    return True
                noise_bytes += len(line)
                if noise_bytes > _NOISE_BYTES:
                    break
        return False

    async def why_ended(self) -> str:
        await self._has_ended()
        code = self._process.returncode
        return "" if code == 0 else str(explained(self._program, code, self._words()))

    async def close(self) -> None:
        self.writer.close()
        try:
            for number in (None, signal.SIGTERM, signal.SIGKILL):
                if number is not None:
                    _signal(self._process, number)
                if await _ends(self._drain()) and await _ends(self._process.wait()):
                    break
        finally:
            # Who ends the loop cancels us here, too; and something that the program left behind, as
            # ssh its ControlMaster, may hold the other end of a pipe for hours.
            if self._process.returncode is None:
                _signal(self._process, signal.SIGKILL)
            _close_pipes(self._process)
            self._listening.cancel()
        await asyncio.wait([self._listening])

    async def _drain(self) -> None:
        """Read what is left: a program whose output nobody reads does not end."""
        while await self.reader.read(_NOISE_BYTES):
            pass

    async def _listen(self) -> None:
        errors = cast(asyncio.StreamReader, self._process.stderr)
        while data := await errors.read(_WORDS_BYTES):
            self._said += data
            del self._said[:-_WORDS_BYTES]

    async def _has_ended(self) -> None:
        """Wait a moment for the end, and for the last words."""
        if await _ends(self._process.wait()):
            await _ends(asyncio.wait([self._listening]))

    def _words(self) -> str:
        return self._said.decode(errors="replace")


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To the program and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


async def _ends(ending: Awaitable[object]) -> bool:
    """Await for a moment; False when that was too short."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            await ending
            return True
    return False


def _close_pipes(process: asyncio.subprocess.Process) -> None:
    """A Process has no `close`: its pipes would outlive the loop."""
    process._transport.close()  # type: ignore[attr-defined]


def _give_up(starting: asyncio.Task[asyncio.subprocess.Process]) -> None:
    if not starting.cancelled() and not starting.exception():
        _signal(starting.result(), signal.SIGKILL)
        _close_pipes(starting.result())


def explained(program: Program, code: int | None, said: str) -> EngineUnreachable:
    """What it means that a program ended with a code (None: it did not) and these last words."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1].removeprefix("seedwright: ") if lines else ""
    if program.host and code == _SSH_FAILED:
        text = f"ssh: {last.removeprefix('ssh: ').rstrip('.')}"
        if any(words in said for words in _REFUSALS):
            return AccessRefused(f"{text}; what does `ssh {program.host}` say?")
        return EngineUnreachable(text)
    if program.host and code in _NOT_FOUND:
        return EngineUnreachable(f"there is no seedwright on the PATH of {program.host}")
    if "No such command" in said:
        return EngineUnreachable("the seedwright there is too old to be reached from elsewhere")
    ended = "said nothing" if code is None else f"ended with code {code}"
    return EngineUnreachable(last or f"{program.argv[0]} {ended}")
