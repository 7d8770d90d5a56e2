"""Leaving through a proxy: what a session does when that comes, goes, or relays datagrams no more.

The engine opens no port: TCP leaves only, and UDP goes by the relay of the proxy, or not at all.
While the proxy is not there nothing is tried: no dial, no announce.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.core.compact import Endpoint
from engine.errors import PeerError, StorageError
from engine.net.proxied_route import ProxiedRoute
from engine.session.port_file import PortFile
from engine.session.rerouting import call_again, join_dht, recall

if TYPE_CHECKING:
    from engine.session.session import Session

log = logging.getLogger(__name__)


class Proxying:
    """One for a session; in place of a Rerouting."""

    def __init__(self, session: Session, route: ProxiedRoute) -> None:
        self.port_file: PortFile | None = None
        """Nobody is let in, whatever port there is."""
        self._session = session
        self._route = route
        self._link = route.link
        self._relay: Endpoint | None = None
        self._is_waiting = True
        self._changing_dht = asyncio.Lock()

    async def start(self) -> None:
        """Look after the proxy from now on; nothing waits for it here."""
        self._route.watch()
        self._route.on_change.append(self._on_interface)
        self._link.on_change.append(self._on_change)
        self._link.start()

    def close(self) -> None:
        """Begin nothing more; what is open stays so until `stop`."""
        self._route.on_change.clear()
        self._link.on_change.clear()
        self._route.close()

    async def stop(self) -> None:
        await self._link.close()

    def _on_interface(self, changed: frozenset[bool]) -> None:
        if self._relay is not None and self._relay.is_ipv6 in changed:
            # The relay may live on, by the other family; our socket to it has ended.
            self._relay = None
        self._link.look_now()
        self._on_change()

    def _on_change(self) -> None:
        session = self._session
        is_by_another_relay = self._link.relay != self._relay
        if is_by_another_relay:
            self._relay = self._link.relay
            self._change_relay()
            session.spawn(self._rejoin_dht())
        was_waiting, self._is_waiting = self._is_waiting, bool(self._route.waiting)
        running = [each for each in session.torrents.values() if each.state.is_running]
        if is_by_another_relay:
            for torrent in running:
                recall(torrent)
        if was_waiting and not self._is_waiting:
            for torrent in running:
                call_again(torrent)
            session.announcing.go_on()
        for torrent in running:
            session.shown(torrent)

    def _change_relay(self) -> None:
        """From another relay we are a stranger to everybody whom we speak uTP with."""
        session = self._session
        if session.utp is not None:
            session.utp.part(PeerError("the proxy has ended its relay"))
        session.udp.close()
        if self._relay is None:
            log.info("no uTP, DHT or UDP trackers: %s", self._link.why_no_relay)
            return
        try:
            session.udp.relay_by(self._route.to_relay(self._relay), self._relay)
        except OSError as error:
            log.warning("no UDP socket for the relay %s: %s", self._relay, error)

    async def _rejoin_dht(self) -> None:
        session = self._session
        async with self._changing_dht:
            await session.dht.stop()
            try:
                if session.udp.families:
                    await join_dht(session)
            except StorageError as error:
                log.error("%s", error)
        for torrent in list(session.torrents.values()):
            session.dht_announcing.look_at(torrent)
