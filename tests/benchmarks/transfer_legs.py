"""The legs that move payload: down, up, among their own kind, in swarms, in all sizes of pieces.

MB/s is counted from the first block of payload until the last leecher has verified everything, so
that a slow start is not mixed into it: `total` has that. Exact clients tell the first block
themselves; of the others a libtorrent or seedwright seeder knows when it sent the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path

from engine.core.compact import Endpoint
from tests.benchmarks.bench import Bench, Leg, Sizes
from tests.benchmarks.child import BenchmarkError
from tests.benchmarks.clients import ENCRYPTING, Client, Learns, LibtorrentUtp, Seedwright
from tests.benchmarks.figures import REFERENCE
from tests.benchmarks.payloads import GIB, KIB, MIB, SMALL_FILE_BYTES, Payload
from tests.benchmarks.scripted_peers import ReadyPeer

_SETTLE_S = 0.3
_TAIL_S = 0.2
"""What a client still does when it has said that it is done counts as its CPU time."""
_LOOKS = 10
_LOOK_AGAIN_S = 0.3
_DIAL_AGAIN_S = 0.25
_NOT_TOLD = "takes no peer of 127/8 from a tracker, and nobody of its kind dials it"


class Subject(StrEnum):
    """Whose CPU and memory are the figures."""

    LEECHERS = "leechers"
    SEEDERS = "seeders"
    ALL = "all"


async def transfer(
    bench: Bench,
    payload: Payload,
    *,
    seeders: Sequence[str],
    leechers: Sequence[str],
    subject: Subject,
    target: Path,
    check: tuple[str, str],
    kinds: Mapping[str, Callable[[], Client]] | None = None,
) -> dict[str, float]:
    """Move a payload once, from all seeders to all leechers, into a folder under `target`; `kinds`
    are made instead of the bench's own."""
    kinds = kinds or bench.kinds
    patience = bench.patience(payload.size * len(leechers))
    async with contextlib.AsyncExitStack() as stack:
        folder = await stack.enter_async_context(bench.scratch())
        save_to = await stack.enter_async_context(bench.scratch(target))

        async def started(names: Sequence[str], role: str) -> list[Client]:
            return [
                await stack.enter_async_context(
                    bench.running(kinds[name](), folder / f"{role}{number}")
                )
                for number, name in enumerate(names)
            ]

        await asyncio.to_thread(bench.reserve.hold, payload.size * len(leechers))
        stack.callback(bench.reserve.release)
        seeds = await started(seeders, "seed")
        for seed in seeds:
            torrent = bench.torrent_for(seed, payload.torrent, folder)
            await seed.add(torrent, payload.folder)
        for seed in seeds:
            await seed.seeding(1, patience)
        leeches = await started(leechers, "leech")
        bench.tracker.name([each.endpoint for each in (*seeds, *leeches)])
        await asyncio.sleep(_SETTLE_S)
        groups = {Subject.LEECHERS: leeches, Subject.SEEDERS: seeds, Subject.ALL: leeches + seeds}
        rest = [each for each in leeches + seeds if each not in groups[subject]]
        async with (
            bench.measured(groups[subject], rest, files_below=save_to) as watch,
            bench.reserve.handed_out(),
        ):
            began = time.monotonic()
            peers = [seed.endpoint for seed in seeds]
            for number, leech in enumerate(leeches):
                # Not every client makes more than one missing folder.
                (save_to / str(number)).mkdir()
                told = peers if leech.learns is Learns.TOLD else []
                torrent = bench.torrent_for(leech, payload.torrent, folder)
                await leech.add(torrent, save_to / str(number), peers=told)
                peers = [*peers, leech.endpoint]
            async with _dialled(seeds, leeches, payload):
                ends = await asyncio.gather(*(leech.seeding(1, patience) for leech in leeches))
            await asyncio.sleep(_TAIL_S)
        if check not in bench.verified:
            bench.verified.add(check)
            for number in range(len(leeches)):
                if not await _is_copied(payload, save_to / str(number)):
                    raise BenchmarkError(f"{leechers[number]} made no true copy")
        moved = payload.size * len(leeches)
        first = _first_block_at(seeds, leeches) or began
        return {
            "speed": moved / 1e6 / max(1e-3, max(ends) - first),
            "total": max(ends) - began,
            "cpu": watch.cpu_s / (moved / GIB),
            "rss": watch.peak_mib,
            "anonymous": watch.anonymous_mib,
            "open_files": float(watch.open_files),
        }


async def _is_copied(payload: Payload, folder: Path) -> bool:
    """Look again for a while: libtorrent writes for a moment what it has verified in memory."""
    for _ in range(_LOOKS):
        if await asyncio.to_thread(payload.is_copy, folder):
            return True
        await asyncio.sleep(_LOOK_AGAIN_S)
    return False


