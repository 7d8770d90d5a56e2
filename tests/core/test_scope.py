from __future__ import annotations

import pytest

from engine.core.scope import Scope, is_local, is_unicast, scope_of


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1")),
        *((host, True) for host in ("169.254.1.1", "127.0.0.1", "100.64.0.1", "100.127.1.1")),
        *((host, True) for host in ("::1", "fe80::1", "fd00::1", "fc00::1")),
        *((host, False) for host in ("11.0.0.1", "172.15.0.1", "172.32.0.1", "192.169.0.1")),
        *((host, False) for host in ("100.63.0.1", "100.128.0.1", "2001:db8::1", "fec0::1")),
    ],
)
def test_local_networks(host: str, expected: bool) -> None:
    assert is_local(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, Scope.MACHINE) for host in ("127.0.0.1", "127.255.0.9", "::1")),
        *((host, Scope.SITE) for host in ("192.168.0.1", "fe80::1", "100.64.0.1")),
        *((host, Scope.WORLD) for host in ("1.2.3.4", "2001:db8::1", "::2")),
    ],
)
def test_how_far_an_address_reaches(host: str, expected: Scope) -> None:
    assert scope_of(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("1.2.3.4", "223.255.255.255", "fe80::1", "2001:db8::1")),
        *((host, False) for host in ("0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255")),
        *((host, False) for host in ("::", "ff02::1")),
    ],
)
def test_groups_and_nobody_are_no_machine(host: str, expected: bool) -> None:
    assert is_unicast(host) is expected
