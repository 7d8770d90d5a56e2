"""One run: bring a swarm up, let all go at one moment, do what the events say, look, tear down."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from engine.errors import SeedwrightError
from tests.swarm import payload, run_folder
from tests.swarm.drivers import (
    ROOT,
    Driver,
    Look,
    SeedwrightDriver,
    downloads,
    driver_of,
    environment,
)
from tests.swarm.launch import Launch, Runtime, SwarmError
from tests.swarm.leak_watch import LeakWatch
from tests.swarm.outcome import MemberOutcome, Outcome, Sample
from tests.swarm.payload import Content
from tests.swarm.plan import TRACKER, TRACKER_PORT, Plan, choose, host_port
from tests.swarm.timeline import Due, Swarm, Timeline

LOOK_EVERY_S: Final = 0.5
_SEEDS_READY_S: Final = 120.0
_STARTING_AT_ONCE: Final = 4
_FREED_DISK: Final = 1 << 40

Watcher = Callable[[Outcome, float], None]
"""Told after each look: the outcome so far, and seconds since all were let go."""


class Conductor:
    """One swarm and what happens to it."""

    def __init__(self, plan: Plan, runtime: Runtime, folder: Path, seed: int) -> None:
        self._plan = plan
        self._runtime = runtime
        self._folder = folder
        self._rng = random.Random(seed)
        self._timeline = Timeline(plan.scenario.events)
        self._drivers: dict[str, Driver] = {
            member.name: driver_of(member, folder / member.name) for member in plan.members
        }
        self._outcomes: dict[str, MemberOutcome] = {}
        self._away: set[str] = set()
        """Those who do not run, or do not answer, since an event wants it so."""
        self._to_join = [m for m in plan.members if m.joins_s]
        self._tasks: set[asyncio.Task[None]] = set()
        self._content: Content
        self._went_at = 0.0
        self._wire_before: dict[str, int] = {}
        self._starting = asyncio.Semaphore(_STARTING_AT_ONCE)
        self.outcome = Outcome(plan.scenario, runtime.name, [])

    # ── bringing up ─────────────────────────────────────────────────────────────────────────────

    async def run(self, say: Callable[[str], None], watch: Watcher) -> Outcome:
        """Do all of it but tearing down, which is `runtime.down`. Raises SwarmError."""
        scenario = self._plan.scenario
        say(f"{scenario.name}: {scenario.description}")
        self._content = await asyncio.to_thread(
            payload.make, self._folder / "content", scenario.payload, self._plan.announce
        )
        await self._prepare()
        say(f"starting {len(self._plan.members)} members")
        await self._start_all()
        leak_watch = self._leak_watch()
        say("all are let go")
        try:
            await self._let_go()
            await self._until_done(watch)
        finally:
            if leak_watch is not None:
                leak_watch.stop()
                self.outcome.leaks = leak_watch.leaks
                self.outcome.notes.append(f"{leak_watch.frames} packets searched for leaks")
            for task in self._tasks:
                task.cancel()
        await self._compare()
        for event in self._timeline.waiting:
            self.outcome.notes.append(f"{event.do} did not happen: never {event.when}")
        self.outcome.notes = [*self._runtime.notes, *self.outcome.notes]
        return self.outcome

    async def _prepare(self) -> None:
        launches = {name: driver.launch() for name, driver in self._drivers.items()}
        if self._plan.announce is not None:
            launches[TRACKER] = self._tracker()
        for launch in launches.values():
            launch.folder.mkdir(parents=True)
        ours = [each for each in self._drivers.values() if isinstance(each, SeedwrightDriver)]
        run_folder.note_engines(self._folder, [driver.socket for driver in ours])
        applied = await self._runtime.up(self._plan, launches)
        for member in self._plan.members:
            assert member.role is not None
            one = MemberOutcome(member.name, member.role, member.link, applied[member.name])
            self._outcomes[member.name] = one
            self.outcome.members.append(one)
            folder = downloads(self._folder / member.name)
            folder.mkdir()
            if member.role.disk is not None:
                await self._runtime.limit_disk(folder, member.role.disk)
            if member.role.has_all:
                await asyncio.to_thread(self._content.copy, folder, member.role.behaviour)

    def _tracker(self) -> Launch:
        network = self._plan.scenario.network
        where = host_port(self._plan.tracker.address, TRACKER_PORT)
        argv = (
            *(sys.executable, "-P", "-m", "engine", "tracker", "--json"),
            *(f"--{network.tracker}", where),
            *("--interval", f"{network.interval_s:g}s", "--min-interval", "2s"),
        )
        folder = self._folder / TRACKER
        return Launch(argv, folder, environment(folder) | {"PYTHONPATH": str(ROOT)})

    async def _start_all(self) -> None:
        if self._plan.announce is not None:
            await self._runtime.start(TRACKER)
            log = self._folder / TRACKER / "log.txt"
            await _until(lambda: "}" in _said(log), 30.0, "the tracker does not start")
        at_once = [member for member in self._plan.members if member.joins_s == 0.0]
        await asyncio.gather(*(self._start(member.name) for member in at_once))
        if self._plan.announce is not None:
            await asyncio.gather(*(self._warm_up(member.name) for member in at_once))
        seeds = [m.name for m in at_once if m.role is not None and m.role.has_all]
        await asyncio.gather(*(self._drivers[name].add(self._content) for name in seeds))
        for name in seeds:
            await self._until_seeding(name)

    async def _start(self, name: str) -> None:
        async with self._starting:
            await self._runtime.start(name)
            try:
                await self._drivers[name].connect()
            except SwarmError as error:
                log = self._folder / name / "log.txt"
                raise SwarmError(f"{error}: {_said(log).strip()[-400:]}") from error

    async def _warm_up(self, name: str) -> None:
        """What an engine loads when it announces first would be paid by all at one moment here."""
        assert self._plan.announce is not None
        torrent = payload.make_small(self._folder / "small", name, self._plan.announce)
        async with self._starting:
            await self._drivers[name].warm_up(torrent)

    async def _until_seeding(self, name: str) -> None:
        deadline = time.monotonic() + _SEEDS_READY_S
        while not (look := await self._drivers[name].look()).is_complete:
            if time.monotonic() > deadline:
                raise SwarmError(f"{name} does not seed: {look}")
            await asyncio.sleep(0.1)

    def _leak_watch(self) -> LeakWatch | None:
        if not self._plan.scenario.expect.no_leak:
            return None
        if self._runtime.name != "netns":
            self.outcome.notes.append("the wire is not searched for leaks in this runtime")
            return None
        names = {member.device: member.name for member in self._plan.members}
        watch = LeakWatch(self._content.info_hash, names)
        watch.start()
        return watch

    async def _let_go(self) -> None:
        self._wire_before = self._runtime.wire()
        self._went_at = time.time()
        for member in self._plan.members:
            if member.joins_s == 0.0:
                self._outcomes[member.name].joined_s = 0.0
        await asyncio.gather(
            *(
                self._drivers[member.name].add(self._content)
                for member in self._plan.members
                if member.joins_s == 0.0 and member.role is not None and not member.role.has_all
            )
        )

    # ── while it runs ───────────────────────────────────────────────────────────────────────────

    async def _until_done(self, watch: Watcher) -> None:
        limit_s = self._plan.scenario.time_limit_s
        while True:
            now_s = time.time() - self._went_at
            await self._look(now_s)
            watch(self.outcome, now_s)
            await self._happen(now_s)
            if self._is_done():
                return
            if now_s > limit_s:
                self.outcome.problem = f"ended after the limit of {limit_s:g} s"
                return
            spent = time.time() - self._went_at - now_s
            await asyncio.sleep(max(0.05, LOOK_EVERY_S - spent))

    def _is_done(self) -> bool:
        if self._to_join or self._tasks or not self._timeline.is_over:
            return False
        return all(
            one.completed_s is not None and self._is_answering(one) for one in self.outcome.awaited
        )

    def _is_answering(self, one: MemberOutcome) -> bool:
        return one.name not in self._away

    async def _look(self, now_s: float) -> None:
        present = [
            name
            for name, one in self._outcomes.items()
            if one.joined_s is not None and name not in self._away
        ]
        looks = await asyncio.gather(
            *(self._drivers[name].look() for name in present), return_exceptions=True
        )
        for name, look in zip(present, looks, strict=True):
            if isinstance(look, Look):
                self._note(self._outcomes[name], look, now_s)
            elif not isinstance(look, SeedwrightError):
                raise look
            elif not self._runtime.is_running(name) and name not in self._away:
                raise SwarmError(f"{name} fell over: {look}; its log is kept")
        wire = {name: sent - self._wire_before[name] for name, sent in self._runtime.wire().items()}
        if self.outcome.last_s is None or not self.outcome.samples:
            for name, sent in wire.items():
                self._outcomes[name].wire_sent = sent
        progress = {
            n: one.progress for n, one in self._outcomes.items() if one.joined_s is not None
        }
        self.outcome.samples.append(Sample(now_s, progress, sum(wire.values())))

    def _note(self, one: MemberOutcome, look: Look, now_s: float) -> None:
        one.progress = look.progress
        one.uploaded = max(one.uploaded, look.uploaded)
        one.error = look.error
        if look.is_complete and one.completed_s is None and not one.role.has_all:
            at_s = now_s if look.completed_at is None else look.completed_at - self._went_at
            one.completed_s = max(at_s, one.joined_s or 0.0)

    async def _happen(self, now_s: float) -> None:
        for member in [m for m in self._to_join if (m.joins_s or 0.0) <= now_s]:
            self._to_join.remove(member)
            self._spawn(self._join(member.name))
        for due in self._timeline.due(now_s, await self._swarm()):
            members = due.members if due.members is not None else self._choose(due)
            names = ", ".join(members[:4]) + (" …" if len(members) > 4 else "")
            self.outcome.events.append((now_s, f"{due.do} {names}".strip()))
            self._timeline.done(due, members, now_s)
            await self._do(due, members)

    async def _swarm(self) -> Swarm:
        awaited = [one for one in self.outcome.awaited if one.joined_s is not None]
        done = [one for one in awaited if one.completed_s is not None]
        held = 1.0 if done else 0.0
        if not done and any(event.when == "copy held" for event in self._timeline.waiting):
            for one in self.outcome.publishers:
                with contextlib.suppress(SeedwrightError):
                    held = max(held, await self._drivers[one.name].copies_held())
        return Swarm(
            mean=fmean([one.progress for one in awaited]) if awaited else 0.0,
            first_is_complete=bool(done),
            all_are_complete=bool(awaited) and len(done) == len(awaited),
            copies_held=held,
        )

    def _choose(self, due: Due) -> tuple[str, ...]:
        """Those whom an event hits: of its roles, and able to be hit by it."""
        able = []
        for member in self._plan.of(due.event.who):
            one = self._outcomes[member.name]
            is_in = one.joined_s is not None and not one.has_left
            if due.do == "join":
                able += [member] if one.joined_s is None else []
            elif is_in and (member.name in self._away) == (due.do in ("start", "resume")):
                able.append(member)
        chosen = choose(able, due.event.share, due.event.count, self._rng)
        return tuple(member.name for member in chosen)

    async def _do(self, due: Due, names: tuple[str, ...]) -> None:
        runtime = self._runtime
        is_for_good = due.event.back_after_s is None and not any(
            event.do == "start" for event in self._plan.scenario.events
        )
        if due.do in ("kill", "pause", "partition", "leave"):
            for name in names:
                self._outcomes[name].suffered.append(due.do)
        match due.do:
            case "join":
                for name in names:
                    self._spawn(self._join(name))
            case "kill" | "leave":
                for name in names:
                    self._away.add(name)
                    self._outcomes[name].has_left = is_for_good
                    await self._drivers[name].close()
                end = runtime.kill if due.do == "kill" else runtime.stop
                await asyncio.gather(*(end(name) for name in names))
            case "start":
                for name in names:
                    self._spawn(self._come_back(name))
            case "pause":
                self._away.update(names)
                await asyncio.gather(*(runtime.pause(name) for name in names))
            case "resume":
                await asyncio.gather(*(runtime.resume(name) for name in names))
                self._away.difference_update(names)
            case "partition":
                await runtime.partition(list(names))
            case "heal":
                await runtime.heal()
            case "tracker-down":
                await runtime.kill(TRACKER)
            case "tracker-up":
                await runtime.start(TRACKER)
            case "disk-free":
                for name in names:
                    self._outcomes[name].suffered.append("disk full")
                    await runtime.limit_disk(downloads(self._folder / name), _FREED_DISK)
                    await self._drivers[name].go_on()

    async def _join(self, name: str) -> None:
        await self._start(name)
        self._outcomes[name].joined_s = time.time() - self._went_at
        await self._drivers[name].add(self._content)

    async def _come_back(self, name: str) -> None:
        await self._start(name)
        await self._drivers[name].rejoin(self._content)
        self._away.discard(name)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SeedwrightError as error:
            self.outcome.problem = str(error)

    # ── afterwards ──────────────────────────────────────────────────────────────────────────────

    async def _compare(self) -> None:
        for one in self.outcome.members:
            if one.completed_s is not None and not one.has_left:
                folder = downloads(self._folder / one.name)
                one.is_identical = await asyncio.to_thread(self._content.is_equal, folder)

    async def close(self) -> None:
        """Let go of all members; the runtime ends them."""
        for driver in self._drivers.values():
            with contextlib.suppress(SeedwrightError, OSError):
                await driver.close()


def _said(log: Path) -> str:
    """What a member has logged; a container makes its log itself, a moment after it was started."""
    return log.read_text(errors="replace") if log.exists() else ""


async def _until(question: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not question():
        if time.monotonic() > deadline:
            raise SwarmError(what)
        await asyncio.sleep(0.05)
