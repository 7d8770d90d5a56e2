from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from engine.errors import SourceError, UnsafePathError
from engine.storage.source_tree import scan


def fill(root: Path, files: dict[str, int]) -> Path:
    for name, size in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    return root


def test_a_folder_is_sorted_by_path_and_offsets_add_up(tmp_path: Path) -> None:
    root = fill(tmp_path / "name", {"b/2": 5, "a": 3, "b/10": 0, "b.txt": 4, "é": 1})
    (root / "empty").mkdir()
    tree = scan(str(root))
    assert tree.name == "name"
    assert [("/".join(file.path), file.offset, file.length) for file in tree.files] == [
        ("a", 0, 3),
        ("b/10", 3, 0),
        ("b/2", 3, 5),
        ("b.txt", 8, 4),
        ("é", 12, 1),
    ]
    assert tree.total_length == 13
    places = [tree.files[tree.file_at(offset)].path for offset in range(13)]
    assert ["/".join(path) for path in places] == ["a"] * 3 + ["b/2"] * 5 + ["b.txt"] * 4 + ["é"]


def test_attributes(tmp_path: Path) -> None:
    root = fill(tmp_path / "name", {"run": 1, ".hidden": 1, "sub/.dot/file": 1})
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("sub/.dot/file")
    (root / "sub" / "up").symlink_to("../run")
    (root / "folder").symlink_to("sub")
    tree = scan(str(root))
    assert {"/".join(file.path): (file.attributes, file.target) for file in tree.files} == {
        ".hidden": ("h", ()),
        "folder": ("l", ("sub",)),
        "link": ("l", ("sub", ".dot", "file")),
        "run": ("x", ()),
        "sub/.dot/file": ("", ()),
        "sub/up": ("l", ("run",)),
    }
    seen = scan(str(root / "sub" / ".."), include_hidden=False)
    assert "run" in ["/".join(file.path) for file in seen.files]
    assert not any(part.startswith(".") for file in seen.files for part in file.path)


def test_a_link_out_of_the_tree_stands_for_its_file(tmp_path: Path) -> None:
    root = fill(tmp_path / "name", {"a": 1})
    (tmp_path / "outside").write_bytes(b"12345")
    (root / "b").symlink_to(tmp_path / "outside")
    tree = scan(str(root))
    assert [(file.path, file.length, file.attributes) for file in tree.files] == [
        (("a",), 1, ""),
        (("b",), 5, ""),
    ]


@pytest.mark.parametrize("target", ["/", "..", ".", "nowhere"])
def test_other_links_are_refused(tmp_path: Path, target: str) -> None:
    root = fill(tmp_path / "name", {"a": 1})
    (root / "b").symlink_to(target)
    with pytest.raises(SourceError, match="symbolic link"):
        scan(str(root))


def test_a_link_may_be_what_is_shared(tmp_path: Path) -> None:
    fill(tmp_path / "v1", {"a": 1})
    (tmp_path / "latest").symlink_to("v1")
    (tmp_path / "file").symlink_to("v1/a")
    assert (scan(str(tmp_path / "latest")).name, scan(str(tmp_path / "file")).name) == (
        "latest",
        "file",
    )
    assert scan(str(tmp_path / "file")).is_single_file


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("nowhere", "No such file"), ("hollow", "no files"), ("zero", "no bytes"), ("x/..", "")],
)
def test_nothing_to_share(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / "hollow" / "sub").mkdir(parents=True)
    fill(tmp_path / "zero", {"a": 0, "b/c": 0})
    (tmp_path / "x").mkdir()
    if name == "x/..":
        fill(tmp_path, {"seen": 1})
        assert scan(str(tmp_path / name)).name == tmp_path.name
        return
    with pytest.raises(SourceError, match=complaint):
        scan(str(tmp_path / name))


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path / "name", {"a": 1})
    os.mkfifo(root / "pipe")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        scan(str(root))
    os.unlink(root / "pipe")
    with socket.socket(socket.AF_UNIX) as plug:
        monkeypatch.chdir(root)  # a socket's path is short
        plug.bind("plug")
        with pytest.raises(SourceError, match="neither a file nor a folder"):
            scan(str(root))
    with pytest.raises(SourceError, match="root folder"):
        scan("/")


@pytest.mark.parametrize("name", ["aux", "a\\b", "a\nb", "c:x"])
def test_names_that_others_refuse_are_refused_at_once(tmp_path: Path, name: str) -> None:
    root = fill(tmp_path / "name", {"sub/" + name: 1})
    with pytest.raises(UnsafePathError):
        scan(str(root))
    with pytest.raises(UnsafePathError):
        scan(str(root / "sub" / name))


def test_names_that_collide_elsewhere_are_refused(tmp_path: Path) -> None:
    root = fill(tmp_path / "name", {"readme": 1, "README": 1})
    with pytest.raises(UnsafePathError, match="two files"):
        scan(str(root))
    (tmp_path / "bytes").mkdir()
    with open(os.fsencode(tmp_path / "bytes") + b"/\xff", "wb") as file:
        file.write(b"x")
    with pytest.raises(UnsafePathError, match="UTF-8"):
        scan(str(tmp_path / "bytes"))
