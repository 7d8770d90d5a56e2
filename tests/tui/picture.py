"""Draw the picture of the interface that README.md shows, from the real app: `make picture`."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from tests.fakes.fake_engine import FakeEngine
from tests.tui.scene import scene

SIZE = (100, 30)


async def draw(target: Path) -> None:
    engine = FakeEngine(14)
    engine.tick(900)
    async with scene(engine, SIZE) as shown:
        await shown.go_to("debian-13.1.0-amd64-DVD-1.iso")
        await shown.says("Ratio", top=SIZE[1] // 2)
        await shown.settle()
        svg = shown.app.export_screenshot(title="seedwright", simplify=True)
    # The picture must not fetch anything: whoever shows it has a monospaced font.
    svg = re.sub(r"@font-face\s*{[^}]*}", "", svg)
    target.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")


if __name__ == "__main__":
    asyncio.run(draw(Path(sys.argv[1])))
