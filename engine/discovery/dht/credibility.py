"""What of an answer its sender can know: no node outside of a local network knows its addresses.

Without this, any node of the DHT could send us into the network that we live in (BEP 5, 32).
"""

from __future__ import annotations

from dataclasses import replace

from engine.core.scope import is_local
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.messages import Reply


def credible(reply: Reply, teller: str) -> Reply:
    """Leave out the local addresses in the answer of a node at the address `teller`."""
    if is_local(teller) or not _has_local(reply):
        return reply
    return replace(
        reply,
        nodes=_global(reply.nodes),
        nodes6=_global(reply.nodes6),
        values=tuple(peer for peer in reply.values if not is_local(peer.host)),
    )


def _has_local(reply: Reply) -> bool:
    contacts = (*(reply.nodes or ()), *(reply.nodes6 or ()))
    hosts = (*(each.endpoint.host for each in contacts), *(peer.host for peer in reply.values))
    return any(map(is_local, hosts))


def _global(nodes: tuple[Contact, ...] | None) -> tuple[Contact, ...] | None:
    if nodes is None:
        return None
    return tuple(contact for contact in nodes if not is_local(contact.endpoint.host))
