"""Playing a script of proxy_steps.py against bytes, without a socket."""

from __future__ import annotations

from typing import TypeVar

from engine.net.proxy_steps import Script

T = TypeVar("T")


class Starved(Exception):  # noqa: N818 - the answer was merely too short
    """The script waits for more than there is."""


def play(script: Script[T], answer: bytes) -> tuple[T, bytes, bytes]:
    """Feed `answer`; return the script's result, what it said, and what it left of the answer.
    Raises Starved, and what the script raises."""
    said = b""
    try:
        step = next(script)
        while True:
            said += step.says
            if step.until:
                at = answer.find(step.until)
                if at < 0 or at > step.most:
                    raise Starved
                size = at + len(step.until)
            else:
                size = step.wants
            if len(answer) < size:
                raise Starved
            part, answer = answer[:size], answer[size:]
            step = script.send(part)
    except StopIteration as end:
        return end.value, said, answer