def _first_block_at(seeds: Sequence[Client], leeches: Sequence[Client]) -> float | None:
    told = [each.first_block_at for each in leeches if each.is_exact]
    if not all(told) or not told:
        told = [seed.first_upload_at for seed in seeds]
    if not any(told):
        told = [each.first_block_at for each in leeches]
    return min((at for at in told if at is not None), default=None)


@contextlib.asynccontextmanager
async def _dialled(
    seeds: Sequence[Client], leeches: Sequence[Client], payload: Payload
) -> AsyncIterator[None]:
    """Have the seeds dial the leechers that learn of nobody, again and again until one is heard."""
    waiting = [each for each in leeches if each.learns is Learns.BY_BEING_DIALLED]

    async def dial() -> None:
        while waiting:
            for seed in seeds:
                for leech in waiting:
                    await seed.connect(payload.info_hash, leech.endpoint)
            await asyncio.sleep(_DIAL_AGAIN_S)

    task = asyncio.create_task(dial())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


# ── the legs ────────────────────────────────────────────────────────────────────────────────────

_FIGURES = ("speed", "cpu", "rss", "anonymous", "total")
MakePayload = Callable[[Bench], Payload]


def _one_file(size: Callable[[Sizes], int], piece_length: int) -> MakePayload:
    return lambda bench: bench.payloads.one_file(size(bench.sizes), piece_length)


def _usual(sizes: Sizes) -> int:
    return sizes.payload


def _large(sizes: Sizes) -> int:
    return sizes.large


def size_text(size: int) -> str:
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} B"


def _download(
    name: str,
    title: Callable[[Sizes], str],
    payload: MakePayload,
    *,
    figures: Sequence[str] = _FIGURES,
    to_disk: bool = False,
    once: bool = False,
    encrypted: bool = False,
    room: Callable[[Sizes], int] = lambda sizes: 3 * sizes.payload,
) -> Leg:
    async def measure(bench: Bench, client: str) -> dict[str, float]:
        return await transfer(
            bench,
            await asyncio.to_thread(payload, bench),
            seeders=[REFERENCE],
            leechers=[client],
            subject=Subject.LEECHERS,
            target=bench.disk if to_disk else bench.memory,
            check=(name, client),
            kinds=_encrypting(encrypted),
        )

    return Leg(name, title, figures, measure, _encrypting_names(encrypted), once=once, room=room)


def _encrypting(encrypted: bool) -> Mapping[str, Callable[[], Client]] | None:
    return ENCRYPTING if encrypted else None


def _encrypting_names(encrypted: bool) -> Sequence[str] | None:
    return tuple(ENCRYPTING) if encrypted else None


def _seed(
    name: str,
    title: Callable[[Sizes], str],
    *,
    from_disk: bool = False,
    encrypted: bool = False,
) -> Leg:
    async def measure(bench: Bench, client: str) -> dict[str, float]:
        payload = await asyncio.to_thread(bench.payloads.one_file, bench.sizes.payload, MIB)
        if from_disk:
            payload = await asyncio.to_thread(
                bench.payloads.copy_to, payload, bench.disk / "payload"
            )
        return await transfer(
            bench,
            payload,
            seeders=[client],
            leechers=[REFERENCE],
            subject=Subject.SEEDERS,
            target=bench.memory,
            check=(name, client),
            kinds=_encrypting(encrypted),
        )

    return Leg(name, title, _FIGURES, measure, _encrypting_names(encrypted))


def _same_kind(
    name: str,
    title: Callable[[Sizes], str],
    seeders: int,
    leechers: int,
    *,
    encrypted: bool = False,
) -> Leg:
    async def measure(bench: Bench, client: str) -> dict[str, float]:
        return await transfer(
            bench,
            await asyncio.to_thread(bench.payloads.one_file, bench.sizes.payload, MIB),
            seeders=[client] * seeders,
            leechers=[client] * leechers,
            subject=Subject.ALL,
            target=bench.memory,
            check=(name, client),
            kinds=_encrypting(encrypted),
        )

    unable = {"transmission": _NOT_TOLD}
    if seeders + leechers > 2:
        unable["rtorrent"] = "keeps one peer of each address, and here all have the same"
    return Leg(
        name,
        title,
        ("speed", "cpu", "total"),
        measure,
        _encrypting_names(encrypted),
        unable=unable,
        room=lambda sizes: (leechers + 2) * sizes.payload,
    )


_UTP: Mapping[str, Callable[[], Client]] = {
    Seedwright.name: partial(Seedwright, transports="utp"),
    LibtorrentUtp.name: LibtorrentUtp,
}


