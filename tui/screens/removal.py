"""The question before torrents are removed, and the word that they are: what goes, what stays."""

from __future__ import annotations

from collections.abc import Sequence

from tui import format as fmt
from tui.screens.question import Question
from tui.store import Target

NAMED = 8
"""More torrents than this are counted instead of named."""


def removed(targets: Sequence[Target], *, delete_data: bool) -> str:
    """What is said when it is done."""
    is_one = len(targets) == 1
    what = fmt.clean(targets[0].name) if is_one else fmt.plural(len(targets), "torrent")
    return f"Removed {what}" + (f" with {'its' if is_one else 'their'} data" if delete_data else "")


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
