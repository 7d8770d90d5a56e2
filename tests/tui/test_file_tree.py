"""The tree of files: sums, folds and levels, held against the plain list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.control.schema import FilePriority, FileRow
from tui.file_tree import HIGH, MIXED, NORMAL, SKIP, FileTree, as_words, stepped, toggled

NAMES = st.sampled_from(["a", "b", "c"])
PRIORITIES = st.sampled_from(list(FilePriority))


@st.composite
def rows_of(draw: st.DrawFn) -> list[FileRow]:
    folders = draw(st.lists(st.lists(NAMES, max_size=4), min_size=1, max_size=12))
    return [
        FileRow(
            path="/".join(["t", *folder, f"file {number}"]),
            size=draw(st.integers(0, 99)),
            have=0,
            index=number,
            is_pad=draw(st.integers(0, 5)) == 0,
            priority=draw(PRIORITIES),
        )
        for number, folder in enumerate(folders)
    ]


@given(rows_of(), st.data())
def test_every_line_says_what_its_files_say(rows: list[FileRow], data: st.DataObject) -> None:
    tree = FileTree(rows)
    real = {row.index: row for row in rows if not row.is_pad}
    assert sorted(n for each in tree.lines if not each.is_folder for n in each.numbers) == sorted(
        real
    )
    for line in tree.lines:
        inside = [row for row in real.values() if f"{row.path}/".startswith(f"{line.path}/")]
        assert set(line.numbers) == {row.index for row in inside}
        assert line.size == sum(row.size for row in inside)
        assert line.wanted == sum(row.priority is not FilePriority.SKIP for row in inside)
        levels = {row.priority.value for row in inside}
        assert line.level == (levels.pop() if len(levels) == 1 else MIXED)
    if not tree.lines:
        return
    line = data.draw(st.sampled_from(tree.lines))
    level = toggled(line)
    tree.choose(line.numbers, level)
    assert all(tree.levels[number] == level for number in line.numbers)
    others = set(real) - set(line.numbers)
    assert all(tree.levels[number] == real[number].priority for number in others)
    count = len(tree.lines)
    folders = [each for each in tree.lines if each.is_folder]
    if folders:
        folder = data.draw(st.sampled_from(folders))
        below = sum(each.path.startswith(f"{folder.path}/") for each in tree.lines)
        assert tree.fold(folder)
        assert len(tree.lines) == count - below
        tree.show(rows)
        assert len(tree.lines) == count - below, "it stays folded when the engine tells anew"
        assert tree.fold(next(each for each in tree.lines if each.path == folder.path))
        assert len(tree.lines) == count


def test_a_very_deep_path_is_no_trouble() -> None:
    deep = "/".join(map(str, range(500)))
    assert len(FileTree([FileRow(path=deep, size=1, have=0)]).lines) == 500


def test_keys_lead_to_levels() -> None:
    rows = [
        FileRow(path="t/a", size=3, have=0, index=0, priority=FilePriority.SKIP),
        FileRow(path="t/b", size=4, have=0, index=1),
    ]
    root, skipped, normal = FileTree(rows).lines
    assert (toggled(root), toggled(skipped), toggled(normal)) == (NORMAL, NORMAL, SKIP)
    assert (stepped(skipped, 1), stepped(normal, 1), stepped(normal, -1)) == (NORMAL, HIGH, SKIP)
    assert stepped(skipped, -1) == SKIP
    assert (stepped(root, 1), stepped(root, -1)) == (HIGH, SKIP)
    assert FileTree(rows).wanted == (1, 2, 4)
    assert as_words([5, 1, 2, 3]) == "1-3,5"
