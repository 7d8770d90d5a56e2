"""Following the way out: what a session does when its interface goes, changes or comes back, and
when it is to be reached at another port.

While nothing can leave, nothing is tried: no dial, no announce. Who was connected by a way that is
gone is let go of, the port is opened anew, and trackers hear where we are now.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.errors import InputError, PeerError, StorageError
from engine.net.connection import Connection, Transport
from engine.session.port_file import PortFile
from engine.session.ports import move_ports, open_ports
from engine.torrent.torrent import Torrent

if TYPE_CHECKING:
    from engine.session.session import Session

log = logging.getLogger(__name__)

_AGAIN_S = 2.0
"""After a port could not be opened: an address may need a moment until it is ours."""


class Rerouting:
    """One for a session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._route = session.route
        self._route.on_change.append(self._on_change)
        self._changing_dht = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._port = session.options.listen_port
        path = session.options.listen_port_file
        self.port_file = None if path is None else PortFile(path, self.listen_at)

    async def start(self) -> None:
        """Open the port and join the DHT, now or when that can be. Raises InputError,
        StorageError."""
        if self.port_file is not None:
            await self.port_file.look()
            self._session.spawn(self.port_file.run())
        self._route.watch()
        if waiting := self._route.waiting:
            log.warning("%s: nothing leaves before", waiting)
            return
        self._open()
        await join_dht(self._session)

    async def stop(self) -> None:
        """Nothing is left to be done."""

    def close(self) -> None:
        self._route.on_change.remove(self._on_change)
        self._route.close()
        if self._timer is not None:
            self._timer.cancel()

    def _open(self) -> None:
        session = self._session
        open_ports(
            session.incoming.listener,
            session.udp,
            self._port or session.port,
            uses_tcp=Transport.TCP in session.options.transports,
        )

    def listen_at(self, port: int) -> None:
        """Be reached at another port from now on. What is connected by TCP stays. Raises
        InputError: it cannot be had, and nothing changed."""
        session = self._session
        if port == self._port:
            return
        if not session.endpoints or port == session.port:
            self._port = port  # it is opened when that can be, or is already
            return
        move_ports(
            session.incoming.listener,
            session.udp,
            port,
            uses_tcp=Transport.TCP in session.options.transports,
            last_words=self._part_from_utp,
        )
        self._port = port
        log.info("the port is another one: peers at %s", ", ".join(map(str, session.endpoints)))
        session.reaching.port_changed()
        for torrent in list(session.torrents.values()):
            if torrent.state.is_running:
                call_again(torrent)
        session.dht_announcing.announce_all()
        session.local_peers.announce_all()

    def _part_from_utp(self) -> None:
        if self._session.utp is not None:
            self._session.utp.part(PeerError("our port has changed"))

    def _on_change(self, families: frozenset[bool]) -> None:
        session = self._session
        session.incoming.listener.close()
        session.udp.close()
        for torrent in list(session.torrents.values()):
            _let_go(torrent, families)
        if waiting := self._route.waiting:
            log.warning("%s: nothing leaves before", waiting)
        else:
            self._reopen()
        for torrent in list(session.torrents.values()):
            if torrent.state.is_running:
                session.shown(torrent)
        session.spawn(self._rejoin_dht())

    def _reopen(self) -> None:
        """Open the port, if need be again until it can be had; then go on."""
        self._timer = None
        if self._route.waiting:
            return
        session = self._session
        try:
            self._open()
        except InputError as error:
            log.warning("%s; trying again", error)
            self._timer = asyncio.get_running_loop().call_later(_AGAIN_S, self._reopen)
            return
        where = ", ".join(map(str, session.endpoints))
        log.info("%s is there: peers at %s", self._route.interface, where)
        for torrent in list(session.torrents.values()):
            if torrent.state.is_running:
                call_again(torrent)
        session.announcing.go_on()

    async def _rejoin_dht(self) -> None:
        """Its nodes are of the families that the port has."""
        session = self._session
        async with self._changing_dht:
            await session.dht.stop()
            try:
                if session.udp.endpoints:
                    await join_dht(session)
            except StorageError as error:
                log.error("%s", error)
        for torrent in list(session.torrents.values()):
            session.dht_announcing.look_at(torrent)


def _let_go(torrent: Torrent, families: frozenset[bool]) -> None:
    """Close what a peer of a family that is gone cannot hear of; TCP has ended already."""
    gone = PeerError("the way out has changed")
    connections: list[Connection] = []
    if torrent.live is not None:
        connections += [peer.connection for peer in torrent.live.peers.connected]
    if torrent.fetching is not None:
        connections += [peer.connection for peer in torrent.fetching.connected]
    for connection in connections:
        if connection.remote.is_ipv6 in families:
            connection.close(gone)


async def join_dht(session: Session) -> None:
    """Begin to join the DHT where that is wished. Raises StorageError."""
    if session.options.dht.is_enabled and not session.facilities.limits.is_isolated:
        await session.dht.start()


def call_again(torrent: Torrent) -> None:
    """Dial all again, and tell the trackers that we are here."""
    recall(torrent)
    torrent.announcer.announce_now()


def recall(torrent: Torrent) -> None:
    """Dial all again, also whom nothing led to before: the way is another."""
    for swarm in (torrent.live.peers if torrent.live else None, torrent.fetching):
        if swarm is not None:
            swarm.known.recall(even_failed=True)
