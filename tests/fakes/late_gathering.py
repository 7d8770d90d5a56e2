"""Moving what was kept apart to its files, made to wait until a test has looked at what then is."""

from __future__ import annotations

import threading

import pytest

from engine.storage.chosen_files import ChosenFiles

_LATEST_S = 60


def hold_gathering(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let every `gather` wait for the event that is returned."""
    may_gather = threading.Event()
    gather = ChosenFiles.gather

    def late(files: ChosenFiles) -> list[int]:
        may_gather.wait(_LATEST_S)
        return gather(files)

    monkeypatch.setattr(ChosenFiles, "gather", late)
    return may_gather
