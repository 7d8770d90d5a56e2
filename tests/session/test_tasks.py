from __future__ import annotations

import asyncio

import pytest

from engine.session.tasks import Tasks


async def test_tasks_end_with_their_owner() -> None:
    tasks = Tasks(asyncio.get_running_loop())
    ended = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    tasks.spawn(forever())
    tasks.spawn(forever())
    await asyncio.sleep(0)
    assert len(tasks) == 2
    await tasks.end()
    assert ended == [True, True]
    assert not len(tasks)


async def test_a_task_that_fails_is_told_and_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks(asyncio.get_running_loop())

    async def fail() -> None:
        raise RuntimeError("as it must")

    await asyncio.wait([tasks.spawn(fail())])
    await asyncio.sleep(0)
    assert not len(tasks)
    assert "a task failed" in caplog.text
    assert "as it must" in caplog.text
