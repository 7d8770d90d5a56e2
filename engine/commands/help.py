"""How commands look and explain themselves: one style, grouped options, examples at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

if TYPE_CHECKING:
    from rich.table import Table

STYLE: Final = {
    "theme": "default-slim",
    "enable_theme_env_var": False,
    "max_width": 96,
    "text_markup": "rich",
    "style_option_default": "dim",
    "style_metavar": "cyan",
    "style_option": "bold",
    "style_argument": "bold",
    "style_command": "bold",
    "style_options_panel_title_style": "bold magenta",
    "style_commands_panel_title_style": "bold magenta",
    "options_table_column_types": ["opt_short", "opt_long_metavar", "help"],
    "options_table_help_sections": ["help", "default"],
    "append_metavars_help_string": "{}",
    "text_paragraph_linebreaks": "\n\n",
    "default_string": r"\[default: {}]",
}
"""Taken over by every command of the group that has it."""

Line = tuple[str, str]
"""Something to type, or a number, and what it means."""


class Command(click.RichCommand):
    """A command whose help begins with its arguments and ends with examples."""

    def __init__(self, *args: Any, examples: Sequence[Line] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        arguments = [each for each in self.params if isinstance(each, click.Argument)]
        # The word of the line of usage: the parameter's name, unless it was given one.
        word = "metavar" if any(each.metavar for each in arguments) else "opt_long"
        self.add_panel(click.RichOptionPanel("Arguments", column_types=[word, "help"]))
        self.add_panel(click.RichOptionPanel("Options"))

    def get_help(self, ctx: click.Context) -> str:
        return _without_padding(super().get_help(ctx))

    def format_epilog(self, ctx: click.RichContext, formatter: click.RichHelpFormatter) -> None:  # type: ignore[override]
        _write_examples(formatter, self.examples)


class Group(click.RichGroup):
    """A command that has commands of its own."""

    def __init__(self, *args: Any, examples: Sequence[Line] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.add_panel(click.RichOptionPanel("Options"))  # before those of its options

    def get_help(self, ctx: click.Context) -> str:
        return _without_padding(super().get_help(ctx))

    def format_epilog(self, ctx: click.RichContext, formatter: click.RichHelpFormatter) -> None:  # type: ignore[override]
        _write_examples(formatter, self.examples)


def _without_padding(text: str) -> str:
    """Rich fills every line with blanks, which are in the way of who reads or greps it from a
    pipe. Where there are colours a line does not end with them, and the terminal shows none."""
    return "\n".join(line.rstrip(" ") for line in text.split("\n"))


def _write_examples(formatter: click.RichHelpFormatter, examples: Sequence[Line]) -> None:
    if examples:
        write_section(formatter, "Examples", lines(examples, "green"))


def command(
    name: str, *, examples: Sequence[Line] = (), **attributes: Any
) -> Callable[[Callable[..., Any]], click.RichCommand]:
    """Make a command that shows the default of every option, and examples."""
    return click.command(
        name,
        cls=Command,
        examples=examples,
        context_settings={"show_default": True},
        **attributes,
    )


def option(
    *names: str,
    help: str,  # noqa: A002 - click's own word
    default_text: str = "",
    **attributes: Any,
) -> Callable[[Any], Any]:
    """Make an option; `default_text` says what happens without it where no value does."""
    if not default_text:
        return click.option(*names, help=help, **attributes)
    text = rf"{help} [dim]\[default: {default_text}][/]"
    return click.option(*names, help=text, show_default=False, **attributes)


def write_section(formatter: click.RichHelpFormatter, title: str, content: Table) -> None:
    """Write a titled block that looks like the panels of options."""
    from rich.padding import Padding
    from rich.text import Text

    formatter.write(Text(f"{title}:", style=str(STYLE["style_options_panel_title_style"])))
    formatter.write(Padding(content, (0, 1, 1, 2)))


def lines(entries: Sequence[Line], style: str) -> Table:
    """Lay out lines in two columns, or below each other where the first one is long."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2), pad_edge=False)
    if max(len(first) for first, _ in entries) <= 24:
        for first, second in entries:
            table.add_row(Text(first, style=style), Text(second))
        return table
    for first, second in entries:
        table.add_row(Text(second, style="dim"))
        table.add_row(Text(f"  {first}", style=style))
    return table
