"""Runs of bytes that lie in several views: shared out to spans, written, filled with zeros. HOT."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence

from engine.storage.backend import WritableView
from engine.storage.file_map import Span

MAX_VIEWS = 1024
"""IOV_MAX: buffers that one system call takes."""


def cut(
    spans: Sequence[Span], views: Sequence[WritableView]
) -> Iterator[tuple[Span, list[WritableView]]]:
    """Share views out to the spans they belong to; both have as many bytes."""
    if len(spans) == 1:
        yield spans[0], list(views)
        return
    rest = iter([memoryview(each) for each in views])
    view, left = memoryview(b""), 0
    for span in spans:
        wanted = span.length
        if wanted <= left:  # as nearly all that are small
            begin = len(view) - left
            left -= wanted
            yield span, [view[begin : begin + wanted]]
            continue
        parts: list[WritableView] = []
        while wanted:
            if not left:
                view = next(rest)
                left = len(view)
            taken = min(left, wanted)
            begin = len(view) - left
            parts.append(view[begin : begin + taken])
            left -= taken
            wanted -= taken
        yield span, parts


def write_all(fd: int, at: int, parts: list[WritableView]) -> None:
    """Write all views, one behind the other. Raises bare OSError."""
    while parts:
        if len(parts) == 1:
            count = os.pwrite(fd, parts[0], at)
            if count == len(parts[0]):
                return
        else:
            count = os.pwritev(fd, parts[:MAX_VIEWS], at)
        if not count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        at += count
        parts = rest_of(parts, count)


def rest_of(views: list[WritableView], count: int) -> list[WritableView]:
    """Return the views behind the first `count` bytes, some of which are done."""
    done = 0
    for number, view in enumerate(views):
        if done + len(view) > count:
            rest: list[WritableView] = list(views[number:])
            if count > done:
                rest[0] = memoryview(view)[count - done :]
            return rest
        done += len(view)
    return []


def fill_with_zeros(views: Sequence[WritableView]) -> None:
    for view in views:
        view[:] = bytes(len(view))
