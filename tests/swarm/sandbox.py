"""A sandbox for a run: network, mounts and processes of its own, which all go when it ends.

Invariant: however the run ends, also by `kill -9`, nothing of it stays but its folder: processes
die with the first one of their process namespace, and network namespaces and mounts with the last
process that is in them. Names can collide with no other run, since nobody else sees them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from engine.errors import SeedwrightError

_NEWNS: Final = 0x00020000
_NEWUSER: Final = 0x10000000
_NEWPID: Final = 0x20000000
_NEWNET: Final = 0x40000000
_SET_PDEATHSIG: Final = 1
_FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SandboxError(SeedwrightError):
    """The system does not let us have namespaces of our own."""


def run_inside(work: Callable[[], int]) -> int:
    """Fork, run `work` in a sandbox and return its exit code. Raises SandboxError, for which
    nothing was done yet. Must be called in a process with one thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    flags = _NEWNS | _NEWPID | _NEWNET | (_NEWUSER if user else 0)
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return _wait_for(child, reading)
    os.close(reading)
    # Only children of whoever unshares are in the new process namespace, hence a second fork.
    libc.prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if libc.unshare(flags) != 0:
        os.write(writing, os.strerror(ctypes.get_errno()).encode())
        os._exit(1)
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    first = os.fork()
    if first:
        os.close(writing)
        os._exit(_forward(first))
    libc.prctl(_SET_PDEATHSIG, signal.SIGKILL)
    try:
        _mount_anew()
    except OSError as error:
        os.write(writing, str(error).encode())
        os._exit(1)
    os.close(writing)
    os._exit(_guarded(work))


def _wait_for(child: int, reading: int) -> int:
    with os.fdopen(reading, "rb") as pipe:
        problem = pipe.read().decode()
    code = _forward(child)
    if problem:
        why = "" if os.geteuid() == 0 else " without root"
        raise SandboxError(f"no namespaces of our own{why}: {problem}")
    return code


def _forward(child: int) -> int:
    """Wait for a child, passing on what asks us to end; return its exit code."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    before = {number: signal.signal(number, on_signal) for number in _FORWARDED}
    try:
        _, status = os.waitpid(child, 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return os.waitstatus_to_exitcode(status) & 0xFF


def _mount_anew() -> None:
    """Give the processes a /proc that shows them alone, and a /run for names of namespaces."""
    for command in (
        ("mount", "--make-rprivate", "/"),
        ("mount", "-t", "proc", "proc", "/proc"),
        ("mount", "-t", "tmpfs", "tmpfs", "/run"),
        ("ip", "link", "set", "lo", "up"),
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise OSError(f"{command[0]} is not installed") from error
        if done.returncode:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def _guarded(work: Callable[[], int]) -> int:
    code = 70
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.default_int_handler)
        code = work()
    except KeyboardInterrupt:
        code = 130
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return code
