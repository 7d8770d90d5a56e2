"""The question before torrents are removed: it names what goes, and says what stays."""

from __future__ import annotations

from collections.abc import Sequence

from tui import format as fmt
from tui.screens.question import Question
from tui.store import Target

NAMED = 8
"""More torrents than this are counted instead of named."""


def removal(targets: Sequence[Target], *, delete_data: bool) -> Question:
    shown = targets if len(targets) <= NAMED else targets[: NAMED - 1]
    things = [f"{fmt.short_size(each.size):>5}  {fmt.clean(each.name)}" for each in shown]
    if len(shown) < len(targets):
        rest = targets[len(shown) :]
        size = fmt.short_size(sum(each.size for each in rest))
        things.append(f"{size:>5}  and {fmt.plural(len(rest), 'other torrent')}")
    total = fmt.size(sum(each.size for each in targets))
    what = fmt.plural(len(targets), "torrent")
    if delete_data:
        return Question(
            title=f"Remove {what} and delete the files?",
            things=things,
            body=f"Up to {total} on the disk is deleted. This cannot be undone.",
            yes="Delete the files",
            is_grave=True,
        )
    return Question(
        title=f"Remove {what} from the list?",
        things=things,
        body="The files stay where they are.",
        yes="Remove",
    )
