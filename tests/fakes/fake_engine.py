"""An engine in memory: believable torrents that move only when `tick` says so; a whole EnginePort.

Deterministic: the same `count` and `seed` give the same torrents, and the clock starts at EPOCH and
stands still between ticks. `calls` holds every command in order; `fail_with` makes the next command
raise. The first twelve torrents show one of everything (see SCENES).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from random import Random
from typing import Any

import msgspec

from engine.control import schema
from engine.control.change_log import ChangeLog, Changes
from engine.control.schema import FilePriority, TorrentState, TrackerState
from engine.core.compact import Endpoint, endpoint, split_host_port
from engine.errors import DuplicateTorrentError, SeedwrightError
from tests.fakes.fake_torrent import (
    CLIENTS,
    EPOCH,
    GIB,
    KIB,
    MIB,
    SCENES,
    WORKS,
    FakeTorrent,
    files_of,
    numbers_of,
    shared,
    source_of,
)


class FakeEngine:
    """`count` torrents, of which the first twelve are the scenes; of the others every
    `active_every`-th moves. `tick` makes the world go on."""

    def __init__(self, count: int = 12, *, seed: int = 7, active_every: int = 5) -> None:
        self.now = EPOCH
        self.rng = Random(seed)
        self.torrents: dict[str, FakeTorrent] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.fail_with: SeedwrightError | None = None
        """Raised, once, by the next command."""
        self.is_shut_down = False
        self.down_limit = self.up_limit = 0
        self.reachability = "unknown"
        self.way_out = ""
        self.dht_nodes: int | None = None
        self.log_changes = ChangeLog()
        for index in range(count):
            self._insert(self._invent(index, active_every))

    # ── the world ──

    def tick(self, seconds: float = 1.0) -> None:
        """Let `seconds` pass: rates wobble, downloads advance and finish, checks advance."""
        self.now += seconds
        for torrent in self.torrents.values():
            if torrent.state is TorrentState.CHECKING:
                self._check(torrent, seconds)
            elif torrent.pace and torrent.state in (
                TorrentState.DOWNLOADING,
                TorrentState.SEEDING,
            ):
                self._move(torrent, seconds)

    def touch(self, info_hash: str) -> None:
        """Must be called after a test changed a torrent by hand."""
        self.log_changes.touch(info_hash)

    def named(self, name: str) -> FakeTorrent:
        return next(each for each in self.torrents.values() if each.name == name)

    def _invent(self, index: int, active_every: int) -> FakeTorrent:
        rng = self.rng
        if index < len(SCENES):
            name, size, state, progress, is_private = SCENES[index]
            is_active = name != "OpenStreetMap planet-260504.osm.pbf" and size > KIB
        else:
            name = WORKS[index % len(WORKS)].format(n=index // len(WORKS) + 1)
            size = int(10 ** rng.uniform(6, 11))
            state = rng.choice((TorrentState.DOWNLOADING, TorrentState.SEEDING))
            progress, is_private = rng.random(), rng.random() < 0.1
            is_active = index % active_every == 0
        done = state is TorrentState.SEEDING
        have = size if done else int(size * progress)
        torrent = FakeTorrent(
            info_hash=hashlib.sha1(f"{index} {name}".encode()).hexdigest(),
            name=name,
            size=size,
            state=state,
            have=have,
            added_at=EPOCH - 3600.0 * (index + 1),
            is_private=is_private,
            pace=int(10 ** rng.uniform(4.5, 7.3)) if is_active else 0,
            downloaded=have,
            uploaded=int(size * rng.uniform(0, 3)),
            completed_at=EPOCH - 1800.0 if done else None,
        )
        if state is TorrentState.CHECKING:
            torrent.checked, torrent.have = progress, size
        if state is TorrentState.ERROR:
            torrent.error = "writing /srv/torrents: No space left on device"
        if torrent.pace and state in (TorrentState.DOWNLOADING, TorrentState.SEEDING):
            torrent.peers = rng.randint(1, 60)
            torrent.seeds = rng.randint(0, torrent.peers)
            self._set_rates(torrent)
        torrent.files = files_of(name, size, have)
        self._note(torrent, "info", "added")
        return torrent

    def _insert(self, torrent: FakeTorrent) -> None:
        self.torrents[torrent.info_hash] = torrent
        self.log_changes.touch(torrent.info_hash)

    def _set_rates(self, torrent: FakeTorrent) -> None:
        rate = int(torrent.pace * self.rng.uniform(0.7, 1.3))
        is_seeding = torrent.state is TorrentState.SEEDING
        torrent.down_rate = 0 if is_seeding else rate
        torrent.up_rate = rate if is_seeding else rate // 8

    def _move(self, torrent: FakeTorrent, seconds: float) -> None:
        self._set_rates(torrent)
        got = min(int(torrent.down_rate * seconds), torrent.size - torrent.have)
        torrent.have += got
        torrent.downloaded += got
        torrent.uploaded += int(torrent.up_rate * seconds)
        if torrent.state is TorrentState.DOWNLOADING and torrent.have == torrent.size:
            torrent.state = TorrentState.SEEDING
            torrent.completed_at = self.now
            torrent.down_rate = 0
            self._note(torrent, "info", "complete")
        self.log_changes.touch(torrent.info_hash)

    def _check(self, torrent: FakeTorrent, seconds: float) -> None:
        torrent.checked = (torrent.checked or 0.0) + seconds * 512 * MIB / (torrent.size or 1)
        if torrent.checked >= 1:
            torrent.checked = None
            torrent.state = (
                TorrentState.SEEDING if torrent.have == torrent.size else TorrentState.DOWNLOADING
            )
            self._note(torrent, "info", "checked")
        self.log_changes.touch(torrent.info_hash)

    def _note(self, torrent: FakeTorrent, level: str, text: str) -> None:
        torrent.log.append(schema.LogLine(at=self.now, level=level, text=text))

    # ── views ──

    def info_hashes(self) -> Collection[str]:
        return self.torrents.keys()

    @property
    def revision(self) -> int:
        return self.log_changes.revision

    def changes(self, since: int) -> Changes:
        return self.log_changes.since(since)

    def brief(self, info_hash: str) -> FakeTorrent | None:
        return self.torrents.get(info_hash)

    def row(self, info_hash: str) -> schema.TorrentRow | None:
        torrent = self.torrents.get(info_hash)
        return torrent.row() if torrent else None

    def status(self) -> schema.SessionStatus:
        torrents = self.torrents.values()
        return schema.SessionStatus(
            version="0.1.0",
            started_at=EPOCH - 86_400,
            listen=[] if self.way_out else ["0.0.0.0:6881", "[::]:6881"],
            way_out=self.way_out,
            torrents=len(torrents),
            peers=sum(each.peers for each in torrents),
            down_rate=sum(each.down_rate for each in torrents),
            up_rate=sum(each.up_rate for each in torrents),
            downloaded=sum(each.downloaded for each in torrents),
            uploaded=sum(each.uploaded for each in torrents),
            down_limit=self.down_limit,
            up_limit=self.up_limit,
            disk_queue=0,
            is_isolated=False,
            dht_nodes=self.dht_nodes,
            reachability=self.reachability,
        )

    # ── questions about one torrent ──

    async def dht(self, request: schema.DhtRequest) -> object:
        self._called("dht", request)
        match request:
            case schema.DhtLookup():
                return schema.DhtLookup.Reply(lookup=1, peers=["192.0.2.7:6881"], is_finished=True)
            case schema.DhtPing():
                return schema.DhtPing.Reply(node_id="ab" * 20, took_s=0.03)
            case schema.DhtAdd():
                return schema.Empty()
            case schema.DhtGet():
                return schema.DhtGet.Reply(target="ab" * 20, value=b"5:hello")
            case schema.DhtPut():
                return schema.DhtPut.Reply(target="ab" * 20, stored=8)
        return schema.DhtInfo(port=0, is_read_only=False, nodes=[])

    def info(self, info_hash: str) -> schema.TorrentInfo:
        torrent = self.torrents[info_hash]
        piece_length = 4 * MIB if torrent.size > GIB else 256 * KIB
        return schema.TorrentInfo(
            row=torrent.row(),
            save_path=torrent.save_path,
            magnet="" if torrent.is_private else f"magnet:?xt=urn:btih:{info_hash}",
            comment="Free as in freedom.",
            created_by="seedwright 0.1.0",
            created_at=int(EPOCH - 1e6),
            piece_length=piece_length,
            piece_count=-(-torrent.size // piece_length),
            pieces_have=torrent.have // piece_length,
            files=len(torrent.files),
            wasted=torrent.downloaded // 500,
            availability=torrent.seeds + 0.73 if torrent.peers else 0.0,
            down_limit=torrent.down_limit,
            up_limit=torrent.up_limit,
            active_s=self.now - torrent.added_at,
        )

    def files(self, info_hash: str) -> list[schema.FileRow]:
        torrent = self.torrents[info_hash]
        torrent.files = shared(torrent.files, torrent.have)
        return torrent.files

    def peers(self, info_hash: str) -> list[schema.PeerRow]:
        torrent = self.torrents[info_hash]
        rng = Random(info_hash)
        rows = []
        for index in range(torrent.peers):
            is_seed = index < torrent.seeds
            v4 = f"{rng.randint(11, 99)}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{index + 1}"
            host = f"[2001:db8::{index + 1:x}]" if index % 7 == 6 else v4
            share = 2 * (index + 1) / (torrent.peers * (torrent.peers + 1))
            rows.append(
                schema.PeerRow(
                    address=f"{host}:{rng.randint(1025, 65535)}",
                    client=rng.choice(CLIENTS),
                    progress=1.0 if is_seed else rng.random(),
                    down_rate=int(torrent.down_rate * share),
                    up_rate=int(torrent.up_rate * share),
                    downloaded=int(torrent.downloaded * share),
                    uploaded=int(torrent.uploaded * share),
                    flags=rng.choice(("D", "d", "DU", "U", "u", "dS", "DO")) + ("H" * is_seed),
                    source=rng.choice(("tracker", "incoming", "manual", "resume")),
                )
            )
        return rows

    def trackers(self, info_hash: str) -> list[schema.TrackerRow]:
        torrent = self.torrents[info_hash]
        return [
            schema.TrackerRow(
                url="https://tracker.example.org/announce",
                tier=0,
                state=TrackerState.WORKING,
                seeders=torrent.seeds * 9,
                leechers=torrent.peers * 4,
                downloads=12_345,
                peers=50,
                next_announce_in_s=1800.0 - (self.now - EPOCH) % 1800.0,
                last_announce_at=self.now - (self.now - EPOCH) % 1800.0,
            ),
            schema.TrackerRow(
                url="udp://tracker.example.net:6969",
                tier=1,
                state=TrackerState.FAILING,
                message="it did not answer: timed out",
                next_announce_in_s=60.0,
            ),
        ]

    def log(self, info_hash: str) -> list[schema.LogLine]:
        return list(self.torrents[info_hash].log)

    # ── commands ──

    async def add(self, request: schema.AddTorrent) -> str:
        self._called("add", request)
        info_hash, name, size, files = source_of(request)
        if info_hash in self.torrents:
            raise DuplicateTorrentError(f"{name} is already there")
        torrent = FakeTorrent(
            info_hash=info_hash,
            name=name,
            size=size,
            state=TorrentState.PAUSED
            if request.paused or request.pick
            else TorrentState.DOWNLOADING,
            have=0,
            added_at=self.now,
            pace=MIB,
            save_path=request.save_path or "/srv/torrents",
            files=files,
            extra_peers=list(request.peers),
        )
        if request.pick and (request.source or "").startswith("magnet:"):
            torrent.state, torrent.files, torrent.size = TorrentState.METADATA, [], 0
        self._note(torrent, "info", "added")
        self._insert(torrent)
        return info_hash

    async def set_files(self, info_hash: str, request: schema.SetFiles) -> schema.SetFiles.Reply:
        """Takes numbers and ranges only; patterns are the real engine's business."""
        self._called("set_files", info_hash, request)
        torrent = self.torrents[info_hash]
        before = {row.index: row.priority for row in torrent.files}
        after = dict(before)
        if request.only:
            after = dict.fromkeys(before, FilePriority.SKIP)
        for words, priority in (
            (request.only, FilePriority.NORMAL),
            (request.skip, FilePriority.SKIP),
            (request.normal, FilePriority.NORMAL),
            (request.high, FilePriority.HIGH),
        ):
            after.update(dict.fromkeys(numbers_of(words), priority))
        torrent.files = [
            msgspec.structs.replace(row, priority=after[row.index]) for row in torrent.files
        ]
        self.log_changes.touch(info_hash)
        changed = [row for row in torrent.files if before[row.index] is not row.priority]
        return schema.SetFiles.Reply(
            changes=[
                schema.FileChange(
                    before=before[row.index],
                    after=row.priority,
                    files=str(row.index),
                    count=1,
                    size=row.size,
                )
                for row in changed
            ],
            wanted=sum(row.priority is not FilePriority.SKIP for row in torrent.files),
            files=len(torrent.files),
            row=torrent.row(),
        )

    async def pause(self, info_hashes: Sequence[str]) -> None:
        self._called("pause", list(info_hashes))
        for torrent in self._each(info_hashes):
            torrent.state, torrent.checked = TorrentState.PAUSED, None
            torrent.down_rate = torrent.up_rate = torrent.peers = torrent.seeds = 0
            self._note(torrent, "info", "paused")

    async def resume(self, info_hashes: Sequence[str]) -> None:
        self._called("resume", list(info_hashes))
        for torrent in self._each(info_hashes):
            if torrent.state in (TorrentState.PAUSED, TorrentState.ERROR):
                is_done = torrent.have == torrent.size
                torrent.state = TorrentState.SEEDING if is_done else TorrentState.DOWNLOADING
                torrent.error = ""
                self._note(torrent, "info", "resumed")

    async def recheck(self, info_hashes: Sequence[str]) -> None:
        self._called("recheck", list(info_hashes))
        for torrent in self._each(info_hashes):
            torrent.state, torrent.checked, torrent.error = TorrentState.CHECKING, 0.0, ""
            torrent.down_rate = torrent.up_rate = 0

    async def announce(self, info_hashes: Sequence[str]) -> None:
        self._called("announce", list(info_hashes))

    async def remove(self, info_hashes: Sequence[str], *, delete_data: bool) -> None:
        self._called("remove", list(info_hashes), delete_data)
        for info_hash in info_hashes:
            if self.torrents.pop(info_hash, None):
                self.log_changes.remove(info_hash)

    async def find_peers(self, text: str) -> list[Endpoint]:
        host, port = split_host_port(text)
        return [endpoint("::1" if host == "localhost" else host, port)]

    async def add_peer(self, info_hashes: Sequence[str], peer: Endpoint) -> None:
        self._called("add_peer", list(info_hashes), peer)
        for torrent in self._each(info_hashes):
            torrent.extra_peers.append(str(peer))

    async def set_limits(
        self, info_hash: str | None, *, down: int | None, up: int | None
    ) -> schema.SetLimits.Reply:
        self._called("set_limits", info_hash, down, up)
        target = self if info_hash is None else self.torrents[info_hash]
        target.down_limit = target.down_limit if down is None else down
        target.up_limit = target.up_limit if up is None else up
        return schema.SetLimits.Reply(down=target.down_limit, up=target.up_limit)

    async def health(self) -> list[schema.HealthCheck]:
        return [schema.HealthCheck(name="loop", is_ok=True, text="turned in 0 ms")]

    def filter_status(self) -> schema.FilterStatus:
        return schema.FilterStatus(source="/srv/list.p2p", is_open=True, ipv4_ranges=3)

    async def reload_filter(self) -> None:
        self._called("reload_filter")

    def test_address(self, host: str) -> schema.IsBlocked.Reply:
        return schema.IsBlocked.Reply(address=host, is_listed=False, is_blocked=False)

    def shut_down(self) -> None:
        self._called("shut_down")
        self.is_shut_down = True

    def _called(self, *call: Any) -> None:
        self.calls.append(call)
        error, self.fail_with = self.fail_with, None
        if error is not None:
            raise error

    def _each(self, info_hashes: Sequence[str]) -> list[FakeTorrent]:
        for info_hash in info_hashes:
            self.log_changes.touch(info_hash)
        return [self.torrents[info_hash] for info_hash in info_hashes]
