"""`health`: a table and an exit code that supervisors understand."""

from __future__ import annotations

from tests.commands.conftest import Run
from tests.commands.rig import Rig, Server


def test_a_healthy_engine(engine: Server, run: Run) -> None:
    done = run("health", "--socket", engine.socket)
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["CHECK", "IS", "FOUND"]
    assert [line[:2] for line in lines[1:]] == [
        [name, "ok"] for name in ("loop", "ports", "disk", "storage", "state")
    ]
    checks = run("health", "--json", "--socket", engine.socket).json
    assert all(check["is_ok"] for check in checks)


def test_what_fails_is_named(rig: Rig, run: Run) -> None:
    (rig.home / "file").touch()
    server = rig.daemon("bad", "--set", f"storage.save_path={rig.home}/file")
    done = run("health", "--socket", server.socket)
    assert "storage" in done.out
    assert done.is_error(1, "not healthy: storage")


def test_no_engine_is_not_healthy(rig: Rig, run: Run) -> None:
    assert run("health", "--socket", rig.home / "none.sock").is_error(6, "no engine runs")
