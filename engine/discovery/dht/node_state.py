"""What a node keeps for its next run: its id and whom it knew (BEP 5)."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core import bencode
from engine.discovery.dht.contact import Contact, pack_nodes, unpack_nodes
from engine.discovery.dht.node_id import ID_BYTES, NodeId
from engine.errors import InputError, PeerError

MAX_CONTACTS = 300


@dataclass(frozen=True, slots=True)
class NodeState:
    node_id: NodeId
    contacts: tuple[Contact, ...] = ()

    def encode(self) -> bytes:
        """Bytes for the database."""
        v4 = (contact for contact in self.contacts if not contact.endpoint.is_ipv6)
        v6 = (contact for contact in self.contacts if contact.endpoint.is_ipv6)
        return bencode.encode(
            {"id": self.node_id, "nodes": pack_nodes(v4), "nodes6": pack_nodes(v6)}
        )

    @classmethod
    def decode(cls, data: bytes) -> NodeState:
        """Read what `encode` wrote. Raises InputError."""
        fields = bencode.decode_dict(data)
        node_id, nodes, nodes6 = (fields.get(name) for name in (b"id", b"nodes", b"nodes6"))
        if (
            not (
                isinstance(node_id, bytes)
                and isinstance(nodes, bytes)
                and isinstance(nodes6, bytes)
            )
            or len(node_id) != ID_BYTES
        ):
            raise InputError("no saved state of a DHT node")
        try:
            contacts = unpack_nodes(nodes, ipv6=False) + unpack_nodes(nodes6, ipv6=True)
        except PeerError as error:
            raise InputError(f"damaged state of a DHT node: {error}") from error
        return cls(NodeId(node_id), tuple(contacts[:MAX_CONTACTS]))
