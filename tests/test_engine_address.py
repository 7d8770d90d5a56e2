"""Addresses of engines: what is taken, what ssh is told, and what can never become an option."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.engine_address import Program, parse_address
from engine.errors import InputError


def _ssh(text: str) -> Program:
    program = parse_address(text)
    assert isinstance(program, Program)
    assert program.argv[0] == "ssh"
    return program


def _far(program: Program) -> list[str]:
    """What the far shell runs: the arguments of `seedwright`."""
    shell, option, script, *words = shlex.split(program.argv[-1])
    assert (shell, option) == ("sh", "-c")
    assert script.endswith('exec seedwright "$@"')
    assert words[0] == "seedwright"
    return words[1:]


def test_paths() -> None:
    assert parse_address("/run/engine.sock") == Path("/run/engine.sock")
    assert parse_address(" unix:///run/engine.sock ") == Path("/run/engine.sock")
    assert parse_address("~/engine.sock") == Path.home() / "engine.sock"
    assert parse_address("engine.sock") == Path("engine.sock")


def test_what_ssh_is_told() -> None:
    plain = _ssh("ssh://box")
    assert plain.host == "box"
    assert "BatchMode=yes" in plain.argv
    assert plain.argv[-3:-1] == ("--", "box")
    assert _far(plain) == ["connect", "--stdio"]
    full = _ssh("ssh://me@box.example:2222/srv/a%20b/engine.sock")
    assert full.argv[-7:-1] == ("-p", "2222", "-l", "me", "--", "box.example")
    assert _far(full) == ["connect", "--stdio", "--socket", "/srv/a b/engine.sock"]
    assert _ssh("ssh://[2001:db8::1]:22").host == "2001:db8::1"
    assert _far(_ssh("ssh://box/~/engine.sock"))[-1] == "~/engine.sock"
    assert _far(_ssh("ssh://box/")) == ["connect", "--stdio"]


def test_any_program() -> None:
    program = parse_address("exec:kubectl exec -i 'pod 0' -- seedwright connect --stdio")
    assert isinstance(program, Program)
    assert program.argv[:4] == ("kubectl", "exec", "-i", "pod 0")
    assert program.host == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "give a socket's path"),
        ("unix://", "unix:// leads to no engine"),
        ("unix://engine.sock", "leads to no engine"),
        ("http://box", "http://box leads to no engine"),
        ("ssh://", "is not ssh://"),
        ("ssh://-oProxyCommand=true", "is not ssh://"),
        ("ssh://-l@box", "is not ssh://"),
        ("ssh://me:secret@box", "is not ssh://"),
        ("ssh://box:ssh", "is not ssh://"),
        ("ssh://two words", "is not ssh://"),
        ("exec:", "names no command"),
        ("exec:'open", "No closing quotation"),
        ("/run/\0", "zero bytes"),
        ("ssh://box/run/%00", "zero bytes"),
    ],
)
def test_what_is_no_address(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_address(text)


@given(st.sampled_from(["", "ssh://", "ssh://box/", "exec:", "unix://"]), st.text())
def test_any_text_is_an_address_that_is_read_again_or_an_error(scheme: str, text: str) -> None:
    try:
        address = parse_address(scheme + text)
    except InputError:
        return
    assert parse_address(str(address)) == address


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_socket_at_the_far_end_is_one_word(socket: str) -> None:
    try:
        program = _ssh(f"ssh://box/{socket}")
    except InputError:
        return
    assert len(_far(program)) in (2, 4)
    assert program.argv[-2] == "box"
