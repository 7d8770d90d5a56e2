"""A small swarm in network namespaces, from the command to the report, and that nothing stays."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.swarm import run_folder
from tests.swarm.able import PROBE, no_namespaces
from tests.swarm.drivers import ROOT

COMMAND = (sys.executable, "-m", "tests.swarm", "run", "smoke", "--report")


@pytest.fixture(autouse=True)
def _able() -> None:
    if why := no_namespaces():
        pytest.skip(why)


def test_a_small_swarm_of_three_peers(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=90
    )
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "smoke/report.json").read_text())
    assert document["passed"]
    peers = [member for member in document["members"] if member["role"] == "peer"]
    assert [peer["identical"] for peer in peers] == [True] * 3
    assert all(peer["link_applied"].startswith("tbf 20mbit up, 50mbit down") for peer in peers)
    assert (tmp_path / "smoke/progress.svg").read_text().startswith("<svg")
    assert not run_folder.left_behind()


def test_a_run_that_is_killed_leaves_no_process_and_its_folder_goes_next_time(
    tmp_path: Path,
) -> None:
    run = subprocess.Popen(
        [*COMMAND, str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert run.stderr is not None
    with run.stderr:
        for line in run.stderr:
            if "let go" in line:
                break
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert run.stderr.read() is not None  # ends only when nobody holds it open any more
    behind = [folder for folder in run_folder.left_behind() if _is_of(folder, run.pid)]
    assert len(behind) == 1
    subprocess.run(
        [sys.executable, "-c", "from tests.swarm.__main__ import sweep; sweep()"],
        cwd=ROOT,
        check=True,
    )
    assert not behind[0].exists()


def _is_of(folder: Path, pid: int) -> bool:
    return (folder / "owner").read_text().startswith(f"{pid} ")


def test_the_exit_code_of_what_runs_inside_comes_out() -> None:
    code = PROBE.replace("lambda: 0", "lambda: 7")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 7
