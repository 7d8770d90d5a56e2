"""`shutdown`: returns when the engine is gone, so that it can be started anew."""

from __future__ import annotations

from tests.commands.conftest import Run
from tests.commands.rig import Rig


def test_returns_when_the_engine_is_gone(rig: Rig, run: Run) -> None:
    for arguments, said in (((), "the engine has ended\n"), (("--json",), "{}\n")):
        daemon = rig.daemon()
        there = ("--socket", daemon.socket)
        done = run("shutdown", *arguments, *there)
        assert (done.code, done.out) == (0, said)
        assert daemon.socket is not None
        assert not daemon.socket.exists()
        assert daemon.process.wait(5) == 0
        assert run("shutdown", *there).is_error(6, "no engine runs")