async def _over_utp(bench: Bench, client: str) -> dict[str, float]:
    return await transfer(
        bench,
        await asyncio.to_thread(bench.payloads.one_file, bench.sizes.payload, MIB),
        seeders=[client],
        leechers=[client],
        subject=Subject.ALL,
        target=bench.memory,
        check=("utp", client),
        kinds=_UTP,
    )


def _with_pieces(name: str, piece_length: int) -> Leg:
    return _download(
        f"pieces-{name}",
        lambda s: f"download {size_text(s.payload)} in pieces of {size_text(piece_length)}",
        _one_file(_usual, piece_length),
    )


async def _first_byte(bench: Bench, client: str) -> dict[str, float]:
    payload = await asyncio.to_thread(bench.payloads.one_file, 4 * MIB, 256 * KIB)
    ready = ReadyPeer(payload)
    await ready.start()
    try:
        async with (
            bench.scratch() as folder,
            bench.running(bench.kinds[client](), folder / "client") as leech,
        ):
            bench.tracker.name([ready.endpoint])
            torrent = bench.torrent_for(leech, payload.torrent, folder)
            await asyncio.sleep(1.0)
            began = time.monotonic()
            told: list[Endpoint] = [ready.endpoint] if leech.learns is Learns.TOLD else []
            await leech.add(torrent, folder / "copy", peers=told)
            async with asyncio.timeout(bench.patience(0)):
                while not ready.first_sent_at.done():
                    if leech.learns is Learns.BY_BEING_DIALLED:
                        await ready.dial(leech.endpoint)
                    await asyncio.wait([ready.first_sent_at], timeout=_DIAL_AGAIN_S)
            await leech.seeding(1, bench.patience(payload.size))
            return {"first_byte": ready.first_sent_at.result() - began}
    finally:
        await ready.stop()


TRANSFER_LEGS: tuple[Leg, ...] = (
    _download(
        "download",
        lambda s: f"{size_text(s.payload)} in pieces of 1 MiB, from a libtorrent seeder, tmpfs",
        _one_file(_usual, MIB),
    ),
    _download(
        "download-large",
        lambda s: f"{size_text(s.large)} in pieces of 1 MiB, from a libtorrent seeder, tmpfs",
        _one_file(_large, MIB),
        once=True,
        room=lambda s: 3 * s.large,
    ),
    _download(
        "download-disk",
        lambda s: f"{size_text(s.payload)} in pieces of 1 MiB, from a libtorrent seeder, to disk",
        _one_file(_usual, MIB),
        to_disk=True,
    ),
    _seed(
        "seed",
        lambda s: f"{size_text(s.payload)} in pieces of 1 MiB, to a libtorrent leecher, tmpfs",
    ),
    _seed(
        "seed-disk",
        lambda s: f"{size_text(s.payload)} in pieces of 1 MiB, to a libtorrent leecher, from disk",
        from_disk=True,
    ),
    _same_kind("same", lambda s: f"{size_text(s.payload)} from its own kind, CPU of both", 1, 1),
    Leg(
        "utp",
        lambda s: f"{size_text(s.payload)} from its own kind over uTP alone, CPU of both",
        ("speed", "cpu", "total"),
        _over_utp,
        clients=tuple(_UTP),
    ),
    _download(
        "files",
        lambda s: f"{s.files} files of {size_text(SMALL_FILE_BYTES)}, from a libtorrent seeder",
        lambda bench: bench.payloads.many_files(bench.sizes.files, MIB),
        figures=("speed", "cpu", "rss", "open_files", "total"),
        room=lambda s: 3 * s.files * SMALL_FILE_BYTES,
    ),
    _same_kind(
        "one-to-four", lambda s: f"{size_text(s.payload)} from 1 to 4 of a kind, CPU of all", 1, 4
    ),
    _same_kind(
        "four-to-one", lambda s: f"{size_text(s.payload)} from 4 to 1 of a kind, CPU of all", 4, 1
    ),
    _same_kind(
        "rc4",
        lambda s: f"{size_text(s.payload)} from its own kind, all of it in RC4, CPU of both",
        1,
        1,
        encrypted=True,
    ),
    _download(
        "rc4-download",
        lambda s: f"{size_text(s.payload)} from a libtorrent seeder, all of it in RC4, tmpfs",
        _one_file(_usual, MIB),
        encrypted=True,
    ),
    _seed(
        "rc4-seed",
        lambda s: f"{size_text(s.payload)} to a libtorrent leecher, all of it in RC4, tmpfs",
        encrypted=True,
    ),
    _with_pieces("16k", 16 * KIB),
    _with_pieces("256k", 256 * KIB),
    _with_pieces("4m", 4 * MIB),
    _with_pieces("16m", 16 * MIB),
    Leg(
        "first-byte",
        lambda _: "adding a torrent → first payload byte, a ready peer is there",
        ("first_byte",),
        _first_byte,
        room=lambda _: 16 * MIB,
    ),
)
