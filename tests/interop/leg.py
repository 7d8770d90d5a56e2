"""One torrent on its way between seedwright and another client, through our tracker or without."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.core.metainfo import Metainfo
from engine.tracker.app import TrackerApp
from engine.tracker.swarm_table import SwarmCount
from tests.interop.clients import START_S, Client, TransmissionClient, eventually
from tests.interop.content import Content
from tests.interop.seedwright import SeedwrightClient

TRANSFER_S = 90.0


async def until_tracker(
    tracker: TrackerApp, info_hash: InfoHash, knows: Callable[[SwarmCount], bool], what: str
) -> None:
    """Wait until the tracker counts what `knows` wants to see. Raises TimeoutError."""

    async def has_happened() -> bool:
        return knows(tracker.table.count(info_hash))

    await eventually(
        has_happened, START_S, lambda: f"{what}, not: {tracker.table.count(info_hash)}"
    )


@dataclass(frozen=True, slots=True)
class Leg:
    """A torrent, who has it, who wants it, and the folder of both."""

    content: Content
    source: Client
    target: Client
    at: Path
    is_told: bool = False
    """There is no tracker: seedwright is told where the other one is."""

    def __str__(self) -> str:
        how = "told of each other" if self.is_told else "through the tracker"
        return f"{self.content.name} from {self.source.name} to {self.target.name}, {how}"

    @property
    def info_hash(self) -> InfoHash:
        return Metainfo.parse(self.content.torrent).info_hash

    async def begin(self, tracker: TrackerApp) -> None:
        """Give it to both, first to the one that is found and dialled by the other, until they have
        met."""
        if self.is_told or isinstance(self.target, TransmissionClient):
            target_first = isinstance(self.source, SeedwrightClient)
        else:
            target_first = False
        order: list[Callable[[], Awaitable[None]]] = [self._add_source, self._add_target]
        first, second = reversed(order) if target_first else order
        await first()
        if not target_first:
            await self.source.wait_complete(self.info_hash, START_S)
        if not self.is_told:
            await until_tracker(
                tracker,
                self.info_hash,
                lambda count: count.leechers + count.seeds == 1,
                f"{self}: one is in the swarm",
            )
        await second()
        await eventually(self._have_met, TRANSFER_S, f"{self}: they have not met")

    async def _have_met(self) -> bool:
        ours = self.source if isinstance(self.source, SeedwrightClient) else self.target
        assert isinstance(ours, SeedwrightClient)
        row = (await ours.info(self.info_hash)).row
        return row.peers > 0 or row.downloaded + row.uploaded > 0

    async def _add_source(self) -> None:
        at = self.content.write(self.at / "source")
        peers = self._peers_for(self.source, self.target)
        await self.source.add(self.content.torrent, at, peers=peers, seed=True)

    async def _add_target(self) -> None:
        at = self.at / "target"
        at.mkdir(parents=True)
        peers = self._peers_for(self.target, self.source)
        await self.target.add(self.content.torrent, at, peers=peers)

    def _peers_for(self, one: Client, other: Client) -> list[Endpoint]:
        return [other.endpoint] if self.is_told and isinstance(one, SeedwrightClient) else []

    async def finish(self, tracker: TrackerApp) -> None:
        """Wait until the target has it; then it is on the disk, and the tracker was told."""
        try:
            await self.target.wait_complete(self.info_hash, TRANSFER_S)
        except TimeoutError as error:
            ours = self.source if isinstance(self.source, SeedwrightClient) else self.target
            assert isinstance(ours, SeedwrightClient)
            raise TimeoutError(f"{self}: {await ours.explain(self.info_hash)}") from error
        assert await self.target.progress(self.info_hash) == 1
        self.content.check(self.at / "target", empty_files=self.target.makes_empty_files)
        if not self.is_told:
            await until_tracker(
                tracker,
                self.info_hash,
                lambda count: count == (self.info_hash, 2, 0, 1),
                f"{self}: both have it, one fetched it",
            )
