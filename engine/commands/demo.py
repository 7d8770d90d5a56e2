"""`seedwright demo`: a swarm of one's own, watched in the interface or as lines."""

from __future__ import annotations

import asyncio
import sys

import rich_click as click

from engine.commands import options
from engine.commands.help import command, option
from engine.commands.output import say
from engine.demo import Plan, swarm
from engine.setting_kinds import Rate, Size, Whole

_RATE = Rate()


@command(
    "demo",
    examples=(
        ("seedwright demo", "In the interface, for some minutes"),
        ("seedwright demo --size 1GiB --rate 20MiB/s", "Larger and faster"),
        ("seedwright demo --headless --rate 0", "As a test: exits when everybody has everything"),
    ),
)
@options.together(
    option("--headless", is_flag=True, help="Print lines instead of opening the interface."),
    option(
        "--size",
        type=options.Parsed(Size(1 << 20, 1 << 40)),
        default="160MiB",
        metavar="SIZE",
        help="Content to publish; every engine comes to hold it, so it takes that much space for "
        "each.",
    ),
    option(
        "--leechers",
        type=options.Parsed(Whole(1, 20)),
        default="3",
        metavar="N",
        help="Engines that download.",
    ),
    option(
        "--rate",
        type=options.Parsed(_RATE),
        default="1MiB/s",
        metavar="RATE",
        help="What the publisher sends at most; 0 is no limit, for anybody.",
    ),
)
def demo(headless: bool, size: int, leechers: int, rate: int) -> None:
    """Watch a swarm of your own.

    Starts a tracker, a publisher with generated content and some leechers, all on loopback and in a
    temporary folder, and opens the interface on one of the leechers. All of it goes when you leave;
    your own torrents and settings are not touched.
    """
    if not headless and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("the interface needs a terminal; --headless does without")
    plan = Plan(size_bytes=size, leechers=leechers, publisher_up_limit=_RATE.show(rate))
    with swarm(plan) as running:
        asyncio.run(running.start(say))
        if headless:
            asyncio.run(running.watch(say))
            say(f"{running.compare():,} files compared, all as published")
        else:
            from tui.app import run  # loaded late: Textual is the largest thing here

            run({"leecher": running.leechers[0].socket})
            say("ending the swarm")
