"""Magnet links: every form that is met in the wild, and what bad ones are told."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.identifiers import InfoHash
from engine.core.magnet import MAX_HINTS, MAX_LINK_CHARS, MAX_NAME_CHARS, Magnet, is_magnet
from engine.core.metainfo import Metainfo
from engine.errors import InputError
from tests.storage.torrents import sample

HASH = InfoHash(bytes(range(20)))
HEX = HASH.hex()
LINK = f"magnet:?xt=urn:btih:{HEX}"


def test_everything_at_once() -> None:
    link = (
        f"{LINK}&dn=A+name%20%E2%9C%93&tr=http%3A%2F%2Ft.example%3A80%2Fannounce&tr=udp://u.example:1"
        "&x.pe=10.0.0.1:6881&x.pe=[2001:db8::1]:2&x.pe=host.example:3"
        "&ws=https://w.example/file&so=0,2,4,6-8&xl=1234&as=http://other&kt=words"
    )
    assert Magnet.parse(link) == Magnet(
        HASH,
        "A name ✓",
        ("http://t.example:80/announce", "udp://u.example:1"),
        (("10.0.0.1", 6881), ("2001:db8::1", 2), ("host.example", 3)),
        ("https://w.example/file",),
        (range(1), range(2, 3), range(4, 5), range(6, 9)),
    )


@pytest.mark.parametrize(
    "link",
    [
        LINK,
        LINK.upper().replace("MAGNET:?XT", "MAGNET:?xt"),
        f"  {LINK}\n",
        f"magnet:?dn=x&xt=urn:btih:{base64.b32encode(HASH).decode()}",
        f"magnet:?xt=urn:btih:{base64.b32encode(HASH).decode().lower()}",
        f"magnet:?xt=urn%3Abtih%3A{HEX}",
        f"magnet:?xt.1=urn:btih:{HEX}&xt.2=urn:sha1:ABC",
        f"magnet:?xt=urn:btih:{HEX}&xt=urn:btmh:1220{'ab' * 32}",
        f"magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{HEX.upper()}",
        f"magnet:?&&=&dn&xt=urn:btih:{HEX}&",
    ],
)
def test_the_info_hash_in_all_its_forms(link: str) -> None:
    assert Magnet.parse(link).info_hash == HASH


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("", "no magnet link"),
        ("http://example/?xt=urn:btih:" + HEX, "no magnet link"),
        ("magnet:", "no magnet link"),
        ("magnet:?", "without an info-hash"),
        ("magnet:?dn=name", "without an info-hash"),
        ("magnet:?xt=urn:sha1:ABCDEF", "without an info-hash"),
        ("magnet:?xt=urn:btih:", "no info-hash"),
        (LINK[:-1], "no info-hash"),
        (LINK + "0", "no info-hash"),
        (LINK[:-1] + "g", "no info-hash"),
        ("magnet:?xt=urn:btih:" + "1" * 32, "no info-hash"),
        ("magnet:?xt=urn:btih:" + "é" * 32, "no info-hash"),
        (f"magnet:?xt=urn:btmh:1220{'ab' * 32}", "version 2 only"),
        (f"{LINK}&xt=urn:btih:{'00' * 20}", "more than one torrent"),
        (f"{LINK}&so=a", "selects no files"),
        (f"{LINK}&so=3-1", "selects no files"),
        (f"{LINK}&so=1-", "selects no files"),
        (f"{LINK}&so=-1", "selects no files"),
        (f"{LINK}&so=1-2-3", "selects no files"),
        (f"{LINK}&so=²", "selects no files"),
        (f"{LINK}&so=0-99999999999", "selects no files"),
        (f"{LINK}&so={'1,' * 10_001}", "ranges of files"),
        (f"{LINK}&dn={'x' * MAX_LINK_CHARS}", "characters"),
    ],
)
def test_what_bad_links_are_told(link: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        Magnet.parse(link)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_useless_hints_are_left_out() -> None:
    hints = (
        "&tr=wss://t.example&tr=nonsense&tr=http://&tr=http://t.example:99999/&tr=http://a%0Ab/"
        "&tr=http://[bad&tr=udp://u.example:0&ws=ftp://w.example/f&x.pe=noport&x.pe=1.2.3.4:0"
        "&x.pe=a%20b:1&x.pe=::1:80&x.pe=1.2.3.4:65536"
    )
    assert Magnet.parse(LINK + hints) == Magnet(HASH)


def test_hints_are_bounded_and_unique() -> None:
    many = "".join(f"&tr=http://t{n}.example/&x.pe=h{n}:1&ws=http://w{n}/" for n in range(500))
    magnet = Magnet.parse(LINK + "&tr=http://t0.example/" + many + f"&dn={'n' * 5000}")
    assert len(magnet.trackers) == len(magnet.peers) == len(magnet.web_seeds) == MAX_HINTS
    assert len(set(magnet.trackers)) == MAX_HINTS
    assert len(magnet.name) == MAX_NAME_CHARS


def test_names_hold_no_control_characters() -> None:
    assert Magnet.parse(f"{LINK}&dn=%1b[31mred%0a%e2%80%ae%00x%ff").name == "[31mred x\ufffd"


def test_links_from_the_source_of_a_page() -> None:
    assert Magnet.parse(f"{LINK}&amp;dn=x&amp;tr=udp://t:1&amp;tr.2=udp://t:2") == Magnet(
        HASH, "x", ("udp://t:1", "udp://t:2")
    )


def test_selected_files_merge() -> None:
    magnet = Magnet.parse(f"{LINK}&so=9,4-6,5-7,8,0&so=2147483647")
    assert magnet.selected == (range(1), range(4, 10), range(2147483647, 2147483648))
    assert [index for index in range(12) if magnet.selects(index)] == [0, 4, 5, 6, 7, 8, 9]
    assert Magnet.parse(f"{LINK}&so=").selects(123)


def test_what_is_meant_as_a_magnet() -> None:
    assert is_magnet(" MAGNET:?xt=")
    assert is_magnet("magnet:nonsense")
    assert not is_magnet("magnet.torrent")
    assert not is_magnet("")


_HOSTS = st.sampled_from(["a.example", "10.1.2.3", "2001:db8::7", "xn--tda.example"])
_URLS = st.from_regex(r"[a-z]{1,8}\.example(:[1-9][0-9]{0,3})?/[!-~é ]{0,9}", fullmatch=True).map(
    lambda tail: "http://" + tail.replace(" ", "%20")
)


@st.composite
def _magnets(draw: st.DrawFn) -> Magnet:
    bounds = sorted(draw(st.sets(st.integers(0, 50), max_size=8)))
    ranges = zip(bounds[::2], bounds[1::2], strict=False)
    return Magnet(
        InfoHash(draw(st.binary(min_size=20, max_size=20))),
        " ".join(draw(st.text(st.characters(exclude_categories=["C"]), max_size=30)).split()),
        tuple(draw(st.lists(_URLS, max_size=3, unique=True))),
        tuple(draw(st.lists(st.tuples(_HOSTS, st.integers(1, 65535)), max_size=3, unique=True))),
        tuple(draw(st.lists(_URLS, max_size=3, unique=True))),
        tuple(range(first, behind) for first, behind in ranges),
    )


@given(_magnets())
def test_what_is_formatted_parses_to_the_same(magnet: Magnet) -> None:
    assert Magnet.parse(str(magnet)) == magnet


@given(st.text(max_size=200) | st.text(st.sampled_from("0123456789-,&=%.xtsodnpe:[]"), max_size=90))
def test_any_text_parses_or_is_refused(text: str) -> None:
    for link in (text, "magnet:?" + text, f"{LINK}&{text}"):
        try:
            magnet = Magnet.parse(link)
        except InputError:
            continue
        assert Magnet.parse(str(magnet)) == magnet


def test_the_link_of_a_torrent_leads_back_to_it() -> None:
    made = sample(100_000, name="a name & more")
    metainfo = Metainfo(
        made.info,
        trackers=(("udp://a.example:1", "wss://b.example"), ("http://c.example/announce?k=1&l=2",)),
        web_seeds=("https://w.example/x/", "ftp://w.example/"),
    )
    assert Magnet.parse(str(Magnet.of(metainfo))) == Magnet(
        made.info.info_hash,
        name="a name & more",
        trackers=("udp://a.example:1", "http://c.example/announce?k=1&l=2"),
        web_seeds=("https://w.example/x/",),
    )


def test_every_tracker_is_a_tier_of_its_own() -> None:
    magnet = Magnet.parse(f"{LINK}&tr=udp://a.example:1&tr=udp://b.example:1")
    assert magnet.tiers == (("udp://a.example:1",), ("udp://b.example:1",))
    assert Magnet.parse(f"{LINK}&so=4,0-2").selection == "0-2,4"
