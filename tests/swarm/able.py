"""What of a machine swarms can run in, and why not in the rest of it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys

from tests.seedbox import containers
from tests.swarm.drivers import ROOT

PROBE = """
import sys
from tests.swarm import sandbox
try:
    sys.exit(sandbox.run_inside(lambda: 0))
except sandbox.SandboxError as error:
    sys.exit(str(error))
"""


@functools.cache
def no_namespaces() -> str:
    """Why there are none; empty if there are."""
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            return f"{program} is not installed (apt install iproute2)"
    command = [sys.executable, "-c", PROBE]
    probe = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not probe.returncode:
        return ""
    return probe.stderr.strip().splitlines()[-1] if probe.stderr else "no namespaces"


@functools.cache
def no_containers() -> str:
    """Why there are none; empty if there are."""
    if os.geteuid():
        return "shaping the links of containers needs root"
    if not containers.compose_command():
        return "neither docker compose nor docker-compose is installed"
    return containers.missing()
