from __future__ import annotations

import dataclasses
import typing

import pytest

from engine.wire import messages
from engine.wire.messages import Cancel, Have, Message, MessageId, Reject, Request


def test_the_union_names_every_message_of_the_module() -> None:
    values = {
        value
        for value in vars(messages).values()
        if isinstance(value, type)
        and value.__module__ == messages.__name__
        and value is not MessageId
    }
    assert values == set(typing.get_args(Message))


def test_ids_are_those_of_the_specifications() -> None:
    assert {member.name: int(member) for member in MessageId} == {
        "CHOKE": 0,
        "UNCHOKE": 1,
        "INTERESTED": 2,
        "NOT_INTERESTED": 3,
        "HAVE": 4,
        "BITFIELD": 5,
        "REQUEST": 6,
        "PIECE": 7,
        "CANCEL": 8,
        "PORT": 9,
        "SUGGEST": 13,
        "HAVE_ALL": 14,
        "HAVE_NONE": 15,
        "REJECT": 16,
        "ALLOWED_FAST": 17,
        "EXTENDED": 20,
    }


def test_values_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Have(1).index = 2  # type: ignore[misc]


def test_a_request_is_the_tuple_that_names_its_block() -> None:
    assert Request(1, 2, 3) == (1, 2, 3)
    assert Cancel(1, 2, 3) != Reject(1, 2, 3)
