"""`make swarm`, `make swarm-list` and `make swarm-watch`: run a scenario, tell them, watch one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from engine.errors import SeedwrightError
from tests.swarm import containers, library, picture, report, run_folder, sandbox
from tests.swarm.conductor import Conductor
from tests.swarm.containers import Containers
from tests.swarm.launch import Runtime, SwarmError
from tests.swarm.links import NETS
from tests.swarm.live import Watch
from tests.swarm.netns import Netns
from tests.swarm.outcome import Outcome, judge
from tests.swarm.plan import Plan, plan

RUNTIMES: Final = ("netns", "containers")
_SLACK_BYTES: Final = 64 << 20
_UNWRAPPED: Final = 10_000
"""Columns; more than any line has."""

console: Final = Console(stderr=True)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.swarm")
    commands = made.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run scenarios, one after the other")
    run.add_argument(
        "scenarios", nargs="+", metavar="SCENARIO", help="a name, a .toml file, or all"
    )
    run.add_argument("--peers", type=int, help="how many peers, instead of what it says")
    run.add_argument("--net", help=f"the net, instead of what it says: {', '.join(NETS)}")
    run.add_argument("--client", help="the client of all honest members, to compare with ours")
    run.add_argument("--runtime", choices=RUNTIMES, default=RUNTIMES[0])
    run.add_argument("--report", type=Path, default=Path(".swarm"), metavar="DIR")
    run.add_argument("--seed", type=int, default=1, help="for what events choose by chance")
    commands.add_parser("list", help="tell the scenarios and nets")
    watched = commands.add_parser("watch", help="open the interface on a running swarm")
    watched.add_argument("scenario", nargs="?", help="its name, where several are running")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        match options.command:
            case "list":
                return tell()
            case "watch":
                return watch(options.scenario)
            case _:
                return run_all(options)
    except SeedwrightError as error:
        console.print(f"swarm: {error}", style="red", highlight=False, soft_wrap=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def tell() -> int:
    """List scenarios and nets."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("scenario", "peers", "net", "what happens"):
        table.add_column(name, no_wrap=name == "scenario")
    for name in library.shipped():
        scenario = library.load(name)
        peers = sum(role.count for role in scenario.roles if not role.has_all)
        about = scenario.description
        if why := library.lacking(scenario):
            about += f" [dim]({why})[/dim]"
        table.add_row(name, str(peers), scenario.network.net, about)
    nets = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("net", "what it is"):
        nets.add_column(name)
    for name, net in NETS.items():
        nets.add_row(name, net.about)
    # Who reads it from a pipe wants each on a line of its own.
    out = Console(width=None if sys.stdout.isatty() else _UNWRAPPED)
    out.print(table)
    out.print()
    out.print(nets)
    return 0


def watch(wanted: str | None) -> int:
    """Open the interface on all engines of the youngest running swarm."""
    for folder, scenario in run_folder.running():
        sockets = run_folder.engines(folder)
        if sockets and wanted in (None, scenario):
            command = [sys.executable, "-m", "engine", "--no-start"]
            command += [part for socket in sockets for part in ("--engine", str(socket))]
            os.execv(sys.executable, command)
    raise SwarmError("no swarm is running; make swarm starts one")


def run_all(options: argparse.Namespace) -> int:
    """Run all that was asked for; the exit code is that of the worst."""
    sweep()
    names = library.shipped() if options.scenarios == ["all"] else options.scenarios
    worst = 0
    for name in names:
        scenario = library.load(name)
        if options.peers is not None:
            scenario = scenario.with_peers(options.peers)
        if options.net is not None:
            scenario = scenario.in_net(options.net)
        if options.client is not None:
            scenario = scenario.with_client(options.client)
        if why := library.lacking(scenario):
            console.print(f"{scenario.name} is left out: {why}", highlight=False)
            continue
        scenario, notes = library.with_installed_clients(scenario)
        in_containers = options.runtime == "containers"
        planned = plan(scenario, secrets.randbelow(128) if in_containers else 0)
        needed = scenario.payload.size * (len(planned.members) + 1) + _SLACK_BYTES
        with run_folder.made(needed, scenario.name) as folder:
            if in_containers:
                code = _run(planned, Containers(folder), folder, notes, options)
            else:
                work = partial(_run, planned, Netns(), folder, notes, options)
                code = sandbox.run_inside(work)
        worst = max(worst, code)
        if code == 130:
            break
    return worst


def _run(
    planned: Plan, runtime: Runtime, folder: Path, notes: list[str], options: argparse.Namespace
) -> int:
    try:
        return asyncio.run(conduct(planned, runtime, folder, notes, options))
    except SeedwrightError as error:
        console.print(f"swarm: {error}", style="red", highlight=False, soft_wrap=True)
        return 1


async def conduct(
    planned: Plan, runtime: Runtime, folder: Path, notes: list[str], options: argparse.Namespace
) -> int:
    """Run one scenario, report, tear down; return the exit code."""
    began_at = time.monotonic()
    conductor = Conductor(planned, runtime, folder, options.seed)
    conductor.outcome.notes += notes
    reports = options.report / planned.scenario.name
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    stop_once = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    for number in stop_once:
        loop.add_signal_handler(number, lambda: task.cancelling() or task.cancel())
    shown = Watch(console)
    try:
        with shown.shown():
            outcome = await conductor.run(
                lambda text: console.print(text, highlight=False, soft_wrap=True), shown
            )
        outcome.faults = _faults(folder)
        passed = _report(outcome, reports, time.monotonic() - began_at)
        if not passed:
            _keep_logs(folder, reports)
        return 0 if passed else 1
    except asyncio.CancelledError:
        console.print("interrupted: tearing down", highlight=False)
        return 130
    except SwarmError:
        _keep_logs(folder, reports)
        raise
    finally:
        for number in stop_once:
            loop.add_signal_handler(number, lambda: None)
        await conductor.close()
        await runtime.down()


def _report(outcome: Outcome, folder: Path, took_s: float) -> bool:
    """Tell and write what it came to; True if all is as expected."""
    verdicts = judge(outcome)
    passed = all(verdict.is_met for verdict in verdicts)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.to_json(outcome, verdicts))
    (folder / "junit.xml").write_text(report.to_junit(outcome, verdicts, took_s))
    (folder / "progress.svg").write_text(picture.draw(outcome))
    console.print(report.table(outcome))
    for note in outcome.notes:
        console.print(f"note: {note}", style="dim", highlight=False, soft_wrap=True)
    for verdict in verdicts:
        mark, style = ("✓", "green") if verdict.is_met else ("✗", "red")
        console.print(f"{mark} {verdict.what}: {verdict.seen}", style=style, highlight=False)
    console.print(report.summary(outcome), highlight=False, soft_wrap=True)
    word = "passed" if passed else "failed"
    console.print(f"{outcome.scenario.name} {word} in {took_s:.0f} s; report in {folder}/")
    return passed


def _faults(folder: Path) -> list[str]:
    """Members of whom something went wrong that nobody thought of."""
    return sorted(
        log.parent.name for log in folder.glob("*/log.txt") if b"Traceback (" in log.read_bytes()
    )


def _keep_logs(folder: Path, reports: Path) -> None:
    for log in folder.glob("*/log.txt"):
        target = reports / "logs" / f"{log.parent.name}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            shutil.copyfile(log, target)
    console.print(f"logs of all members are in {reports / 'logs'}/", highlight=False)


def sweep() -> None:
    """Remove what runs that were killed have left behind."""
    for folder in run_folder.left_behind():
        containers.sweep(folder)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
