"""One connected peer of one torrent: its connection, its side of the protocol, its queues. HOT.

A peer takes what arrives apart and passes it to the torrent's parts by topic; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from engine.core.bitfield import Bitfield
from engine.core.compact import Endpoint
from engine.core.geometry import BLOCK_LENGTH, Geometry
from engine.core.identifiers import PeerId
from engine.core.rates import RateEstimate
from engine.core.scope import household_of, is_local
from engine.errors import PeerError
from engine.net.connection import RECEIVE_BUFFER_BYTES, Connection
from engine.swarm.debts import Debt
from engine.swarm.hole_punching import Acquaintance
from engine.swarm.peer_list import PeerSource
from engine.swarm.pex_exchange import Hearing, Telling
from engine.swarm.places import Place
from engine.swarm.request_queue import RequestQueue
from engine.swarm.small_talk import SmallTalk
from engine.swarm.upload_queue import UploadQueue
from engine.swarm.uptake import Uptake
from engine.torrent.slabs import FIRST_BATCH
from engine.wire import encoder
from engine.wire.client_name import client_name
from engine.wire.decoder import Decoder
from engine.wire.extensions import ExtensionHandshake
from engine.wire.handshake import Handshake
from engine.wire.messages import Block, BlockRun, JoinedBlocks, Request, RequestRun
from engine.wire.peer_protocol import PeerProtocol

if TYPE_CHECKING:
    from engine.torrent.live import LiveTorrent

_KEEP_ALIVE_S = 100.0
LATE_HAVES_S = 3.0
"""Between two times that a peer hears of pieces of which it can do nothing: in a crowd that is most
of all packets, and of what the cores do. A seed hears each second who passes on what it sends."""
_MAX_UNSENT_BYTES = 4 * 1024 * 1024
_MAX_UNSENT_MESSAGES = 16 * 1024
"""Beyond what the kernel holds: far more than a batch of blocks, and a have for every piece that
we get while the peer pauses."""
_SMALL_READ_BYTES = 16 * 1024
"""A megabyte of small messages would stop the loop for seconds; a megabyte of blocks does not."""
_TINY_READ_BYTES = 512
"""Of small messages, when others have said much in the same turn of the loop: tens of requests."""
_BULKY_BYTES = 1024
"""Bytes a message, on average, that make a long read harmless."""
_COUNTED_AT_ONCE = 256
"""A read may bring far more messages than anybody has the right to."""
_WORTH_LANDING = 64 * 1024
"""Bytes of a message that are worth being received right into their piece."""
SILENCE_LIMIT_S = 150.0
"""Peers keep alive every two minutes at least (BEP 3); one that does not is gone."""


class Peer:
    """A peer after its handshake. It is the handler of its connection."""

    __slots__ = (
        "_read_bytes",
        "_talk",
        "accounted",
        "acquaintance",
        "batch",
        "comes_last",
        "connected_at",
        "connection",
        "debt",
        "decoder",
        "down",
        "extension",
        "gained",
        "granted_fast",
        "had_at_first",
        "has_dht",
        "heard_at",
        "hearing",
        "hoards",
        "household",
        "is_incoming",
        "is_optimistic",
        "is_reading_disk",
        "is_slow",
        "is_snubbed",
        "joined",
        "late_haves",
        "listens_at",
        "metadata_given",
        "peer_id",
        "pieces",
        "place",
        "protocol",
        "queue",
        "source",
        "spoke_at",
        "swarm",
        "telling",
        "told_at",
        "unchoked_at",
        "up",
        "uploads",
        "uptake",
    )

    def __init__(
        self,
        swarm: LiveTorrent,
        connection: Connection,
        handshake: Handshake,
        geometry: Geometry,
        *,
        source: PeerSource,
        is_incoming: bool,
        now: float,
    ) -> None:
        self.swarm = swarm
        self.connection = connection
        self.peer_id = PeerId(handshake.peer_id)
        self.source = source
        self.is_incoming = is_incoming
        self.has_dht = handshake.supports_dht
        self.decoder = Decoder()
        self.decoder.set_bitfield_bytes((geometry.piece_count + 7) // 8)
        if geometry.is_even:
            self.decoder.tell_runs(geometry.piece_length)
        self.protocol = PeerProtocol(
            geometry, fast=handshake.supports_fast, extensions=handshake.supports_extensions
        )
        self.pieces: Bitfield = self.protocol.peer_pieces
        self.had_at_first = 0
        """Pieces that they had when they came."""
        self.gained: list[int] = []
        """Pieces that they said they have, in the read that is being taken apart."""
        self.queue = RequestQueue(now)
        self.uploads = UploadQueue(geometry)
        """What they asked of us and we have not sent."""
        self.extension: ExtensionHandshake | None = None
        self.granted_fast: frozenset[int] = frozenset()
        """Pieces that we let them ask for while we choke them."""
        self.down = RateEstimate(now)
        self.up = RateEstimate(now)
        self.connected_at = now
        self.heard_at = now
        self.spoke_at = now
        self.place = Place(now)
        self.listens_at: Endpoint | None = None
        """Where an incoming peer said that it listens."""
        self.telling: Telling | None = None
        self.hearing: Hearing | None = None
        """Peer exchange with them, each way from the first message on."""
        self.acquaintance: Acquaintance | None = None
        """Hole punching with them, if they ever spoke it."""
        self.metadata_given = 0
        """Pieces of the info dictionary that we sent them."""
        self.unchoked_at: float | None = None
        """When we last unchoked them."""
        self.uptake = Uptake(now)
        self.is_optimistic = False
        self.comes_last = False
        """Its host let a turn go by."""
        # Behind a local address there may be many, and a swarm on one machine has no other.
        remote = connection.remote
        self.household: Hashable = remote if is_local(remote.host) else household_of(remote.host)
        """Whom to remember it by."""
        self.debt: Debt = swarm.upload.debts.of(self.household)
        self.accounted = 0, 0
        """Bytes to them and from them that the debt knows of."""
        self.hoards = False
        """It passes nothing on of what we seed."""
        self.late_haves: list[int] = []
        """Pieces that we have and have not told them of yet."""
        self.told_at = now
        """When they last heard of pieces."""
        self.is_snubbed = False
        self.is_slow = False
        """It sends much less than the others do."""
        self.batch = FIRST_BATCH
        """Blocks to send them at a time: more while their link takes all at once."""
        self.joined = 1
        """Blocks that they take in one message."""
        self.is_reading_disk = False
        """A batch of their requests is being read by a disk thread."""
        self._read_bytes = _SMALL_READ_BYTES
        self._talk = SmallTalk(now, more=geometry.piece_count)

    # ── what the connection tells ───────────────────────────────────────────────────────────────

    def landing(self) -> memoryview | None:
        """See LandingHandler. HOT."""
        joined = self.decoder.joined
        if joined.left < _WORTH_LANDING:
            return None
        place = self.swarm.download.place_for(self, *joined.rest)
        return None if place is None else joined.land_in(place)

    def on_landed(self, count: int, data: memoryview) -> None:
        """See LandingHandler. HOT."""
        index, begin, _ = self.decoder.joined.rest
        whole = self.decoder.joined.landed(count)
        self.heard_at = self.swarm.now()
        if whole:
            begins = range(begin, begin + whole, BLOCK_LENGTH)
            self.swarm.download.on_landed(self, index, begins)
        self.on_data(data, landed=count, payload=whole)

    def on_data(self, data: memoryview, *, landed: int = 0, payload: int = 0) -> None:
        """See ConnectionHandler; `payload` of the `landed` bytes before are whole blocks. HOT."""
        unsent = self.connection.pending_bytes
        if unsent > _MAX_UNSENT_BYTES or self.connection.pending_writes > _MAX_UNSENT_MESSAGES:
            raise PeerError(f"{self.connection.remote} asks and does not read the answers")
        swarm = self.swarm
        download, upload = swarm.download, swarm.upload
        self.heard_at = swarm.now()
        swarm.down.take(len(data) + landed, self)
        requests: list[Request | RequestRun] = []
        talk = 0
        messages = self.decoder.feed(data)
        for message in messages:
            kind = type(message)
            if kind is BlockRun:
                payload += BLOCK_LENGTH * len(message[2])  # type: ignore[arg-type,index]
                download.on_run(self, message)  # type: ignore[arg-type]
            elif kind is JoinedBlocks:
                payload += len(message[2])  # type: ignore[arg-type,index]
                download.on_joined(self, message)  # type: ignore[arg-type]
            elif kind is Block:
                payload += len(message[2])  # type: ignore[arg-type,index]
                download.on_block(self, *message)  # type: ignore[misc]
            elif kind is RequestRun or kind is Request:
                requests.append(message)  # type: ignore[arg-type]
                continue
            else:
                if requests:  # a cancel, or not interested, may follow them
                    upload.on_requests(self, requests)
                    requests = []
                talk += 1
                if talk == _COUNTED_AT_ONCE:
                    self.count_talk(talk)
                    talk = 0
                swarm.conversation.on_message(self, message)
            if self.connection.is_closed:
                return
        if talk:
            self.count_talk(talk)
        if self.gained:
            gained, self.gained = self.gained, []
            download.on_haves(self, gained)
            if self.connection.is_closed:
                return
        if payload:
            self.down.add(payload)
            swarm.count_downloaded(payload)
            is_bulky = len(messages) * _BULKY_BYTES < max(len(data), payload)
            self._read_bytes = RECEIVE_BUFFER_BYTES if is_bulky else _SMALL_READ_BYTES
            download.on_progress(self)
        elif messages:
            self._read_bytes = _SMALL_READ_BYTES
        if requests:
            upload.on_requests(self, requests)
        if self.uploads:
            upload.pump(self)
        self.connection.flush()
        self.connection.expect(self.decoder.missing_bytes)

    def count_talk(self, count: int) -> None:
        """Raise PeerError if the peer keeps us busy with messages that move nothing."""
        if not self._talk.allows(count, self.heard_at):
            raise PeerError(f"{self.connection.remote} floods us with small messages")

    def on_writable(self) -> None:
        self.swarm.upload.pump(self)

    def on_closed(self, error: Exception | None) -> None:
        self.swarm.peers.on_closed(self, error)

    def read_quota(self) -> int:
        quota = self.swarm.down.quota(self)
        if quota <= 0:
            self.swarm.down.wait(self, self.connection.resume_reading)
        most = self._read_bytes
        facilities = self.swarm.facilities
        if most == _SMALL_READ_BYTES and facilities.turn.is_long(facilities.loop):
            most = max(_TINY_READ_BYTES, min(most, self.decoder.missing_bytes))
        return min(most, quota)

    # ── what we tell them ───────────────────────────────────────────────────────────────────────

    def send(self, data: bytes) -> None:
        self.spoke_at = self.swarm.now()
        self.connection.write(data)

    def can_use(self, indexes: Sequence[int]) -> bool:
        """True if they could ask for one of these pieces of ours now, or would say that they want
        to. Else there is no hurry, and each packet costs both sides something."""
        protocol, theirs = self.protocol, self.pieces
        if protocol.peer_interested and protocol.am_choking:
            return False
        return any(not theirs[index] for index in indexes)

    def take_late_haves(self) -> bytes:
        """Return the messages that are still to be sent, for the caller to do it."""
        indexes, self.late_haves = self.late_haves, []
        self.told_at = self.swarm.now()
        return encoder.haves(indexes)

    def keep_alive(self, now: float) -> None:
        """Once a second: say what may not wait for longer."""
        if self.late_haves and (self.pieces.is_full or now - self.told_at >= LATE_HAVES_S):
            self.send(self.take_late_haves())
        if now - self.spoke_at > _KEEP_ALIVE_S:
            self.send(encoder.keep_alive())

    def choke(self) -> None:
        if not self.protocol.am_choking:
            self.protocol.am_choking = True
            self.is_optimistic = False
            self.send(encoder.choke())

    def unchoke(self, now: float) -> None:
        if self.protocol.am_choking:
            self.protocol.am_choking = False
            self.unchoked_at = now
            self.send(self.take_late_haves() + encoder.unchoke())

    def set_interested(self, interested: bool) -> None:
        if self.protocol.am_interested != interested:
            self.protocol.am_interested = interested
            self.send(encoder.interested() if interested else encoder.not_interested())

    # ── what others ask about them ──────────────────────────────────────────────────────────────

    @property
    def is_seed(self) -> bool:
        """True if they want nothing of us: they have all, or said `upload_only` (BEP 21)."""
        return self.pieces.is_full or bool(self.extension and self.extension.upload_only)

    @property
    def had(self) -> int:
        """Pieces that they have."""
        return self.pieces.count

    @property
    def dial_address(self) -> Endpoint:
        """The address under which the peer list knows them."""
        return self.listens_at or self.connection.remote

    @property
    def owes(self) -> bool:
        """They took and gave nothing, while we wanted something."""
        return self.debt.is_open

    @property
    def is_interested(self) -> bool:
        return self.protocol.peer_interested

    @property
    def is_waiting(self) -> bool:
        """One of us wants what the other has, and something may come of it."""
        wants, is_wanted = self.protocol.peer_interested, self.protocol.am_interested
        return (wants and not self.comes_last) or (is_wanted and not self.is_snubbed)

    @property
    def is_named(self) -> bool:
        """The user wants it here."""
        return self.source is PeerSource.MANUAL

    @property
    def is_choked(self) -> bool:
        return self.protocol.am_choking

    @property
    def download_rate(self) -> float:
        """Bytes a second from them."""
        return self.down.rate

    @property
    def upload_rate(self) -> float:
        """Bytes a second to them."""
        return self.up.rate

    @property
    def client(self) -> str:
        """What they call themselves (BEP 10), else what their peer id says (BEP 20)."""
        return (self.extension.client if self.extension else "") or client_name(self.peer_id)

    def __repr__(self) -> str:
        return f"Peer({self.connection.remote}, {self.client})"
