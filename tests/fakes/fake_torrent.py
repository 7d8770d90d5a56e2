"""What the fake engine has: believable torrents with files, the first twelve one of everything."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from engine.control import schema
from engine.control.schema import TorrentState
from engine.core.metainfo import Metainfo
from engine.errors import SourceError

EPOCH = 1_780_000_000.0
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

CLIENTS = (
    "libtorrent 2.0.11",
    "Transmission 4.0.6",
    "qBittorrent 5.0.4",
    "aria2 1.37.0",
    "Deluge 2.1.1",
    "seedwright 0.1.0",
    "unknown",
)
WORKS = (
    "debian-13.{n}.0-amd64-netinst.iso",
    "ubuntu-26.04.{n}-desktop-amd64.iso",
    "archlinux-2026.{n:02}.01-x86_64.iso",
    "Fedora-Workstation-Live-44-1.{n}",
    "Blender Open Movies, volume {n}",
    "LibriVox - Complete Tales, part {n:03}",
    "wikipedia_en_all_maxi_{n}.zim",
    "OpenStreetMap planet extract {n}",
    "Common Voice corpus {n}.0",
    "Project Gutenberg mirror {n:04}",
    "日本民謡集 第{n}巻",
    "Musopen – Sinfonien Nr. {n}",
)
SCENES: tuple[tuple[str, int, TorrentState, float, bool], ...] = (
    ("debian-13.1.0-amd64-DVD-1.iso", 4_700 * MIB, TorrentState.DOWNLOADING, 0.42, False),
    ("Big Buck Bunny (2008) 4K 60fps", 642 * MIB, TorrentState.SEEDING, 1.0, False),
    ("ubuntu-26.04-live-server-amd64.iso", 2_600 * MIB, TorrentState.DOWNLOADING, 0.07, False),
    ("archlinux-2026.05.01-x86_64.iso", 1_150 * MIB, TorrentState.PAUSED, 0.63, False),
    ("Sintel – Durian Open Movie Project", 5_300 * MIB, TorrentState.SEEDING, 1.0, True),
    ("wikipedia_en_all_maxi_2026-04.zim", 109 * GIB, TorrentState.CHECKING, 0.31, False),
    ("LibriVox: Der Zauberberg", 890 * MIB, TorrentState.ERROR, 0.55, False),
    ("日本民謡集 – 第三巻 (FLAC)", 1_720 * MIB, TorrentState.DOWNLOADING, 0.995, False),
    ("OpenStreetMap planet-260504.osm.pbf", 84 * GIB, TorrentState.DOWNLOADING, 0.0, False),
    ("README.txt", 137, TorrentState.SEEDING, 1.0, False),
    ("an empty file", 0, TorrentState.SEEDING, 1.0, False),
    ("It goes " + "on and on " * 18 + "[the end]", 3 * GIB, TorrentState.PAUSED, 0.2, True),
)  # fmt: skip


@dataclass(slots=True, eq=False)
class FakeTorrent:
    """One torrent; also the Brief of itself."""

    info_hash: str
    name: str
    size: int
    state: TorrentState
    have: int
    added_at: float
    is_private: bool = False
    pace: int = 0
    """Bytes a second that it moves at, give or take."""
    down_rate: int = 0
    up_rate: int = 0
    downloaded: int = 0
    uploaded: int = 0
    peers: int = 0
    seeds: int = 0
    checked: float | None = None
    """Part of a check that is done; None when none runs."""
    completed_at: float | None = None
    error: str = ""
    save_path: str = "/srv/torrents"
    down_limit: int = 0
    up_limit: int = 0
    files: list[schema.FileRow] = field(default_factory=list)
    extra_peers: list[str] = field(default_factory=list)
    log: list[schema.LogLine] = field(default_factory=list)

    @property
    def progress(self) -> float:
        if self.checked is not None:
            return self.checked
        if self.state is TorrentState.METADATA:
            return 0.0
        return self.have / self.size if self.size else 1.0

    @property
    def ratio(self) -> float:
        return self.uploaded / (self.downloaded or self.size or 1)

    @property
    def eta_s(self) -> int | None:
        if self.state is not TorrentState.DOWNLOADING or not self.down_rate:
            return None
        return math.ceil((self.size - self.have) / self.down_rate)

    @property
    def reason(self) -> str:
        if self.state is TorrentState.DOWNLOADING and not self.down_rate:
            return "no connected peer has a piece that is missing"
        return ""

    def row(self) -> schema.TorrentRow:
        return schema.TorrentRow(
            info_hash=self.info_hash,
            name=self.name,
            state=self.state,
            size=self.size,
            have=self.have,
            progress=self.progress,
            down_rate=self.down_rate,
            up_rate=self.up_rate,
            downloaded=self.downloaded,
            uploaded=self.uploaded,
            ratio=self.ratio,
            peers=self.peers,
            seeds=self.seeds,
            eta_s=self.eta_s,
            is_private=self.is_private,
            added_at=self.added_at,
            completed_at=self.completed_at,
            error=self.error,
            reason=self.reason,
        )


def files_of(name: str, size: int, have: int) -> list[schema.FileRow]:
    if size < GIB or name.endswith((".iso", ".zim", ".pbf")):
        return [schema.FileRow(path=name, size=size, have=have)]
    parts = ("README.txt", "media/part 1.mkv", "media/part 2.mkv", "extras/booklet.pdf")
    sizes = [2 * KIB, size // 2, size // 3]
    sizes.append(size - sum(sizes))
    rows = [
        schema.FileRow(path=f"{name}/{part}", size=each, have=0, index=index)
        for index, (part, each) in enumerate(zip(parts, sizes, strict=True))
    ]
    return shared(rows, have)


def shared(rows: list[schema.FileRow], have: int) -> list[schema.FileRow]:
    """Give the files what is there, in their order."""
    shared = []
    for row in rows:
        part = min(row.size, have)
        have -= part
        shared.append(msgspec.structs.replace(row, have=part))
    return shared


def numbers_of(words: Sequence[str]) -> list[int]:
    found: list[int] = []
    for part in ",".join(words).split(","):
        if part:
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    return found


def source_of(request: schema.AddTorrent) -> tuple[str, str, int, list[schema.FileRow]]:
    if request.metainfo is not None:
        info = Metainfo.parse(request.metainfo).info
        rows = [
            schema.FileRow(
                path="/".join(each.path),
                size=each.length,
                have=0,
                is_pad=each.is_pad,
                index=index,
            )
            for index, each in enumerate(info.files)
        ]
        return str(info.info_hash), info.name, info.total_length, rows
    source = request.source or ""
    if "missing" in source:
        raise SourceError(f"{source}: 404 Not Found")
    name = source.rpartition("/")[2].removesuffix(".torrent") or "fetched"
    row = schema.FileRow(path=name, size=700 * MIB, have=0)
    return hashlib.sha1(source.encode()).hexdigest(), name, 700 * MIB, [row]
