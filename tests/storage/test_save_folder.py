from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path

import pytest

from engine.storage.save_folder import FileMaker, SaveFolder, SymlinkRefusedError


def test_files_and_folders_are_made_where_they_belong(tmp_path: Path) -> None:
    folder = SaveFolder(str(tmp_path))
    for path in (("a",), ("b", "c"), ("b", "d", "e", "f")):
        os.close(folder.open_file(path, writable=True, mode=0o777))
        assert tmp_path.joinpath(*path).stat().st_mode & 0o100
    folder.make_folder(("b", "d", "g"))
    folder.make_folder(("b", "d", "g"))
    assert sorted(os.listdir(tmp_path / "b" / "d")) == ["e", "g"]


def test_reading_makes_nothing(tmp_path: Path) -> None:
    folder = SaveFolder(str(tmp_path))
    for path in (("a",), ("b", "c"), ("b", "c", "d")):
        with pytest.raises(FileNotFoundError):
            folder.open_file(path, writable=False)
    assert not os.listdir(tmp_path)


def test_links_are_relative_and_never_replace_anything(tmp_path: Path) -> None:
    folder = SaveFolder(str(tmp_path))
    folder.make_symlink(("t", "x", "y", "link"), ("t", "z", "file"))
    folder.make_symlink(("t", "x", "y", "link"), ("t", "other"))
    assert os.readlink(tmp_path / "t/x/y/link") == "../../z/file"


def test_links_on_the_way_are_refused_by_name(tmp_path: Path) -> None:
    folder = SaveFolder(str(tmp_path / "save"))
    (tmp_path / "out").mkdir()
    (tmp_path / "save").mkdir()
    (tmp_path / "save" / "link").symlink_to(tmp_path / "out")
    for path in (("link",), ("link", "a"), ("link", "a", "b")):
        with pytest.raises(SymlinkRefusedError, match="'link' is a symbolic link"):
            folder.open_file(path, writable=True)
    with pytest.raises(SymlinkRefusedError):
        folder.make_folder(("link", "a"))
    folder.remove_file(("link",))
    folder.remove_folder(("link",))
    (tmp_path / "out" / "a").mkdir()
    folder.remove_folder(("link", "a"))
    assert os.listdir(tmp_path / "out") == ["a"]
    assert (tmp_path / "save" / "link").is_symlink()


def test_removing_takes_only_what_belongs(tmp_path: Path) -> None:
    folder = SaveFolder(str(tmp_path))
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    folder.remove_file(("link",))
    folder.remove_file(("file",), is_symlink=True)
    folder.remove_file(("full",))
    folder.remove_folder(("full",))
    folder.remove_folder(("file",))
    folder.remove_folder(("missing", "too"))
    assert sorted(os.listdir(tmp_path)) == ["file", "full", "link"]
    folder.remove_file(("link",), is_symlink=True)
    folder.remove_file(("file",))
    folder.remove_file(("file",))
    assert os.listdir(tmp_path) == ["full"]


@pytest.mark.parametrize("foreign", [0, 500], ids=["among themselves", "among many others"])
@pytest.mark.parametrize("made", [0, 10, 40])
def test_looking_at_many_is_looking_at_each(tmp_path: Path, made: int, foreign: int) -> None:
    folder = SaveFolder(str(tmp_path))
    paths = [(where, f"{number}") for where in ("a", "b") for number in range(40)]
    paths += [("alone",), ("a", "0", "below a file"), ("absent", "deep", "file")]
    paths += [("no folder", f"{number}") for number in range(20)]
    (tmp_path / "no folder").write_bytes(b"")
    for path in paths[:made] + ([("alone",)] if made else []):
        tmp_path.joinpath(*path[:-1]).mkdir(exist_ok=True)
        tmp_path.joinpath(*path).write_bytes(bytes(made))
    for number in range(foreign):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / f"foreign {number}").touch()
    if made:
        (tmp_path / "a" / "39").unlink(missing_ok=True)
        (tmp_path / "a" / "39").symlink_to("0")

    def each(path: tuple[str, ...]) -> os.stat_result | None:
        try:
            return folder.lstat(path)
        except OSError:
            return None

    found = [
        look
        for parent, group in groupby(paths, lambda path: path[:-1])
        for look in folder.lstat_in(parent, [path[-1] for path in group])
    ]
    assert found == [each(path) for path in paths]
    assert sum(look is not None for look in found) >= made


def test_many_files_are_made_in_a_row_and_none_is_opened_that_was_there(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    (tmp_path / "taken").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "outside")
    names = {(): ["x", "y"], ("a",): ["1", "2"], ("a", "b"): ["3"], ("c",): ["4"]}
    folder = SaveFolder(str(tmp_path))
    for parent, inside in names.items():
        with FileMaker(folder, parent) as maker:
            for name in inside:
                fd = maker.make(name, 0o777)
                assert fd is not None
                os.write(fd, name.encode())
                os.close(fd)
                assert maker.make(name, 0o666) is None
            assert len(os.listdir("/proc/self/fd")) <= before + 1
    with FileMaker(folder, ()) as maker:
        assert maker.make("taken", 0o666) is None
    with FileMaker(folder, ("a",)) as maker:
        assert maker.make("link", 0o666) is None
    assert len(os.listdir("/proc/self/fd")) == before
    for path in [(*parent, name) for parent, inside in names.items() for name in inside]:
        assert tmp_path.joinpath(*path).read_text() == path[-1]
        assert tmp_path.joinpath(*path).stat().st_mode & 0o100
    assert not (tmp_path / "outside").exists()


def test_the_save_folder_itself_may_be_a_link_and_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with FileMaker(SaveFolder(str(tmp_path / "link")), ()) as maker:
        fd = maker.make("x", 0o666)
        assert fd is not None
        os.close(fd)
    assert os.listdir(tmp_path / "real") == ["x"]
    with pytest.raises(FileNotFoundError):
        FileMaker(SaveFolder(str(tmp_path / "missing")), ())


def test_no_file_is_made_behind_a_link_or_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "save" / "a").mkdir(parents=True)
    (tmp_path / "save" / "a" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "save" / "file").touch()
    before = len(os.listdir("/proc/self/fd"))
    folder = SaveFolder(str(tmp_path / "save"))
    for path in (("a", "link"), ("a", "link", "b")):
        with pytest.raises(SymlinkRefusedError, match="'link' is a symbolic link"):
            FileMaker(folder, path)
    with pytest.raises(NotADirectoryError):
        FileMaker(folder, ("file",))
    with FileMaker(folder, ("a",)) as maker:
        fd = maker.make("x", 0o666)
        assert fd is not None
        os.close(fd)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not os.listdir(tmp_path / "out")
