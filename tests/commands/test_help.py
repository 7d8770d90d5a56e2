"""How commands explain themselves: arguments, grouped options, defaults, examples."""

from __future__ import annotations

import pytest
import rich_click as click

from engine import cli
from engine.commands import help as help_page


@help_page.command("bake", examples=(("bake bread", "Bread"), ("bake a cake", "A cake")))
@click.argument("what", help="What to bake.")
@help_page.option("--heat", metavar="DEGREES", default="180", help="How hot.")
@help_page.option("--oven", metavar="NAME", default_text="the nearest", help="Where [::].")
@help_page.option("--salt", metavar="N", default_text="none", help="How much.", panel="Spices")
def bake(what: str, heat: str, oven: str, salt: str) -> None:
    """Bake something."""


@help_page.command("dig", examples=(("dig deeper than anybody before", "A hole"),))
def dig() -> None:
    """Dig a hole."""


def _help(
    command: click.Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.setenv("COLUMNS", "80")
    group = click.RichGroup(
        name="home",
        commands={command.name or "": command},
        context_settings={"rich_help_config": help_page.STYLE},
    )
    group.main([command.name or "", "--help"], "home", standalone_mode=False)
    return capsys.readouterr().out.splitlines()


def test_help_has_everything_in_order(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _help(bake, capsys, monkeypatch) == [
        "Usage: home bake [OPTIONS] WHAT",
        "",
        "Bake something.",
        "",
        "Arguments:",
        "  WHAT  What to bake.",
        "",
        "Options:",
        "  --heat DEGREES  How hot. [default: 180]",
        "  --oven NAME     Where [::]. [default: the nearest]",
        "  --help          Show this message and exit.",
        "",
        "Spices:",
        "  --salt N  How much. [default: none]",
        "",
        "Examples:",
        "  bake bread   Bread",
        "  bake a cake  A cake",
        "",
    ]


def test_long_examples_stand_below_what_they_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = _help(dig, capsys, monkeypatch)
    assert lines[-4:] == ["Examples:", "  A hole", "    dig deeper than anybody before", ""]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_argument_has_its_word_of_the_usage_and_an_explanation(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = cli.COMMANDS[name]
    command = cli.LazyCommand(name, entry).load()
    if not any(isinstance(each, click.Argument) for each in command.params):
        return
    usage, *page = _help(command, capsys, monkeypatch)
    words = usage.partition("[OPTIONS] ")[2]
    told = page[page.index("Arguments:") + 1].strip()
    assert told.partition("  ")[0] in (words, words.strip("[]"))
    assert told.partition("  ")[2]


@pytest.mark.parametrize("words", [[], ["get"], ["config"], ["config", "set"], ["dht", "put"]])
def test_no_line_of_help_ends_with_blanks(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is piped into other programs."""
    cli.root.main([*words, "--help"], "seedwright", standalone_mode=False, obj=cli.Globals())
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) > 5
    assert lines == [line.rstrip() for line in lines]
