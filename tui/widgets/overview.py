"""The overview of one torrent: its progress, why it waits, its totals, its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from tui import clock
from tui import format as fmt
from tui.link import TorrentInfo, TorrentRow
from tui.widgets.cells import look_of

LABEL_WIDTH = 11
ROOMY_FROM = 90
PAIR_WIDTH = 46
"""The least that a label and its value need beside another pair."""

COLOURS = {"in": "$primary", "out": "$success", "wait": "$warning", "fail": "$error"}

Pair = tuple[str, str, str]
"""Label, value, and a style for the value."""


def pairs(row: TorrentRow, info: TorrentInfo | None) -> Iterable[Pair]:
    """The facts in order of importance. Without `info` (not arrived yet) what the list knows."""
    look = look_of(row)
    yield "State", f"{look.glyph} {look.word}", COLOURS.get(look.style, "")
    if row.state in ("downloading", "metadata"):
        yield "Time left", fmt.duration(row.eta_s) or "unknown", ""
    elif row.completed_at:
        yield "Completed", clock.date_and_time(row.completed_at), ""
    else:
        yield "Missing", fmt.size(row.size - row.have), ""
    yield "Down", _flow(row.down_rate, row.downloaded), ""
    yield "Up", _flow(row.up_rate, row.uploaded), ""
    peers = f"{row.peers}, {fmt.plural(row.seeds, 'seed')}" if row.peers else "none"
    copies = f", {info.availability:.1f} copies" if info and row.peers else ""
    yield "Peers", peers + copies, ""
    yield "Ratio", fmt.ratio(row.ratio), ""
    if info is None:
        return
    size = fmt.short_size(info.piece_length)
    pieces = f"{info.pieces_have:,} of {info.piece_count:,} × {size}"
    yield "Pieces", pieces if row.is_size_known else "not known yet", ""
    yield "Limits", f"↓ {fmt.limit(info.down_limit)}   ↑ {fmt.limit(info.up_limit)}", ""
    yield "Wasted", fmt.size(info.wasted), ""
    yield "Active", fmt.duration(info.active_s), ""
    yield "Added", clock.date_and_time(row.added_at), ""
    yield "Kind", "private" if row.is_private else "public", ""
    yield "Files", f"{info.files:,}", ""
    if info.created_at or info.created_by:
        when = clock.date_and_time(info.created_at) if info.created_at else ""
        yield "Created", f"{when} {fmt.clean(info.created_by)}".strip(), ""


def _flow(rate: int, total: int) -> str:
    return f"{fmt.rate(rate)}, total {fmt.size(total)}" if rate else f"total {fmt.size(total)}"


def wide_pairs(row: TorrentRow, info: TorrentInfo | None) -> Iterable[Pair]:
    """Facts that get a line of their own."""
    if info is not None:
        yield "Saved in", fmt.clean(info.save_path), ""
        if info.comment:
            yield "Comment", fmt.clean(info.comment), ""
    yield "Info-hash", row.info_hash, ""
    if row.is_private:
        yield "Magnet", fmt.NO_MAGNET, ""
    elif info is not None and info.magnet:
        yield "Magnet", fmt.clean(info.magnet), ""


def lines(row: TorrentRow, info: TorrentInfo | None, width: int) -> list[Content]:
    """The page at this width, a Content a line."""
    look = look_of(row)
    figures = f" {fmt.percent(row.progress, 1)}"
    if row.is_size_known:
        figures += f"  {fmt.size(row.have)} of {fmt.size(row.size)}"
    done, rest = fmt.bar(row.progress, max(10, width - len(figures)))
    page = [
        Content.styled(fmt.truncate(fmt.clean(row.name), width), "bold"),
        Content.assemble((done + rest, f"${look.bar} on $track"), (figures, "")),
    ]
    why = row.error or row.reason
    if why:
        style = "$error" if row.error else "$warning"
        page.append(Content.styled(fmt.truncate(fmt.clean(why), width), style))
    if width >= ROOMY_FROM:
        page.append(Content())
    page += in_columns(list(pairs(row, info)), width)
    page += [pair(fact, width) for fact in wide_pairs(row, info)]
    return page


def in_columns(facts: Sequence[Pair], width: int) -> list[Content]:
    """Facts side by side, as many as there is room for."""
    columns = max(1, min(3, width // PAIR_WIDTH))
    if columns == 1 and width >= 70:
        columns = 2
    cell = width // columns
    return [
        Content.assemble(*(pair(fact, cell) for fact in facts[start : start + columns]))
        for start in range(0, len(facts), columns)
    ]


def pair(fact: Pair, width: int) -> Content:
    """A fact in exactly `width` cells."""
    label, value, style = fact
    room = max(0, width - LABEL_WIDTH - 1)
    return Content.assemble(
        (fmt.fit(label, LABEL_WIDTH), "$muted"), (fmt.fit(value, room) + " ", style)
    )


class Overview(VerticalScroll):
    """The page, scrollable when it is higher than its place."""

    def compose(self) -> Iterable[Widget]:
        yield _Page()

    def show(self, row: TorrentRow | None, info: TorrentInfo | None) -> None:
        self.query_one(_Page).show(row, info)


class _Page(Widget):
    def __init__(self) -> None:
        super().__init__()
        self._row: TorrentRow | None = None
        self._info: TorrentInfo | None = None
        self._height = 0

    def show(self, row: TorrentRow | None, info: TorrentInfo | None) -> None:
        if (row, info) == (self._row, self._info):
            return
        self._row, self._info = row, info
        height = len(self._lines(self.size.width))
        self.refresh(layout=height != self._height)
        self._height = height

    def _lines(self, width: int) -> list[Content]:
        return [] if self._row is None else lines(self._row, self._info, width)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width))

    def render(self) -> Content:
        return Content("\n").join(self._lines(self.size.width))
