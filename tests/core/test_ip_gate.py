from __future__ import annotations

from engine.core.ip_filter import IpFilter
from engine.core.ip_gate import IpGate


def test_without_a_filter_everybody_may_pass() -> None:
    gate = IpGate()
    assert gate.admits("8.8.8.8")
    assert not gate.forbids("2001:db8::1")


def test_a_gate_that_waits_for_its_filter_admits_nobody() -> None:
    gate = IpGate(IpFilter.of(["10.0.0.0/8"]), is_open=False)
    assert not gate.admits("8.8.8.8")
    assert not gate.admits("10.0.0.1")
    assert gate.refused == 2
    gate.take(IpFilter.of(["8.8.8.0/24"]))
    assert gate.admits("10.0.0.1")
    assert not gate.admits("8.8.8.8")


def test_what_is_allowed_is_never_filtered() -> None:
    gate = IpGate(IpFilter.of(["9.9.9.9"]))
    gate.take(IpFilter.of(["9.0.0.0/8"]))
    assert gate.forbids("9.9.9.8")
    assert not gate.forbids("9.9.9.9")


def test_what_is_refused_is_counted() -> None:
    gate = IpGate()
    gate.take(IpFilter.of(["9.0.0.0/8"]))
    assert gate.forbids_learning("9.1.1.1")
    assert not gate.forbids_learning("8.1.1.1")
    assert not gate.admits("9.1.1.1")
    assert (gate.unlearned, gate.refused, gate.closed) == (1, 1, 0)
