"""`seedwright health`: whether the engine can do its work, for supervisors and containers."""

from __future__ import annotations

from engine.commands import options
from engine.commands.connection import ask
from engine.commands.help import command
from engine.commands.output import Column, Styled, say_json, say_table
from engine.control.schema import GetHealth, HealthCheck
from engine.errors import SeedwrightError


class NotHealthy(SeedwrightError):  # noqa: N818 - says what is the matter
    """A check failed."""


@command(
    "health",
    examples=(
        ("seedwright health", "What was looked at, and what was found"),
        ("HEALTHCHECK CMD seedwright health", "In a container"),
    ),
)
@options.together(options.engine_option, options.json_option)
def health(engine: str | None, as_json: bool) -> None:
    """Tell whether the engine can do its work: loop, ports, disk, storage, state.

    Ends with 0 if it can, with 1 if something fails, with 6 if no engine answers.
    """
    checks: list[HealthCheck] = ask(engine, GetHealth())
    if as_json:
        say_json(checks)
    else:
        say_table(
            (Column("CHECK"), Column("IS"), Column("FOUND", grows=True)),
            [
                (
                    check.name,
                    Styled("ok", "green") if check.is_ok else Styled("failing", "red"),
                    check.text,
                )
                for check in checks
            ],
        )
    failing = [check.name for check in checks if not check.is_ok]
    if failing:
        raise NotHealthy(f"not healthy: {', '.join(failing)}")
