"""The leak checks find leaks: a run of pytest on tests that leave things behind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

LEAKY_TESTS = """
import asyncio, os, threading
import pytest
from hypothesis import given, strategies as st

kept = []

async def test_tidy():
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await asyncio.get_running_loop().run_in_executor(None, int)

@given(st.integers())
async def test_tidy_property(n):
    await asyncio.sleep(0)

@pytest.fixture
async def server():
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    yield server
    server.close()
    await server.wait_closed()

async def test_tidy_server(server):
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()

async def test_leaves_a_task():
    kept.append(asyncio.create_task(asyncio.sleep(60)))

@given(st.just(1))
async def test_leaves_a_task_in_a_property(n):
    kept.append(asyncio.create_task(asyncio.sleep(60)))

async def test_leaves_an_exception():
    async def fail():
        raise ValueError("nobody listens")
    asyncio.create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

async def test_leaves_a_failed_callback():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)

async def test_leaves_a_descriptor():
    kept.append(os.open(os.devnull, os.O_RDONLY))

def test_leaves_a_descriptor_without_a_loop():
    kept.append(os.open(os.devnull, os.O_RDONLY))

def test_leaves_a_thread():
    kept.append(threading.Thread(target=threading.Event().wait, args=(30,), daemon=True))
    kept[-1].start()
"""


def test_leaks_are_found(tmp_path: Path) -> None:
    (tmp_path / "test_leaky.py").write_text(LEAKY_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    (tmp_path / "conftest.py").write_text("from tests import leaks\nleaks.GRACE_S = 0.2\n")
    plugins = ["-p", "tests.leaks", "-p", "no:cacheprovider", "-p", "no:textual-snapshot"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", *plugins, "--rootdir", tmp_path, tmp_path],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    reported = re.findall(r"^(?:ERROR|FAILED) \S+::(\w+)", run.stdout, re.MULTILINE)
    leaky = re.findall(r"def (test_leaves\w+)", LEAKY_TESTS)
    assert sorted(reported) == sorted(leaky), run.stdout + run.stderr
