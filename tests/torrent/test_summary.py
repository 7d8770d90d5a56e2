"""What is kept of a metainfo: the same answers, in a size that does not grow with it."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from engine.core.metainfo import Metainfo
from engine.torrent.summary import Summary
from tests.storage.torrents import Layout, Sample, sample

SHAPES = [
    sample(0),
    sample(1),
    sample(100_000, 16384),
    sample([Layout("a", 100), Layout(".pad/1", 16284, attr="p"), Layout("b", 5)], 16384),
]


@pytest.mark.parametrize("content", SHAPES)
def test_it_answers_as_the_metainfo_does(content: Sample) -> None:
    metainfo = replace(Metainfo(content.info), trackers=(("http://a/", "udp://b/"), ("http://c/",)))
    summary = Summary.of(metainfo)
    assert summary.info_hash == metainfo.info_hash
    assert summary.name == content.info.name
    assert summary.trackers == metainfo.trackers
    assert repr(summary.geometry) == repr(content.info.geometry)
    assert summary.file_count == sum(not file.is_pad for file in content.info.files)
    assert summary.is_private is content.info.is_private


def test_it_does_not_grow_with_the_pieces_and_files() -> None:
    small, large = sample(1), sample([Layout(f"f{n}", 100) for n in range(1000)], 16)
    sizes = [len(pickle.dumps(Summary.of(Metainfo(each.info)))) for each in (small, large)]
    assert sizes[1] < sizes[0] + 50
