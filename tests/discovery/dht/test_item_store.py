from __future__ import annotations

from dataclasses import replace
from random import Random

from engine.discovery.dht.item_store import (
    CAS_MISMATCH,
    INVALID_SIGNATURE,
    ITEM_LIFETIME_S,
    MAX_ITEMS_PER_HOST,
    OUTDATED,
    SERVER_ERROR,
    ItemStore,
)
from engine.discovery.dht.items import ImmutableItem, encode_value
from tests.discovery.dht.signatures import Signer, verify

SIGNER = Signer()


def _store(max_items: int = 1000) -> ItemStore:
    return ItemStore(verify, Random(1), max_items=max_items)


def test_items_are_kept_and_expire() -> None:
    store = _store()
    item = ImmutableItem(b"i1e")
    assert store.get(item.target, 0.0) is None
    assert store.put(item, "h", 0.0) == 0
    assert store.get(item.target, ITEM_LIFETIME_S - 1) == item
    assert store.get(item.target, ITEM_LIFETIME_S) is None
    store.expire(ITEM_LIFETIME_S)
    assert len(store) == 0


def test_putting_again_keeps_alive() -> None:
    store = _store()
    item = SIGNER.item(1, b"v")
    store.put(item, "h", 0.0)
    assert store.put(item, "other", ITEM_LIFETIME_S - 1) == 0
    assert store.get(item.target, ITEM_LIFETIME_S + 1) == item


def test_mutable_items_only_move_on() -> None:
    store = _store()
    assert store.put(SIGNER.item(5, b"five"), "h", 0.0) == 0
    assert store.put(SIGNER.item(4, b"four"), "h", 0.0) == OUTDATED
    assert store.put(SIGNER.item(5, b"another five"), "h", 0.0) == OUTDATED
    assert store.put(SIGNER.item(6, b"six"), "h", 0.0) == 0
    assert store.get(SIGNER.item(6, b"six").target, 0.0) == SIGNER.item(6, b"six")
    assert len(store) == 1
    # An expired item is no bar to a lower number.
    assert store.put(SIGNER.item(1, b"one"), "h", ITEM_LIFETIME_S) == 0


def test_compare_and_swap() -> None:
    store = _store()
    assert store.put(SIGNER.item(1, b"a"), "h", 0.0, cas=99) == 0
    assert store.put(SIGNER.item(3, b"c"), "h", 0.0, cas=2) == CAS_MISMATCH
    assert store.put(SIGNER.item(3, b"c"), "h", 0.0, cas=1) == 0


def test_forgeries_are_refused() -> None:
    store = _store()
    forged = replace(SIGNER.item(1, b"a"), value=b"1:b")
    assert store.put(forged, "h", 0.0) == INVALID_SIGNATURE
    salted = replace(SIGNER.item(1, b"a"), salt=b"x")
    assert store.put(salted, "h", 0.0) == INVALID_SIGNATURE
    assert len(store) == 0


def test_one_host_cannot_fill_it() -> None:
    store = _store()
    codes = [store.put(ImmutableItem(encode_value(n)), "h", 0.0) for n in range(100)]
    assert codes == [0] * MAX_ITEMS_PER_HOST + [SERVER_ERROR] * (100 - MAX_ITEMS_PER_HOST)
    assert store.put(ImmutableItem(b"i7777e"), "another", 0.0) == 0
    store.expire(ITEM_LIFETIME_S)
    assert store.put(ImmutableItem(b"i1e"), "h", ITEM_LIFETIME_S) == 0


def test_the_oldest_make_room() -> None:
    store = _store(max_items=20)
    items = [ImmutableItem(encode_value(n)) for n in range(200)]
    for n, item in enumerate(items):
        assert store.put(item, f"host {n}", float(n)) == 0
    assert len(store) == 20
    kept = [n for n, item in enumerate(items) if store.get(item.target, 200.0)]
    assert sum(kept) / len(kept) > 170
