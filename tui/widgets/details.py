"""The details pane: a strip of tabs and, under it, one page about the torrent under the cursor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from textual import events
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from tui.link import (
    Details,
    FileRow,
    LogLine,
    PeerRow,
    Topic,
    TorrentInfo,
    TorrentRow,
    TrackerRow,
)
from tui.widgets.detail_tables import LOG, PEERS, TRACKERS, LogTable, TrackerTable
from tui.widgets.file_table import FileTable
from tui.widgets.overview import Overview
from tui.widgets.table import ListTable

TITLES = {topic: topic.value.capitalize() for topic in Topic}


class TabStrip(Widget):
    """One line of titles; the current one is underlined and bright."""

    topic: reactive[Topic] = reactive(Topic.OVERVIEW)

    class Picked(Message):
        def __init__(self, topic: Topic) -> None:
            super().__init__()
            self.topic = topic

    def render(self) -> Content:
        parts = []
        for number, (topic, title) in enumerate(TITLES.items(), 1):
            is_current = topic is self.topic
            parts.append((f" {number} ", "$accent" if is_current else "$faint"))
            parts.append((title, "bold $foreground underline" if is_current else "$muted"))
            parts.append(("  ", ""))
        return Content.assemble(*parts)

    def on_click(self, event: events.Click) -> None:
        left = 0
        for topic, title in TITLES.items():
            width = 3 + len(title) + 2
            if left <= event.x < left + width:
                self.post_message(self.Picked(topic))
                return
            left += width


class DetailsPane(Vertical):
    """Shows what it is told; asks for nothing itself."""

    topic: reactive[Topic] = reactive(Topic.OVERVIEW)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._row: TorrentRow | None = None
        self.info: TorrentInfo | None = None
        """What the engine said of the shown torrent; None until it has."""

    def compose(self) -> Iterable[Widget]:
        yield TabStrip()
        with ContentSwitcher(initial=Topic.OVERVIEW.value):
            yield Overview(id=Topic.OVERVIEW.value)
            yield FileTable(id=Topic.FILES.value)
            yield ListTable[PeerRow](
                PEERS, id=Topic.PEERS.value, empty="No peer is connected; the overview says why."
            )
            yield TrackerTable(
                TRACKERS, id=Topic.TRACKERS.value, empty="This torrent names no tracker."
            )
            yield LogTable(LOG, id=Topic.LOG.value, empty="Nothing has happened yet.")

    def watch_topic(self, topic: Topic) -> None:
        if self.is_mounted:
            self.query_one(TabStrip).topic = topic
            self.query_one(ContentSwitcher).current = topic.value

    @property
    def page(self) -> Widget:
        """What takes the focus."""
        return self.query_one(f"#{self.topic.value}")

    @property
    def info_hash(self) -> str | None:
        """Of the shown torrent."""
        return self._row.info_hash if self._row else None

    def show_torrent(self, row: TorrentRow | None) -> None:
        """Show what the list knows; what only the engine knows arrives by `show_details`."""
        is_other = (row and row.info_hash) != (self._row and self._row.info_hash)
        self._row = row
        if is_other:
            self.info = None
            self.query_one(FileTable).forget()
            for topic in (Topic.PEERS, Topic.TRACKERS, Topic.LOG):
                self._table(topic).forget()
        self.query_one(Overview).show(row, self.info)

    def show_details(self, info_hash: str, topic: Topic, details: Details) -> None:
        if self._row is None or info_hash != self._row.info_hash:
            return
        if topic is Topic.OVERVIEW:
            self.info = cast(TorrentInfo, details)
            self.query_one(Overview).show(self._row, self.info)
        elif topic is Topic.FILES:
            self.query_one(FileTable).show_files(cast("list[FileRow]", details))
        else:
            self._table(topic).set_rows(cast("list[PeerRow | TrackerRow | LogLine]", details))

    def _table(self, topic: Topic) -> ListTable[PeerRow | TrackerRow | LogLine]:
        return self.query_one(f"#{topic.value}", ListTable)
