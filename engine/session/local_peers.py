"""Peers in the local network, for all torrents: one queue, one timer, two sockets (BEP 14).

Which torrents are announced is decided anew for every datagram, so that what turned out to be
private is not (BEP 27).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from engine.core.compact import Endpoint
from engine.discovery.local_discovery import (
    IPV4_GROUP,
    IPV6_GROUP,
    LocalAnnounce,
    LocalDiscovery,
    encode,
)
from engine.errors import ProtocolError
from engine.net.multicast import Multicast
from engine.session.alarm import Alarm
from engine.session.options import SessionOptions
from engine.swarm.peer_list import PeerSource
from engine.torrent.facilities import Facilities
from engine.torrent.torrent import Torrent

log = logging.getLogger(__name__)

_LOOK_S = 60.0
"""How often the interfaces are looked at."""
_NEW_AGAIN_S = 3600.0
"""A seed calls the same neighbour no sooner: whoever wants something of it hears of it, too."""
_MAX_MET = 4096
_GROUPS = (IPV4_GROUP, IPV6_GROUP)


class LocalPeers:
    """Announces the torrents of a session to its neighbours, and hears theirs."""

    def __init__(
        self,
        facilities: Facilities,
        options: SessionOptions,
        find: Callable[[bytes], Torrent | None],
    ) -> None:
        """`find` maps the 20 bytes of an announce to a torrent of the session."""
        self._loop = loop = facilities.loop
        self._find = find
        self._listen_port = facilities.listen_port
        self.is_on = (
            options.lsd and not options.limits.is_isolated and facilities.route.proxy is None
        )
        """Else nothing is said, nothing heard, and no socket opened."""
        self._discovery = LocalDiscovery(facilities.rng, loop.time())
        self._multicast = Multicast(loop, _GROUPS, self._on_datagram, facilities.route)
        self._looked_at = -math.inf
        self._alarm = Alarm(loop, self._turn)
        self._met: dict[tuple[bytes, Endpoint], float] = {}
        """When a neighbour was new to a torrent; the oldest first."""
        self._is_unheard = False
        """Nothing could be sent the last time: there is no network, or it was not ready."""

    @property
    def has_turned(self) -> bool:
        """True once something was announced, or would have been if there were a network."""
        return self._looked_at > -math.inf

    def look_at(self, torrent: Torrent) -> None:
        """A torrent joined or left its swarm, or may have. Cheap."""
        if not self.is_on:
            return
        info_hash = bytes(torrent.info_hash[:20])
        if not is_announced(torrent):
            self._discovery.forget(info_hash)
        elif info_hash not in self._discovery:
            self._discovery.want(info_hash)
            self._set_alarm()

    def announce_all(self) -> None:
        """What was announced names a port that is not ours any more."""
        self._discovery.begin_again()
        self._set_alarm()

    def _set_alarm(self) -> None:
        if not len(self._discovery):
            return  # a turn that comes all the same finds nothing
        at = min(self._discovery.next_at, self._looked_at + _LOOK_S)
        self._alarm.no_later_than(max(at, self._loop.time()))

    def _turn(self, now: float) -> None:
        if now - self._looked_at >= _LOOK_S:
            self._looked_at = now
            if self._multicast.look() or self._is_unheard:
                self._discovery.begin_again()
        announce = self._discovery.batch(now, self._listen_port())
        if announce is not None:
            for info_hash in announce.info_hashes:
                torrent = self._find(info_hash)
                if torrent is None or not is_announced(torrent):
                    self._discovery.forget(info_hash)
            hashes = tuple(each for each in announce.info_hashes if each in self._discovery)
            if hashes and announce.port:
                told = LocalAnnounce(announce.port, hashes, announce.cookie)
                sent = [self._multicast.send(group, encode(told, group)) for group in _GROUPS]
                self._is_unheard = not any(sent)
        self._set_alarm()

    def _on_datagram(self, datagram: bytes, host: str) -> None:
        now = self._loop.time()
        try:
            announce = self._discovery.heard(datagram, now)
        except ProtocolError as error:
            log.debug("%s: %s", host, error)
            return
        if announce is None:
            return
        neighbour = Endpoint(host, announce.port)
        for info_hash in announce.info_hashes:
            torrent = self._find(info_hash)
            if torrent is None or not is_announced(torrent):
                continue
            is_new = self._is_new(info_hash, neighbour, now)
            if is_new:
                self._discovery.answer(info_hash, now)
                self._set_alarm()
            if is_new or not torrent.is_finished:
                torrent.found_peers([neighbour], PeerSource.LSD)

    def _is_new(self, info_hash: bytes, neighbour: Endpoint, now: float) -> bool:
        key = (info_hash, neighbour)
        if now - self._met.get(key, -math.inf) < _NEW_AGAIN_S:
            return False
        self._met.pop(key, None)
        self._met[key] = now
        if len(self._met) > _MAX_MET:
            del self._met[next(iter(self._met))]
        return True

    def close(self) -> None:
        self.is_on = False
        self._alarm.set(math.inf)
        self._multicast.close()


def is_announced(torrent: Torrent) -> bool:
    """Say whether neighbours may hear of a torrent: it is in its swarm, and not private."""
    return torrent.announcer.is_started and not torrent.summary.is_private
