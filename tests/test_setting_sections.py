"""Every setting says what it is and in which unit."""

from __future__ import annotations

import ast
from pathlib import Path

from engine import setting_sections
from engine.setting_kinds import OneOf
from engine.settings import KINDS


def test_every_setting_has_a_docstring_that_gives_its_unit() -> None:
    units = (
        "Addresses",
        "Name",
        "Bytes",
        "Seconds",
        "number",
        "Path",
        "Folder",
        "True or false",
        "HOST:PORT",
        "logged",
        "words",
    )
    tree = ast.parse(Path(setting_sections.__file__).read_text())
    documented = set()
    for group in (each for each in tree.body if isinstance(each, ast.ClassDef)):
        for field, text in zip(group.body, group.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                assert isinstance(text.value, ast.Constant)
                said = str(text.value.value)
                section = group.name.removesuffix("Settings").lower()
                assert isinstance(field.target, ast.Name)
                key = f"{section}.{field.target.id}"
                is_word = isinstance(KINDS.get(key), OneOf)  # `expected` lists them
                if is_word or any(unit in said for unit in units) or "number" in said.lower():
                    documented.add(key)
    assert documented == set(KINDS)
