"""The table of BEPs in engine/README.md says what the code says, and leaves nothing out."""

from __future__ import annotations

from tests.architecture import bep_table
from tests.architecture.source import assert_none

UPDATE = "run `make bep-table`"


def test_mentions_are_read() -> None:
    text = (
        "BEP 3; (BEP 6, 10, 21): BEP 15 and 48. BEP 3 31\nBEP\n20. 18 bytes (BEP 7), 6 (BEPs 5/32)."
    )
    assert bep_table.beps_in(text) == {3, 6, 10, 21, 15, 48, 31, 20, 7, 5, 32}


def test_the_table_says_what_the_code_says() -> None:
    stands, should = bep_table.read(), bep_table.made()
    faults = [f"no code speaks of BEP {bep}: {UPDATE}" for bep in stands.keys() - should.keys()]
    for bep, (title, paths) in should.items():
        if bep not in stands:
            faults.append(f"BEP {bep} of {paths[0]} is not in the table: {UPDATE}")
        elif stands[bep][1] != paths:
            changed = sorted(set(stands[bep][1]) ^ set(paths))
            faults.append(f"the row of BEP {bep} is wrong about {changed}: {UPDATE}")
        elif not title:
            faults.append(f"BEP {bep} has no title in the table")
    assert_none(faults)
