"""Being reached: the router leads our port to us, and torrents know where others see us."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.scope import Scope, scope_of
from engine.net.port_mapper import MappingState, PortMapper

if TYPE_CHECKING:
    from engine.session.session import Session


class Reaching:
    """One for a session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._announced_port = 0
        self.mapper = PortMapper(session.route, session.spawn, lambda: session.port)
        self.mapper.on_change.append(self._on_mapping)
        self._reachability = session.facilities.reachability
        self._reachability.on_change = self._on_address
        session.dht.on_address = self._reachability.learned

    @property
    def port(self) -> int:
        """The port that others reach us at."""
        return self.mapper.mapping.external_port or self._session.port

    def start(self) -> None:
        """Have the port mapped, behind this, where that can be of use."""
        session = self._session
        host = session.route.host
        is_alone = host is not None and scope_of(host) is Scope.MACHINE
        is_wanted = (
            session.options.port_mapping
            and not session.facilities.limits.is_isolated
            and session.route.proxy is None
        )
        if is_wanted and not is_alone:
            self.mapper.start()
            session.route.on_change.append(lambda _: self.mapper.look_again())

    def port_changed(self) -> None:
        """The session listens on another port now: the router is to know."""
        self._announced_port = 0
        self.mapper.port_changed()

    async def stop(self) -> None:
        await self.mapper.stop()

    def _on_mapping(self) -> None:
        mapping = self.mapper.mapping
        if mapping.state is not MappingState.MAPPED:
            return
        if mapping.external_host is not None:
            self._reachability.learned(mapping.external_host)
        if self.port != (self._announced_port or self._session.port):
            for torrent in self._session.torrents.values():
                if torrent.state.is_running:
                    torrent.announcer.announce_now()
        self._announced_port = self.port

    def _on_address(self) -> None:
        ours = self._session.facilities.our_endpoints()
        for torrent in self._session.torrents.values():
            for swarm in (torrent.live and torrent.live.peers, torrent.fetching):
                if swarm:
                    swarm.known.set_ours(ours)
