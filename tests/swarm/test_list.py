"""`make swarm-list` where no terminal is: for grep."""

from __future__ import annotations

import pytest

from tests.swarm.__main__ import main
from tests.swarm.library import load, shipped
from tests.swarm.links import NETS


def test_each_is_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = {line.split()[0]: line for line in lines if line}
    for name in shipped():
        assert load(name).description in told[name]
    for name, net in NETS.items():
        assert net.about in told[name]
    assert len(lines) == len(shipped()) + len(NETS) + 3
