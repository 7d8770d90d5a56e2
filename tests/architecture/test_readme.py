"""The map of the house shows the house: its rooms, and files that are there."""

from __future__ import annotations

import re

import pytest

from tests.architecture.source import ROOT, assert_none, modules

PAGES = ("engine/README.md", "tui/README.md", "CONTRIBUTING.md", "README.md")


def test_the_map_has_every_room() -> None:
    text = (ROOT / "engine/README.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| `(\w+)/` \| [=~] \|", text, re.MULTILINE))
    assert shown == {module.room for module in modules("engine") if module.room}
    beside = {module.path.name for module in modules("engine") if not module.room}
    assert_none(
        f"engine/{name} is not on the map"
        for name in sorted(beside - {"__init__.py"})
        if f"`{name}`" not in text
    )


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page: str) -> None:
    if not (ROOT / page).exists():
        pytest.skip(f"{page} is not written yet")
    named = set(re.findall(r"(?<![\w/.*<])((?:\w+/)+\w+\.py)\b", (ROOT / page).read_text()))
    homes = (ROOT, ROOT / page.split("/", maxsplit=1)[0])
    assert_none(
        f"{page} names {name}, which is not there"
        for name in sorted(named)
        if not any((home / name).exists() for home in homes)
    )
