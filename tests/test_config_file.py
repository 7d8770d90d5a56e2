"""The configuration file: replaced whole or not at all, and what nobody knows stays."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable
from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.config_file import (
    MAX_CONFIG_BYTES,
    MAX_SECRET_BYTES,
    change_config,
    default_config_path,
    read_config,
    read_drop_ins,
    read_secrets,
    write_config,
)
from engine.errors import SeedwrightError, SettingsError, StorageError

_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="."), max_size=8)
_VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(codec="utf-8"))
    | st.datetimes()
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)
_UNKNOWN = st.dictionaries(_NAMES.filter(lambda name: name != "transfer"), _VALUES, max_size=4)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(unknown=_UNKNOWN, extra=_VALUES)
async def test_what_is_unknown_survives_a_change(
    tmp_path: Path, unknown: dict[str, object], extra: object
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(tomli_w.dumps({**unknown, "transfer": {"of tomorrow": extra}}))
    await change_config(path, {"transfer.down_limit": "10MiB/s", "transfer.up_limit": 5})
    wanted = {"of tomorrow": extra, "down_limit": "10MiB/s", "up_limit": 5}
    assert await read_config(path) == {**unknown, "transfer": wanted}
    await change_config(path, {"transfer.down_limit": None, "transfer.up_limit": None})
    assert await read_config(path) == {**unknown, "transfer": {"of tomorrow": extra}}
    assert os.listdir(tmp_path) == ["config.toml"]


_BY_HAND = """\
# How the box at home is set up.   by hand

network = { listen = "0.0.0.0:6881" }  # what the router forwards

[transfer]
# At night more would do.
up_limit   = "2MiB/s"   # of 3

[engines]  # others
box = 'ssh://me@box.example'
"of tomorrow" = [
  1,  # one
  2,
]

