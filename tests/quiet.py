"""No engine of a test speaks to the network that the test runs in; a pytest plugin.

Those in processes of their own are told so by their environment (tests/no_multicast.py). Those in
this process see no network but one that the test made.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.net import multicast

_NETWORK = Path("/proc/thread-self/ns/net")


def _network() -> str:
    return os.readlink(_NETWORK) if _NETWORK.is_symlink() else ""


_OUTSIDE = _network()


@pytest.fixture(autouse=True)
def no_multicast_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the interfaces of the machine from engines in this process."""
    really = multicast.interfaces

    def those_of_the_test(only_host: str | None = None) -> list[multicast.Interface]:
        return [] if _network() == _OUTSIDE else really(only_host)

    monkeypatch.setattr(multicast, "interfaces", those_of_the_test)
