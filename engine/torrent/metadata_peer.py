"""One connected peer of a torrent without metadata: what is said till we have it (BEP 3, 5, 9, 10).

Nothing can be known of pieces yet, so that what the peer tells of them is not looked at: the
connection ends with the fetch, and a new one begins from the start. It may name others (BEP 11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.compact import Endpoint
from engine.core.identifiers import VERSION
from engine.errors import PeerError, ProtocolError
from engine.net.connection import Connection
from engine.swarm.peer_list import PeerSource
from engine.swarm.pex_exchange import Hearing
from engine.swarm.small_talk import SmallTalk
from engine.torrent.metadata_serving import METADATA_EXT_ID
from engine.torrent.peer_exchange import PEX_EXT_ID
from engine.wire import encoder, ut_metadata, ut_pex
from engine.wire.client_name import client_name
from engine.wire.decoder import Decoder
from engine.wire.extensions import ExtensionHandshake
from engine.wire.handshake import Handshake
from engine.wire.messages import Block, BlockRun, Extended, Port
from engine.wire.ut_metadata import MetadataData, MetadataReject, MetadataRequest

if TYPE_CHECKING:
    from engine.torrent.metadata import MetadataSwarm

_KEEP_ALIVE_S = 100.0
_READ_BYTES = 64 * 1024
"""At a time: of small messages that is milliseconds."""
_MAX_UNSENT_BYTES = 256 * 1024
"""Beyond what the kernel holds: far more than all that we could have to say."""


class MetadataPeer:
    """A peer after its handshake. It is the handler of its connection."""

    __slots__ = (
        "_decoder",
        "_ext_id",
        "_handshake",
        "_spoke_at",
        "_swarm",
        "_talk",
        "connection",
        "extension",
        "hearing",
        "is_set_aside",
        "received_bytes",
        "source",
        "tried_since",
        "useful_at",
    )

    def __init__(
        self,
        swarm: MetadataSwarm,
        connection: Connection,
        handshake: Handshake,
        source: PeerSource,
    ) -> None:
        now = swarm.now()
        self._swarm = swarm
        self._handshake = handshake
        self._decoder = Decoder()
        self._ext_id = 0
        """What they call ut_metadata; 0 = they do not speak it."""
        self._spoke_at = now
        self._talk = SmallTalk(now)
        self.connection = connection
        self.source = source
        self.extension: ExtensionHandshake | None = None
        self.hearing = Hearing(now)
        self.tried_since = now
        """When it connected; later if it was asked for nothing at first."""
        self.useful_at = now
        """When it gave a piece that it was asked for, or began."""
        self.is_set_aside = False
        """It goes because it is of no use now; nothing is held against it."""
        self.received_bytes = 0
        """Of metadata."""

    def open(self) -> None:
        """Say what stands behind the handshake: what we speak, and that we have nothing."""
        facilities = self._swarm.facilities
        ids = {ut_metadata.NAME: METADATA_EXT_ID}
        if facilities.limits.exchanges_peers:
            ids[ut_pex.NAME] = PEX_EXT_ID
        said = ExtensionHandshake(
            ids=ids,
            client=f"seedwright {VERSION}",
            listen_port=facilities.listen_port() or None,
            reqq=facilities.limits.max_request_queue,
            your_ip=self.connection.remote.host,
        )
        self._send(encoder.extended(0, said.encode()))
        if self._handshake.supports_fast:
            self._send(encoder.have_none())
        if self._handshake.supports_dht and facilities.dht.port:
            self._send(encoder.port(facilities.dht.port))

    # ── what the connection tells ───────────────────────────────────────────────────────────────

    def on_data(self, data: memoryview) -> None:
        remote, now = self.connection.remote, self._swarm.now()
        if self.connection.pending_bytes > _MAX_UNSENT_BYTES:
            raise PeerError(f"{remote} asks and does not read the answers")
        self._swarm.down.take(len(data), self)
        messages = self._decoder.feed(data)
        if not self._talk.allows(len(messages), now):
            raise PeerError(f"{remote} floods us with messages")
        for message in messages:
            match message:
                case Extended(0, payload):
                    self._on_extension_handshake(payload)
                case Extended(ext_id, payload) if ext_id == METADATA_EXT_ID:
                    self._on_metadata_message(payload)
                case Extended(ext_id, payload) if ext_id == PEX_EXT_ID:
                    if self._swarm.facilities.limits.exchanges_peers:
                        self._swarm.on_exchange(self, payload)
                case Port(port):
                    if port:
                        dht = self._swarm.facilities.dht
                        dht.met(Endpoint(self.connection.remote.host, port))
                case Block() | BlockRun():
                    raise ProtocolError(f"{self.connection.remote} sent a block unasked")
                case _:
                    pass
            if self.connection.is_closed:
                return
        self.connection.flush()

    def on_writable(self) -> None:
        """Nothing waits to be sent: requests are small."""

    def on_closed(self, error: Exception | None) -> None:
        self._swarm.on_closed(self, error)

    def read_quota(self) -> int:
        quota = self._swarm.down.quota(self)
        if quota <= 0:
            self._swarm.down.wait(self, self.connection.resume_reading)
        return min(_READ_BYTES, quota)

    def _on_extension_handshake(self, payload: bytes) -> None:
        said = ExtensionHandshake.decode(payload)
        self.extension = self.extension.updated(said) if self.extension else said
        self._ext_id = self.extension.ids.get(ut_metadata.NAME, 0)
        self._swarm.on_offer(self, self.extension.metadata_size if self._ext_id else None)

    def _on_metadata_message(self, payload: bytes) -> None:
        match ut_metadata.decode(payload):
            case MetadataData(piece, data):
                self._swarm.on_piece(self, piece, data)
            case MetadataReject(piece):
                self._swarm.on_reject(self, piece)
            case MetadataRequest(piece) if self._ext_id:
                answer = ut_metadata.encode(MetadataReject(piece))
                self._send(encoder.extended(self._ext_id, answer))
            case _:
                pass

    # ── what we tell them ───────────────────────────────────────────────────────────────────────

    def ask(self, piece: int) -> None:
        payload = ut_metadata.encode(MetadataRequest(piece))
        self._send(encoder.extended(self._ext_id, payload))

    def keep_alive(self, now: float) -> None:
        if now - self._spoke_at > _KEEP_ALIVE_S:
            self._send(encoder.keep_alive())

    def _send(self, data: bytes) -> None:
        self._spoke_at = self._swarm.now()
        self.connection.write(data)

    # ── what others ask about them ──────────────────────────────────────────────────────────────

    @property
    def promised_bytes(self) -> int:
        """The size of the dictionary that it says it has."""
        return (self.extension.metadata_size or 0) if self.extension else 0

    @property
    def client(self) -> str:
        """What they call themselves (BEP 10), else what their peer id says (BEP 20)."""
        said = self.extension.client if self.extension else ""
        return said or client_name(self._handshake.peer_id)

    def __repr__(self) -> str:
        return f"MetadataPeer({self.connection.remote}, {self.client})"
