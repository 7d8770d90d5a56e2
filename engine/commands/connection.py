"""Asking a running engine: connect, one request or several, typed replies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import rich_click as click
from click.shell_completion import CompletionItem

from engine.commands.options import find_engine
from engine.control.client import CALL_TIMEOUT_S, ControlClient
from engine.control.schema import ListTorrents, Request
from engine.engine_address import EngineAddress, Program
from engine.errors import BadRequestError, EngineUnreachable, SeedwrightError

CLIENT: Final = "seedwright command line"
_LOOK_S: Final = 2.0


@contextlib.asynccontextmanager
async def engine_at(engine: str | EngineAddress | None) -> AsyncIterator[ControlClient]:
    """Connect to an engine, by default that of the settings. Raises InputError when none is called
    so, EngineUnreachable, with what to do about it."""
    address = await find_engine(engine)
    try:
        client = await ControlClient.connect(address, client=CLIENT)
    except EngineUnreachable as error:
        if isinstance(address, Program):
            raise EngineUnreachable(f"{address}: {error}") from error
        if isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):
            raise EngineUnreachable(f"{error}; start one with `seedwright daemon`") from error
        raise
    async with client:
        yield client


async def does_answer(address: EngineAddress) -> bool:
    """True if an engine answers there at once; a quick look for who only has a word to add."""
    try:
        client = await ControlClient.connect(address, client=CLIENT, timeout_s=_LOOK_S)
    except BadRequestError:  # of another version
        return True
    except SeedwrightError:
        return False
    await client.close()
    return True


def ask(
    engine: str | EngineAddress | None,
    request: Request,
    *,
    timeout_s: float | None = CALL_TIMEOUT_S,
) -> Any:
    """Send one request and return its reply. Raises what the engine raised."""

    async def main() -> Any:
        async with engine_at(engine) as client:
            return await client.call(request, timeout_s=timeout_s)

    return asyncio.run(main())


def complete_torrents(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete names and info-hashes of the engine's torrents; nothing when none answers."""
    try:
        rows = ask(ctx.params.get("engine"), ListTorrents(), timeout_s=1.0)
    except SeedwrightError:
        return []
    by_name = [
        CompletionItem(row.name, help=row.info_hash[:8])
        for row in rows
        if row.name.startswith(incomplete)
    ]
    return by_name or [
        CompletionItem(row.info_hash, help=row.name)
        for row in rows
        if row.info_hash.startswith(incomplete)
    ]
