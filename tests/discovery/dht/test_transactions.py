from __future__ import annotations

from random import Random

from engine.core.compact import Endpoint
from engine.discovery.dht.transactions import ID_BYTES, MAX_OPEN, TIMEOUT_S, Transactions

ONE, OTHER = Endpoint("1.2.3.4", 1), Endpoint("1.2.3.4", 2)


def test_an_answer_needs_the_id_and_the_address() -> None:
    transactions: Transactions[str] = Transactions(Random(1))
    transaction = transactions.begin(ONE, 0.0, "ping")
    assert len(transaction) == ID_BYTES
    assert transactions.is_awaited(ONE)
    assert not transactions.is_awaited(OTHER)
    assert transactions.end(transaction, OTHER) is None
    assert transactions.end(transaction[:-1], ONE) is None
    found = transactions.end(transaction, ONE)
    assert found is not None
    assert found.context == "ping"
    assert transactions.end(transaction, ONE) is None
    assert not transactions.is_awaited(ONE)
    assert transactions.next_at() == float("inf")


def test_they_expire_in_order() -> None:
    transactions: Transactions[int] = Transactions(Random(1))
    ids = [transactions.begin(ONE, float(n), n) for n in range(4)]
    transactions.end(ids[1], ONE)
    assert transactions.next_at() == TIMEOUT_S
    assert [each.context for each in transactions.expired(TIMEOUT_S + 2)] == [0, 2]
    assert transactions.next_at() == TIMEOUT_S + 3
    assert transactions.end(ids[0], ONE) is None
    assert transactions.is_awaited(ONE)
    assert [each.context for each in transactions.expired(1e9)] == [3]
    assert not transactions.is_awaited(ONE)


def test_ids_are_unique_and_the_end_is_known() -> None:
    transactions: Transactions[int] = Transactions(Random(1))
    ids = {transactions.begin(ONE, 0.0, n) for n in range(MAX_OPEN)}
    assert len(ids) == MAX_OPEN
    assert transactions.is_full
