"""Health: each thing that an engine needs is looked at, and what is wrong is said in words."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import StorageError
from engine.session import health
from engine.session.health import Check, _said, check_health, is_ready
from engine.session.session import Session
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running


async def _found(session: Session) -> dict[str, Check]:
    return {check.name: check for check in await check_health(session)}


async def test_an_engine_that_works_is_ready(tmp_path: Path) -> None:
    async with running(replace(LOOPBACK, save_path=tmp_path / "made" / "later")) as session:
        found = await _found(session)
        assert list(found) == ["loop", "ports", "disk", "storage", "state"]
        assert is_ready(list(found.values()))
        assert str(endpoint_of(session)) in found["ports"].text
        assert f"iB free in {tmp_path}/made/later" in found["storage"].text


async def test_closed_ports_are_told(tmp_path: Path) -> None:
    async with running() as session:
        session.incoming.close()
        found = await _found(session)
        assert found["ports"] == Check("ports", False, "none is open")
        assert not is_ready(list(found.values()))


async def test_a_disk_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "DISK_ANSWER_S", 0.05)
    release = threading.Event()
    async with running() as session:
        for _ in range(session.facilities.disk.threads):
            session.facilities.disk.submit(release.wait, lambda _: None)
        found = await _found(session)
        release.set()
        assert found["disk"] == Check("disk", False, "no answer within 0 s")
        assert "storage" not in found


async def test_a_save_path_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    async with running(replace(LOOPBACK, save_path=tmp_path / "file")) as session:
        assert not (await _found(session))["storage"].is_ok
    monkeypatch.setattr(health, "LEAST_FREE_BYTES", 1 << 80)
    async with running(replace(LOOPBACK, save_path=tmp_path)) as session:
        assert not (await _found(session))["storage"].is_ok


async def test_a_state_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise StorageError("writing the state: No space left on device")

    async with running(state_dir=tmp_path) as session:
        with monkeypatch.context() as patched:
            patched.setattr(session.committing._state, "save", fail)
            await session.committing.try_commit()
            assert (await _found(session))["state"] == Check(
                "state", False, "writing the state: No space left on device"
            )
        await session.committing.try_commit()
        assert (await _found(session))["state"].is_ok


def test_room_is_said_in_units_that_fit() -> None:
    assert _said((80 << 30) - 1) == "80.0 GiB"
    assert _said((1 << 30) - 1) == "1023 MiB"
