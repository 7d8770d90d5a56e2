"""A driver of libtorrent; what it can and cannot do stands in clients.py."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from importlib import util
from pathlib import Path
from typing import Any, ClassVar

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from tests.interop.driver import LOOPBACK, START_S, ClientError, eventually

_GOODBYE_S = 3.0


class LibtorrentClient:
    """libtorrent-rasterbar in this process, through its Python module."""

    name: ClassVar[str] = "libtorrent"
    can_dial: ClassVar[bool] = True
    has_udp_trackers: ClassVar[bool] = True
    makes_empty_files: ClassVar[bool] = True

    def __init__(
        self,
        host: str = LOOPBACK,
        settings: Mapping[str, Any] | None = None,
        flags: Sequence[str] = (),
        *,
        favours_neighbours: bool = True,
    ) -> None:
        """`settings` override the session's, for example rate limits; `flags` are names of torrent
        flags that each torrent gets. Unless it `favours_neighbours`, peers on loopback and in
        private networks are choked and slowed down like others."""
        self._host = host
        self._favours_neighbours = favours_neighbours
        self._flags = flags
        self._settings = settings or {}
        self._session: Any = None
        self._handles: dict[InfoHash, Any] = {}
        self._flushed: set[InfoHash] = set()
        self._port = 0

    @classmethod
    def missing(cls) -> str | None:
        found = util.find_spec("libtorrent")
        return None if found else "libtorrent is not installed (pip install libtorrent)"

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self._host, self._port)

    async def start(self, directory: Path) -> None:
        import libtorrent as lt

        categories = lt.alert.category_t
        self._session = lt.session(
            {
                "listen_interfaces": str(Endpoint(self._host, 0)),
                "outgoing_interfaces": self._host,
                "enable_dht": False,
                "enable_lsd": False,
                "enable_upnp": False,
                "enable_natpmp": False,
                "enable_incoming_utp": False,
                "enable_outgoing_utp": False,
                "out_enc_policy": int(lt.enc_policy.pe_disabled),
                "allow_multiple_connections_per_ip": True,
                "min_announce_interval": 1,
                "min_reconnect_time": 1,
                "stop_tracker_timeout": 1,
                # It keeps connection ids by address for all sessions of a process, whatever port
                # the tracker has: that of the test before would refuse it.
                "udp_tracker_token_expiry": 0,
                # Or it asks trackers on loopback for /announce only, and never scrapes.
                "ssrf_mitigation": False,
                "alert_mask": categories.error_notification
                | categories.storage_notification
                | categories.status_notification,
                **self._settings,
            }
        )
        if not self._favours_neighbours:
            self._session.set_peer_class_filter(lt.ip_filter())
        await eventually(self._listens, START_S, "libtorrent does not listen")

    async def _listens(self) -> bool:
        self._port = self._session.listen_port()
        return bool(self._port)

    async def add(
        self,
        torrent: bytes,
        save_path: Path,
        *,
        peers: Sequence[Endpoint] = (),
        seed: bool = False,
    ) -> InfoHash:
        import libtorrent as lt

        params = lt.load_torrent_buffer(torrent)
        params.save_path = str(save_path)
        params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
        for flag in self._flags:
            params.flags |= getattr(lt.torrent_flags, flag)
        params.peers = [tuple(peer) for peer in peers]
        info_hash = Metainfo.parse(torrent).info_hash
        handle = self._handles[info_hash] = self._session.add_torrent(params)

        async def has_looked() -> bool:
            """Until then it closes an encrypted connection, and a plain one would follow that."""
            status = handle.status()
            looking = (lt.torrent_status.checking_files, lt.torrent_status.checking_resume_data)
            return bool(status.errc.value()) or status.state not in looking

        await eventually(has_looked, START_S, "libtorrent does not finish looking at the files")
        return info_hash

    async def add_magnet(
        self, link: str, save_path: Path, *, peers: Sequence[Endpoint] = ()
    ) -> InfoHash:
        """Add a torrent by a magnet link alone."""
        import libtorrent as lt

        params = lt.parse_magnet_uri(link)
        params.save_path = str(save_path)
        params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
        params.peers = [*params.peers, *(tuple(peer) for peer in peers)]
        info_hash = Magnet.parse(link).info_hash
        self._handles[info_hash] = self._session.add_torrent(params)
        return info_hash

    async def wait_complete(self, info_hash: InfoHash, timeout_s: float) -> None:
        import libtorrent as lt

        handle = self._handles[info_hash]

        async def finished() -> bool:
            status = handle.status()
            if status.errc.value():
                raise ClientError(f"libtorrent: {status.errc.message()}")
            return bool(status.is_seeding)

        def where() -> str:
            return f"libtorrent is at {handle.status().progress:.1%}: {handle.status().state}"

        await eventually(finished, timeout_s, where)
        self._flushed.discard(info_hash)
        handle.flush_cache()

        async def flushed() -> bool:
            # Whoever asks first gets the alerts of all who wait.
            for alert in self._session.pop_alerts():
                if isinstance(alert, lt.cache_flushed_alert):
                    self._flushed.update(
                        each for each, known in self._handles.items() if known == alert.handle
                    )
            return info_hash in self._flushed

        await eventually(flushed, timeout_s, "libtorrent does not write what it has")

    async def progress(self, info_hash: InfoHash) -> float:
        return float(self._handles[info_hash].status().progress)

    async def connect_peer(self, info_hash: InfoHash, peer: Endpoint) -> None:
        self._handles[info_hash].connect_peer((peer.host, peer.port))

    def add_node(self, node: Endpoint) -> None:
        """Name a node of the DHT to join by; its settings must turn that on."""
        self._session.add_dht_node(tuple(node))

    async def stop(self) -> None:
        """Say goodbye first: the end of a session holds up this loop, and a tracker in it."""
        session, self._session = self._session, None
        self._handles.clear()
        if session is None:
            return
        handles = session.get_torrents()
        for handle in handles:
            handle.pause()

        async def has_said_goodbye() -> bool:
            return not any(
                endpoint["updating"]
                for handle in handles
                for tracker in handle.trackers()
                for endpoint in tracker["endpoints"]
            )

        with contextlib.suppress(TimeoutError):
            await eventually(has_said_goodbye, _GOODBYE_S, "a tracker does not answer")
