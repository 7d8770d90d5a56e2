"""Nodes as addresses with an id: their compact form (BEP 5, 32), and which addresses are credible.

Node lists come from strangers: an address that no node can have is left out when it is read.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import NamedTuple

from engine.core.compact import Endpoint
from engine.discovery.dht.node_id import ID_BYTES, NodeId
from engine.errors import ProtocolError

_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


class Contact(NamedTuple):
    id: NodeId
    endpoint: Endpoint


def pack_nodes(contacts: Iterable[Contact]) -> bytes:
    """Pack contacts of one family as `nodes` (26 bytes each) or `nodes6` (38 bytes each)."""
    return b"".join(
        contact.id + contact.endpoint.packed_host() + contact.endpoint.port.to_bytes(2, "big")
        for contact in contacts
    )


def unpack_nodes(data: bytes, *, ipv6: bool) -> list[Contact]:
    """Unpack `nodes` or `nodes6`, without impossible addresses. Raises ProtocolError if torn."""
    width = 16 if ipv6 else 4
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    step = ID_BYTES + width + 2
    if len(data) % step:
        raise ProtocolError(f"node list of {len(data)} bytes, not a multiple of {step}")
    contacts = []
    for at in range(0, len(data), step):
        host = data[at + ID_BYTES : at + ID_BYTES + width]
        port = int.from_bytes(data[at + ID_BYTES + width : at + step], "big")
        if port and is_possible(host):
            endpoint = Endpoint(socket.inet_ntop(family, host), port)
            contacts.append(Contact(NodeId(data[at : at + ID_BYTES]), endpoint))
    return contacts


def is_possible(host: bytes) -> bool:
    """Say whether a node can be at this packed address: it is a unicast address of its family."""
    if len(host) == 4:
        return 0 < host[0] < 224
    if host[:12] == _MAPPED_PREFIX or host == bytes(16):
        return False
    return host[0] != 0xFF