[storage]
# save_path = "/srv"
preallocate = true
"""


async def test_what_somebody_wrote_keeps_its_comments_and_its_order(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(_BY_HAND)
    await change_config(path, {"transfer.up_limit": "1MiB/s", "engines.box": None})
    changed = _BY_HAND.replace('"2MiB/s"', '"1MiB/s"').replace("box = 'ssh://me@box.example'\n", "")
    assert path.read_text() == changed
    await change_config(path, {"transfer.down_limit": 5, "network.isolated": True})
    assert (await read_config(path))["network"] == {"listen": "0.0.0.0:6881", "isolated": True}
    text = path.read_text()
    assert text.count("#") == changed.count("#")
    await change_config(path, {"transfer.down_limit": None, "network.isolated": None})
    await change_config(path, {"storage.preallocate": None})
    text = path.read_text()
    assert text.endswith('[storage]\n# save_path = "/srv"\n'), "a comment is kept with its section"
    assert "storage" not in {key for key, value in (await read_config(path)).items() if value}


async def test_ends_of_lines_stay_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"# dos\r\n[transfer]\r\nup_limit = 5\r\n")
    await change_config(path, {"transfer.up_limit": 7})
    assert path.read_bytes() == b"# dos\r\n[transfer]\r\nup_limit = 7\r\n"


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(unknown=_UNKNOWN, comment=st.text(st.characters(codec="ascii", categories=("L", "N"))))
async def test_a_comment_survives_whatever_else_is_there(
    tmp_path: Path, unknown: dict[str, object], comment: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"# {comment}\n{tomli_w.dumps(unknown)}")
    await change_config(path, {"transfer.up_limit": 5})
    assert await read_config(path) == {**unknown, "transfer": {"up_limit": 5}}
    assert path.read_text().startswith(f"# {comment}\n")


async def test_a_missing_file_says_nothing_unless_it_must_exist(tmp_path: Path) -> None:
    assert await read_config(tmp_path / "no.toml") == {}
    with pytest.raises(SettingsError, match=r"no\.toml"):
        await read_config(tmp_path / "no.toml", must_exist=True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[transfer", "end of document"),
        (b"a = 1\na = 2\n", "line 2"),
        (b"a = '\xff'", "no TOML"),
        (b"\x00", "no TOML"),
        (b"a = " + b"[" * 100_000, "no TOML"),
        (b"#" * (MAX_CONFIG_BYTES + 1), "more than"),
    ],
    ids=["open", "twice", "latin", "binary", "deep", "large"],
)
async def test_what_is_no_toml_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(data)
    with pytest.raises(SettingsError, match=words) as caught:
        await read_config(path)
    assert str(path) in str(caught.value)
    with pytest.raises(SettingsError):
        await change_config(path, {"transfer.down_limit": 1})
    assert path.read_bytes() == data


async def test_a_new_file_is_private_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "config.toml"
    await change_config(path, {"storage.save_path": Path("/srv")})
    assert path.read_text() == '[storage]\nsave_path = "/srv"\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_permissions_and_links_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.write_text("")
    real.chmod(0o644)
    link.symlink_to(real)
    await change_config(link, {"transfer.up_limit": 5})
    assert link.is_symlink()
    assert real.read_text() == "[transfer]\nup_limit = 5\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o644


@pytest.mark.parametrize(
    "values", [{"transfer.nothing": 1}, {"transfer.up_limit": 7, "network.isolated": "?"}, {"x": 1}]
)
async def test_a_wrong_change_changes_nothing(tmp_path: Path, values: dict[str, object]) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# by hand\n[transfer]\nup_limit = 5\n")
    with pytest.raises(SettingsError):
        await change_config(path, values)
    assert path.read_text().startswith("# by hand")


async def test_a_section_that_is_no_table_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("transfer = 5\n")
    with pytest.raises(SettingsError, match=r"\[transfer\]"):
        await change_config(path, {"transfer.up_limit": 7})
    assert path.read_text() == "transfer = 5\n"


async def test_removing_the_last_key_removes_its_section(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[transfer]\nup_limit = 5\n")
    await change_config(path, {"transfer.up_limit": None, "network.listen": None})
    assert await read_config(path) == {}


async def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "config.toml"
    folder.mkdir()
    (tmp_path / "file").write_text("")

    async def refused(
        what: Awaitable[object], path: Path, kind: type[SeedwrightError] = StorageError
    ) -> None:
        with pytest.raises(kind) as caught:
            await what
        assert str(path) in str(caught.value)

    await refused(read_config(folder), folder, SettingsError)
    await refused(write_config(folder, ""), folder)
    below = tmp_path / "file" / "config.toml"
    await refused(write_config(below, ""), below)
    assert sorted(os.listdir(tmp_path)) == ["config.toml", "file"]


def test_the_default_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/x")
    assert default_config_path({}) == Path("/home/x/.config/seedwright/config.toml")
    assert default_config_path({"XDG_CONFIG_HOME": "/c"}) == Path("/c/seedwright/config.toml")
    assert default_config_path({"SEEDWRIGHT_CONFIG": "mine.toml"}) == Path("mine.toml")


async def test_drop_ins_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert await read_drop_ins(path) == []
    folder = tmp_path / "config.d"
    folder.mkdir()
    for name, text in (
        ("20.toml", "a = 2"),
        ("10.toml", "a = 1"),
        ("no.txt", "?"),
        (".x.toml", ""),
    ):
        (folder / name).write_text(text)
    assert await read_drop_ins(path) == [
        (str(folder / "10.toml"), {"a": 1}),
        (str(folder / "20.toml"), {"a": 2}),
    ]
    (folder / "20.toml").write_text("a =")
    with pytest.raises(SettingsError, match=r"20\.toml is no TOML"):
        await read_drop_ins(path)


async def test_secrets_are_what_the_files_hold(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes("pass wörd\r\n".encode())
    assert await read_secrets({"X_FILE": str(secret)}) == {"X_FILE": "pass wörd"}
    for content in (b"\xff\xfe", None):
        secret.unlink() if content is None else secret.write_bytes(content)
        with pytest.raises(SettingsError, match=f"X_FILE: reading {secret}: "):
            await read_secrets({"X_FILE": str(secret)})


@pytest.mark.parametrize(
    ("kind", "why"),
    [("fifo", "not a regular file"), ("device", "not a regular file"), ("huge", "larger than")],
)
async def test_a_secret_that_is_no_file_does_not_hang_the_start(
    kind: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "device":
            path = Path("/dev/zero")
        case "huge":
            path.write_bytes(b"x" * (MAX_SECRET_BYTES + 1))
    async with asyncio.timeout(20):
        with pytest.raises(SettingsError, match=f"X_FILE: reading {path}: {why}"):
            await read_secrets({"X_FILE": str(path)})
