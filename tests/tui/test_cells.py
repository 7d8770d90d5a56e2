"""Whatever the engine says, every cell and every line is exactly as wide as its place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from engine.control import schema
from tests.fakes.fake_engine import FakeEngine
from tui.columns import Column, place
from tui.file_tree import LEVELS, MIXED, FileLine
from tui.screens.limits import typed
from tui.screens.removal import NAMED, removal
from tui.store import Query, Target
from tui.widgets import cells
from tui.widgets.detail_tables import LOG, PEERS, TRACKERS, tracker_columns
from tui.widgets.file_table import FILES
from tui.widgets.overview import lines
from tui.widgets.torrent_table import COLUMNS

TEXT = st.text(max_size=80)
COUNT = st.integers(0, 2**60)
PART = st.floats(0, 1)
TIME = st.floats(-1e12, 1e12)
HASH = st.text("0123456789abcdef", min_size=40, max_size=40)

TORRENTS = st.builds(
    schema.TorrentRow,
    info_hash=HASH,
    name=TEXT,
    state=st.sampled_from(schema.TorrentState),
    size=COUNT,
    have=COUNT,
    progress=PART,
    down_rate=COUNT,
    up_rate=COUNT,
    downloaded=COUNT,
    uploaded=COUNT,
    ratio=st.floats(0, 1e9),
    peers=st.integers(0, 9999),
    seeds=st.integers(0, 9999),
    eta_s=st.none() | COUNT,
    is_private=st.booleans(),
    added_at=TIME,
    completed_at=st.none() | TIME,
    error=TEXT,
    reason=TEXT,
)
FILE_ROWS = st.builds(
    FileLine,
    path=TEXT,
    name=TEXT,
    depth=st.integers(0, 70),
    numbers=st.just((0, 1)),
    size=COUNT,
    have=COUNT,
    level=st.sampled_from([*LEVELS, MIXED]),
    wanted=st.integers(0, 2),
    is_folder=st.booleans(),
    is_open=st.booleans(),
)
PEER_ROWS = st.builds(
    schema.PeerRow,
    address=TEXT,
    client=TEXT,
    progress=PART,
    down_rate=COUNT,
    up_rate=COUNT,
    downloaded=COUNT,
    uploaded=COUNT,
    flags=TEXT,
    source=TEXT,
)
TRACKER_ROWS = st.builds(
    schema.TrackerRow,
    url=TEXT,
    tier=st.integers(0, 1000),
    state=st.sampled_from(schema.TrackerState),
    message=TEXT,
    seeders=st.none() | COUNT,
    leechers=st.none() | COUNT,
    next_announce_in_s=st.none() | TIME,
)
LOG_LINES = st.builds(schema.LogLine, at=TIME, level=TEXT, text=TEXT)


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        (COLUMNS, TORRENTS),
        (FILES, FILE_ROWS),
        (PEERS, PEER_ROWS),
        (TRACKERS, TRACKER_ROWS),
        (LOG, LOG_LINES),
    ],
    ids=["torrents", "files", "peers", "trackers", "log"],
)
@given(data=st.data())
def test_cells_fill_their_columns(
    columns: tuple[Column[Any], ...], rows: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    row = data.draw(rows)
    for placed in place(columns, data.draw(st.integers(0, 240))):
        drawn = "".join(text for text, _ in placed.column.draw(row, placed.width))
        assert cell_len(drawn) == placed.width, placed.column.key
        assert "\x1b" not in drawn


@given(TORRENTS, st.booleans(), st.integers(20, 220), TEXT)
def test_the_overview_fits(row: schema.TorrentRow, has_info: bool, width: int, text: str) -> None:
    info = schema.TorrentInfo(row=row, save_path=text, comment=text, created_by=text)
    for line in lines(row, info if has_info else None, width):
        assert cell_len(line.plain) <= max(width, 60)
        assert "\x1b" not in line.plain


def test_states_are_told_apart_without_colour() -> None:
    assert len({look.glyph for look in cells.LOOKS.values()}) == len(cells.LOOKS)
    assert len({look.word for look in cells.LOOKS.values()}) == len(cells.LOOKS)
    assert len({look.short for look in cells.LOOKS.values()}) == len(cells.LOOKS)
    assert {str(state) for state in schema.TorrentState} <= cells.LOOKS.keys()


def test_a_download_that_cannot_go_on_is_waiting() -> None:
    engine = FakeEngine()
    words = {each.name: cells.look_of(each.row()).word for each in engine.torrents.values()}
    assert words["OpenStreetMap planet-260504.osm.pbf"] == "waiting"
    assert words["debian-13.1.0-amd64-DVD-1.iso"] == "downloading"


@given(st.lists(st.builds(Target, HASH, TEXT, COUNT), min_size=1, max_size=30), st.booleans())
def test_a_removal_names_or_counts_all(targets: list[Target], delete_data: bool) -> None:
    question = removal(targets, delete_data=delete_data)
    assert len(question.things) <= NAMED
    assert question.is_grave == delete_data
    rest = len(targets) - len(question.things)
    if rest:
        assert f"and {rest + 1} other torrents" in question.things[-1]


@given(st.integers(0, 2**50))
def test_a_limit_is_shown_as_it_would_be_typed(rate: int) -> None:
    from tui import format as fmt

    assert fmt.parse_rate(typed(rate)) == rate


def test_a_query_without_filter_is_none() -> None:
    assert not Query(sort="size", descending=True).is_filtered
    assert Query(text="x").is_filtered
    assert Query(state="paused").is_filtered


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (50, "udp://tracker.example.org:1337/announce"),
        (38, "udp://tracker.example.org:1337/…"),
        (30, "tracker.example.org:1337/…"),
        (25, "tracker.example.org:1337"),
        (10, "tracker.e…"),
    ],
)
def test_of_an_address_the_host_is_kept_longest(width: int, shown: str) -> None:
    ((text, _),) = cells.url("udp://tracker.example.org:1337/announce", width)
    assert text == shown.ljust(width)


def test_trackers_that_say_nothing_leave_the_room_to_their_addresses() -> None:
    url = "http://tracker.example.org/announce"

    def widths(*messages: str) -> dict[str, int]:
        rows = [
            schema.TrackerRow(url=url, tier=0, state=schema.TrackerState.WORKING, message=text)
            for text in messages
        ]
        return {each.column.key: each.width for each in place(tracker_columns(rows), 76)}

    silent = widths("", "")
    assert "message" not in silent
    assert silent["url"] >= len(url)
    assert widths("not here", "")["message"] == len("not here")
    told = widths("no such torrent is served by this tracker", "")
    assert told["message"] >= 20
    assert {"url", "state", "swarm", "next"} <= told.keys()
