"""The leg of the seedbox's image: how large it is, and how soon a container of it is healthy."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from engine.control.client import ControlClient
from engine.control.schema import GetHealth
from engine.errors import EngineUnreachable
from tests.benchmarks.bench import Bench, Leg
from tests.benchmarks.child import BenchmarkError
from tests.benchmarks.process_figures import KIB_PER_MIB, memory

_START_S = 60.0
_LOOK_S = 0.01
_MIB = 1 << 20


def _missing() -> str:
    # Whoever runs other legs need not wait for Docker to say that it is there.
    from tests.seedbox.containers import missing

    return missing()


async def _image(bench: Bench, _client: str) -> dict[str, float]:
    """From `docker run` until its own checks are all well, asked over the control socket."""
    from tests.seedbox.containers import IMAGE, container, docker

    size = int(docker("image", "inspect", "--format", "{{.Size}}", IMAGE).stdout)
    async with bench.scratch(bench.disk) as folder:
        (config := folder / "config").mkdir()
        began = time.monotonic()
        user = f"{os.getuid()}:{os.getgid()}"
        with container("daemon", user=user, volumes={"/config": config}) as box:
            await _until_healthy(config / "engine.sock", began + _START_S)
            start = time.monotonic() - began
            resident = memory(int(str(box.state()["Pid"]))).resident / KIB_PER_MIB
    return {"start": start, "image": size / _MIB, "resident": resident}


async def _until_healthy(socket: Path, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            async with await ControlClient.connect(socket, client="benchmark") as client:
                if all(check.is_ok for check in await client.call(GetHealth())):
                    return
        except EngineUnreachable:
            pass
        await asyncio.sleep(_LOOK_S)
    raise BenchmarkError(f"the container was not healthy within {_START_S:.0f} s")


IMAGE_LEGS: tuple[Leg, ...] = (
    Leg(
        "image",
        lambda _: "the seedbox's image: `docker run` to healthy, nothing in it yet",
        ("start", "image", "resident"),
        _image,
        clients=("seedwright",),
        reference="seedwright",
        missing=_missing,
        room=lambda _: _MIB,
    ),
)
