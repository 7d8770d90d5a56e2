"""Torrents and their rows: what was kept comes back, and damage costs a check, not a torrent."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.bitfield import Bitfield
from engine.core.file_wishes import FileWishes
from engine.core.geometry import Geometry
from engine.errors import SeedwrightError
from engine.session.persistence import from_row, to_row
from engine.session.state_db import StoredTorrent
from engine.storage.file_stamps import FileStamp, FileStamps
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import running
from tests.session.test_state_db import row

_INT64 = (1 << 63) - 1
COUNTS = st.integers(0, _INT64)
TIMES = st.floats(0, 1e11)
STAMPS = st.lists(
    st.none() | st.builds(FileStamp, COUNTS, st.integers(-_INT64, _INT64)), max_size=5
)
ENDPOINTS = st.builds("{}:{}".format, st.ip_addresses(v=4), st.integers(1, 65535)) | st.builds(
    "[{}]:{}".format,
    # Mapped IPv4 has another canonical form.
    st.ip_addresses(v=6).filter(lambda ip: ip.ipv4_mapped is None),
    st.integers(1, 65535),
)


def _pieces(draw: st.DrawFn, count: int) -> bytes:
    field = Bitfield(count)
    for index in draw(st.sets(st.integers(0, count - 1))) if count else ():
        field.add(index)
    return field.to_bytes()


@st.composite
def _rows(draw: st.DrawFn) -> StoredTorrent:
    size = draw(st.integers(0, 1 << 30))
    piece_length = draw(st.integers(max(1, size >> 8), 1 << 26))
    pieces = Geometry(size, piece_length).piece_count
    have = _pieces(draw, pieces) if draw(st.booleans()) else None
    priorities = bytes(draw(st.lists(st.integers(0, 2), max_size=9)))
    urls = draw(st.lists(st.text(max_size=20), unique=True, max_size=6))
    cut = draw(st.integers(0, len(urls)))
    tiers = [tier for tier in (urls[:cut], urls[cut:]) if tier]
    return StoredTorrent(
        info_hash=draw(st.binary(min_size=20, max_size=20)),
        name=draw(st.text(max_size=30)),
        size=size,
        piece_length=piece_length,
        file_count=draw(st.integers(1, 200_000)),
        is_private=draw(st.booleans()),
        trackers=json.dumps(tiers),
        save_path="/" + draw(st.text(st.characters(exclude_characters="/\0."), max_size=20)),
        wants_to_run=draw(st.booleans()),
        preallocate=draw(st.booleans()),
        have=have,
        stamps=FileStamps.of(draw(STAMPS)).to_bytes(),
        is_clean=draw(st.booleans()),
        committed_at=draw(TIMES),
        added_at=draw(TIMES),
        completed_at=draw(st.none() | TIMES),
        downloaded=draw(COUNTS),
        uploaded=draw(COUNTS),
        wasted=draw(COUNTS),
        active_s=draw(TIMES),
        down_limit=draw(COUNTS),
        up_limit=draw(COUNTS),
        peers=json.dumps(draw(st.lists(ENDPOINTS, unique=True, max_size=4))),
        priorities=priorities,
        wanted=_pieces(draw, pieces) if priorities else b"",
        wishes=draw(st.sampled_from(["", FileWishes(only=("*.mkv",), waits=True).encode()])),
    )


async def test_every_column_comes_back() -> None:
    async with running() as session:

        @given(_rows())
        def round_trip(before: StoredTorrent) -> None:
            torrent = from_row(before, session, session.facilities)
            assert torrent.state is State.PAUSED
            after = to_row(torrent, now=5.0)
            # The order within a tier is a new draw with each session (BEP 12).
            assert [sorted(tier) for tier in json.loads(after.trackers)] == [
                sorted(tier) for tier in json.loads(before.trackers)
            ]
            expected = before
            if not before.stamps:
                expected = replace(before, is_clean=False, committed_at=5.0)
            assert replace(after, trackers="") == replace(expected, trackers="")

        round_trip()


async def test_a_running_torrent_is_committed_as_of_now() -> None:
    """Its files are written to: only what is later than the commit is doubted after a kill."""
    async with running() as session:
        whole = row(1, size=500_000, have=b"\xc0")
        torrent = from_row(whole, session, session.facilities)
        assert to_row(torrent, now=1e9).committed_at == 1.5
        torrent.state = State.DOWNLOADING
        assert to_row(torrent, now=1e9).committed_at == 1e9


@pytest.mark.parametrize(
    "damage",
    [
        {"have": b""},
        {"have": bytes(1000)},
        {"have": b"\xff\xff"},  # two pieces, and spare bits set
        {"stamps": b"torn"},
    ],
)
async def test_damaged_progress_is_found_again_by_a_check(damage: dict[str, bytes]) -> None:
    async with running() as session:
        whole = row(1, size=500_000, have=b"\xc0")
        assert not from_row(whole, session, session.facilities).needs_check
        torrent = from_row(replace(whole, **damage), session, session.facilities)
        assert torrent.needs_check
        assert torrent.have.count == 0


async def test_without_stamps_sizes_must_do() -> None:
    """As after `add` of a torrent that the user says is complete, when it never ran."""
    async with running() as session:
        whole = row(1, size=500_000, have=b"\xc0", stamps=b"")
        torrent = from_row(whole, session, session.facilities)
        assert torrent.record is None
        assert not torrent.needs_check


@pytest.mark.parametrize(
    "damage",
    [
        {"trackers": "{"},
        {"trackers": "3"},
        {"peers": "["},
        {"peers": '["nowhere"]'},
        {"info_hash": b"short"},
        {"size": -1},
        {"piece_length": 0},
    ],
)
async def test_a_row_that_makes_no_torrent_is_refused(damage: dict[str, object]) -> None:
    async with running() as session:
        with pytest.raises((ValueError, TypeError, SeedwrightError)):
            from_row(row(1, **damage), session, session.facilities)
