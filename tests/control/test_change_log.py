"""The change log: what `since` names is what happened, whoever asks and whenever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.control.change_log import ChangeLog

_STEPS = st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef")), max_size=40)


@given(_STEPS, _STEPS)
def test_since_names_exactly_what_happened_after(
    before: list[tuple[bool, str]], after: list[tuple[bool, str]]
) -> None:
    log = ChangeLog()
    for is_touch, name in before:
        (log.touch if is_touch else log.remove)(name)
    asked_at = log.revision
    last: dict[str, bool] = {}
    for is_touch, name in after:
        (log.touch if is_touch else log.remove)(name)
        last[name] = is_touch
    changes = log.since(asked_at)
    assert not changes.is_reset
    assert changes.revision == log.revision
    assert set(changes.changed) == {name for name, is_touch in last.items() if is_touch}
    assert set(changes.removed) == {name for name, is_touch in last.items() if not is_touch}
    assert log.since(changes.revision).changed == ()


def test_forgotten_removals_are_a_reset_and_memory_is_bounded() -> None:
    log = ChangeLog()
    start = log.revision
    for index in range(10_001):
        log.remove(str(index))
    assert log.since(start).is_reset
    assert not log.since(log.revision - 5).is_reset
    assert len(log.since(1).removed) == 10_000


def test_a_revision_of_another_life_is_a_reset() -> None:
    log = ChangeLog()
    log.touch("a")
    assert log.since(99).is_reset
    assert log.since(-1).is_reset
