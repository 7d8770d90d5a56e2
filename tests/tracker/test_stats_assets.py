"""The fixed parts of the statistics page agree with each other."""

from __future__ import annotations

import re

from engine.tracker.stats_assets import ICON, SCRIPT, STYLE, TEMPLATE


def test_every_class_and_place_that_is_styled_or_scripted_exists() -> None:
    assert "getElementById('status')" in SCRIPT
    assert 'id="status"' in TEMPLATE
    assert "[data-live]" in SCRIPT
    places = re.findall(r'<\w+ id="(\w+)" data-live>', TEMPLATE)
    assert places == ["running", "totals", "activity", "traffic", "swarms"]


def test_every_colour_is_a_variable_of_both_themes() -> None:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    defined = set(re.findall(r"--\w+(?=:)", light))
    assert defined == set(re.findall(r"--\w+(?=:)", dark))
    used = set(re.findall(r"var\((--\w+)\)", STYLE))
    assert used == defined


def test_the_icon_is_inside_the_page() -> None:
    assert ICON.startswith("data:image/svg+xml,")
    assert '"' not in ICON
    assert "</" not in SCRIPT
