from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.compact import Endpoint
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.node_id import NodeId
from engine.discovery.dht.node_state import MAX_CONTACTS, NodeState
from engine.errors import InputError

ID = NodeId(b"i" * 20)


def test_what_is_saved_comes_back() -> None:
    contacts = [Contact(NodeId(bytes([n]) * 20), Endpoint(f"1.2.3.{n}", n)) for n in range(1, 9)]
    contacts.append(Contact(ID, Endpoint("2001:db8::1", 9)))
    state = NodeState(ID, tuple(contacts))
    assert NodeState.decode(state.encode()) == state
    assert NodeState.decode(NodeState(ID).encode()) == NodeState(ID)


def test_a_large_state_is_cut() -> None:
    contacts = (Contact(ID, Endpoint("1.2.3.4", 5)),) * 1000
    assert len(NodeState.decode(NodeState(ID, contacts).encode()).contacts) == MAX_CONTACTS


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"de",
        b"le",
        b"d2:id20:iiiiiiiiiiiiiiiiiiii5:nodes1:x6:nodes60:e",
        b"d2:id3:iii5:nodes0:6:nodes60:e",
        b"d2:id20:iiiiiiiiiiiiiiiiiiii5:nodesi1e6:nodes60:e",
    ],
)
def test_damaged_state_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        NodeState.decode(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        NodeState.decode(data)
