"""The command line as a whole: help that starts quickly, errors that are one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import rich_click as click

from engine import cli
from engine.errors import DiskFullError, InputError
from tests.commands.rig import ROOT, Rig, rig_at

ERRORS = [
    (InputError("bad\x1b[31m\nthing"), 2, "seedwright: bad�[31m thing\n"),
    (DiskFullError("no space"), 5, "seedwright: no space\n"),
    (click.UsageError("what?"), 2, "seedwright: what? (`seedwright list --help` says more)\n"),
    (click.Abort(), 130, "seedwright: interrupted\n"),
    (KeyboardInterrupt(), 130, "seedwright: interrupted\n"),
    (ExceptionGroup("two", [ExceptionGroup("one", [InputError("deep")])]), 2, "seedwright: deep\n"),
]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_at(tmp_path / "home") as rig:
        yield rig


def _all_commands() -> Iterator[tuple[str, click.Command]]:
    for name, entry in cli.COMMANDS.items():
        command = cli.LazyCommand(name, entry).load()
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", each) for sub, each in command.commands.items())


def test_the_executable_and_the_module_are_the_same(rig: Rig) -> None:
    by_module = rig.run("--version")
    executable = Path(sys.executable).with_name("seedwright")
    by_name = subprocess.run(
        [executable, "--version"], capture_output=True, text=True, check=True, cwd=rig.home
    )
    assert by_module.out == by_name.stdout == f"seedwright {cli.VERSION}\n"


def test_help_loads_no_command(rig: Rig) -> None:
    code = (
        "import sys; from engine import cli; cli.run(['--help'])\n"
        "print(*[name for name in sys.modules if name.startswith('engine.')], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=rig.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stderr.split()) == {
        *("engine.cli", "engine.commands", "engine.commands.help", "engine.errors")
    }
    for name, entry in cli.COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert entry.summary in done.stdout
    for number, meaning in cli.EXIT_CODES:
        assert f"  {number} " in done.stdout
        assert meaning in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(("name", "command"), _all_commands())
def test_every_command_explains_itself(
    name: str,
    command: click.Command,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: seedwright {name}" in text
    assert "Examples:" in text
    assert max(map(len, text.splitlines())) <= 80
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, param.name
            if not param.is_flag:
                assert param.metavar, f"{param.name} has no metavar"
                told = (param.help or "").count("default: ") or param.show_default is None
                assert told, f"{param.name} does not tell its default"


def test_the_list_of_commands_says_what_they_say() -> None:
    names = [name for name, _ in _all_commands()]
    assert {"get", "create", "seed", "show", "tracker", "daemon", "add", "add-peer"} <= set(names)
    for name, command in _all_commands():
        if name in cli.COMMANDS:
            assert command.name == name


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["nonsense"], "No such command 'nonsense'"),
        (["gett"], "No such command 'gett'. Did you mean one of: 'get', 'magnet'? (`seedwright"),
        (["list", "--nonsense"], "No such option"),
        (["get"], "Missing argument 'SOURCE'"),
        (["list", "--sort", "beauty"], "'beauty'"),
        (["create", "x", "--piece-length", "5 apples"], "5 apples"),
        ([], "needs a terminal"),
    ):
        assert cli.run(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("seedwright: ")
        assert words in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(("error", "code", "line"), ERRORS, ids=lambda value: repr(value)[:20])
def test_every_error_is_one_line(
    error: BaseException,
    code: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("engine.commands.listing.ask", fail)
    assert cli.run(["list"]) == code
    assert capsys.readouterr() == ("", line)


def test_our_own_mistake_leaves_its_traceback_in_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr("engine.commands.listing.ask", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli.run(["list"]) == 70
    err = capsys.readouterr().err
    (report,) = tmp_path.iterdir()
    assert err == (
        f"seedwright: internal error: RuntimeError: a mistake; the traceback is in {report}\n"
    )
    assert "in fail" in report.read_text()

    assert cli.run(["--debug", "list"]) == 70
    err = capsys.readouterr().err
    assert "in fail" in err
    assert err.endswith("RuntimeError: a mistake; the traceback is above\n")


def test_a_reader_that_leaves_is_no_error(rig: Rig) -> None:
    command = f"{sys.executable} -m engine config | head -1"
    done = subprocess.run(
        command,
        shell=True,
        env=rig.environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("SETTING")


def test_bash_completes_commands(rig: Rig) -> None:
    words = {"COMP_WORDS": "seedwright re", "COMP_CWORD": "1"}
    done = rig.run(environ={"_SEEDWRIGHT_COMPLETE": "bash_complete", **words})
    assert set(done.out.split()) == {"plain,remove", "plain,resume", "plain,recheck"}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("config get transfer.u", {"plain,transfer.up_limit", "plain,transfer.upload_slots"}),
        ("config unset engines.", {"plain,engines.box"}),
        ("config set b", set()),
        ("config set network.encryption p", {"plain,preferred"}),
        ("config set network.lsd f", {"plain,false"}),
        ("config set storage.watch_folder ~/t", {"file,~/t"}),
        ("config set network.listen 1", set()),
        ("config set no.such 1", set()),
    ],
)
def test_bash_completes_settings_and_their_values(rig: Rig, words: str, offered: set[str]) -> None:
    config = rig.home / "config.toml"
    config.write_text("[engines]\nbox = 'ssh://me@box'\n")
    typed = f"seedwright {words}"
    environ = {
        "SEEDWRIGHT_CONFIG": str(config),
        "_SEEDWRIGHT_COMPLETE": "bash_complete",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    assert set(rig.run(environ=environ).out.split()) == offered
