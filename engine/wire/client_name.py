"""Peer id → the name and version of the client behind it (BEP 20).

Invariant: what comes out is short and printable, whatever a peer puts in. The name is a guess to be
shown, and nothing is ever decided by it.
"""

from __future__ import annotations

import re
from typing import Final

UNKNOWN: Final = "unknown"
MAX_NAME_LENGTH: Final = 64
"""Characters of a client name that are shown."""

_AZUREUS: Final = {
    "7T": "aTorrent",
    "AB": "AnyEvent BitTorrent",
    "AG": "Ares",
    "AR": "Arctic",
    "AT": "Artemis",
    "AV": "Avicora",
    "AX": "BitPump",
    "AZ": "Azureus",
    "A~": "Ares",
    "BB": "BitBuddy",
    "BC": "BitComet",
    "BE": "BitTorrent SDK",
    "BF": "Bitflu",
    "BG": "BTG",
    "BI": "BiglyBT",
    "BL": "BitLord",
    "BP": "BitTorrent Pro",
    "BR": "BitRocket",
    "BS": "BTSlave",
    "BT": "BitTorrent",
    "BW": "BitWombat",
    "BX": "BittorrentX",
    "CD": "Enhanced CTorrent",
    "CT": "CTorrent",
    "DE": "Deluge",
    "DP": "Propagate Data Client",
    "EB": "EBit",
    "ES": "electric sheep",
    "FC": "FileCroc",
    "FD": "Free Download Manager",
    "FG": "FlashGet",
    "FL": "Folx",
    "FT": "FoxTorrent",
    "FW": "FrostWire",
    "FX": "Freebox BitTorrent",
    "GS": "GSTorrent",
    "GT": "anacrolix/torrent",
    "HL": "Halite",
    "HN": "Hydranode",
    "KG": "KGet",
    "KT": "KTorrent",
    "LC": "LeechCraft",
    "LH": "LH-ABC",
    "LP": "Lphant",
    "LT": "libtorrent",
    "LW": "LimeWire",
    "MG": "MediaGet",
    "MO": "MonoTorrent",
    "MP": "MooPolice",
    "MR": "Miro",
    "MT": "MoonlightTorrent",
    "NX": "Net Transport",
    "PD": "Pando",
    "PI": "PicoTorrent",
    "QD": "QQDownload",
    "QT": "Qt 4 Torrent",
    "RN": "Rain",
    "RT": "Retriever",
    "SB": "Swiftbit",
    "SD": "Xunlei",
    "SS": "SwarmScope",
    "ST": "SymTorrent",
    "SW": "seedwright",
    "SZ": "Shareaza",
    "S~": "Shareaza",
    "TL": "Tribler",
    "TN": "TorrentDotNET",
    "TR": "Transmission",
    "TS": "Torrentstorm",
    "TT": "TuoTu",
    "UE": "µTorrent Embedded",
    "UL": "uLeecher!",
    "UM": "µTorrent Mac",
    "UT": "µTorrent",
    "UW": "µTorrent Web",
    "VG": "Vagaa",
    "WD": "WebTorrent Desktop",
    "WT": "BitLet",
    "WW": "WebTorrent",
    "WY": "FireTorrent",
    "XF": "Xfplay",
    "XL": "Xunlei",
    "XT": "XanTorrent",
    "XX": "Xtorrent",
    "ZT": "ZipTorrent",
    "lt": "rTorrent",
    "qB": "qBittorrent",
    "rQ": "rqbit",
    "st": "sharktorrent",
}
_SHADOW: Final = {
    "A": "ABC",
    "O": "Osprey Permaseed",
    "Q": "BTQueue",
    "R": "Tribler",
    "S": "Shadow",
    "T": "BitTornado",
    "U": "UPnP NAT Bit Torrent",
}
_SHADOW_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz."

_AZUREUS_STYLE = re.compile(r"-([A-Za-z0-9][A-Za-z0-9~])([0-9A-Za-z]{4})")
_DOTTED_STYLE = re.compile(r"-([A-Z]{2})(\d{1,3}(?:\.\d{1,3}){1,3})-")
_MAINLINE_STYLE = re.compile(r"(M|Q|A2)-?(\d{1,3})-(\d{1,3})-(\d{1,3})-")
_SHADOW_STYLE = re.compile(r"([AOQRSTU])([0-9A-Za-z.]{1,5})-{0,5}---")
_TIXATI_STYLE = re.compile(r"-TIX(\d\d)(\d\d)-")
_XBT_STYLE = re.compile(r"XBT(\d)(\d)(\d)[d-]-")
_OPERA_STYLE = re.compile(r"OP(\d{4})")
_DASHED_NAMES: Final = {"M": "BitTorrent", "Q": "Queen Bee", "A2": "aria2"}
_DOTTED_NAMES: Final = {"ML": "MLDonkey", "RN": "Rain"}


def client_name(peer_id: bytes) -> str:
    """Name the client behind a peer id: "Transmission 4.0.5", "unknown"."""
    text = peer_id.decode("latin-1")
    if found := _TIXATI_STYLE.match(text):
        return f"Tixati {int(found[1])}.{int(found[2])}"
    if found := _DOTTED_STYLE.match(text):
        return f"{_DOTTED_NAMES.get(found[1]) or _AZUREUS.get(found[1], found[1])} {found[2]}"
    if found := _AZUREUS_STYLE.match(text):
        code, version = found[1], found[2]
        # Without the closing dash it takes a known code to believe in the style.
        if text[7:8] == "-" or code in _AZUREUS:
            return f"{_AZUREUS.get(code, code)} {_azureus_version(code, version)}"
    if found := _MAINLINE_STYLE.match(text):
        return f"{_DASHED_NAMES[found[1]]} {found[2]}.{found[3]}.{found[4]}"
    if found := _XBT_STYLE.match(text):
        return f"XBT {found[1]}.{found[2]}.{found[3]}"
    if found := _OPERA_STYLE.match(text):
        return f"Opera {found[1]}"
    if text.startswith("exbc"):
        name = "BitLord" if text[6:10] == "LORD" else "BitComet"
        return f"{name} {peer_id[4]}.{peer_id[5]:02}"
    if found := _SHADOW_STYLE.match(text):
        digits = (str(_SHADOW_DIGITS.index(digit)) for digit in found[2] if digit != ".")
        return f"{_SHADOW[found[1]]} {'.'.join(digits)}".rstrip()
    return UNKNOWN


def _azureus_version(code: str, digits: str) -> str:
    """Read four version characters: decimal digits and on as A = 10; clients differ in the dots."""
    if code == "TR" and digits[0] in "0123":
        return f"{digits[0]}.{digits[1:3]}"
    if code in ("BC", "XL", "SD") and digits.isdecimal():
        return f"{int(digits[:2])}.{digits[2:]}"
    numbers = [str(int(digit, 36)) for digit in digits]
    if digits[3] == "0" or not digits[3].isdecimal():
        # The last one is a build or a letter of the branch (Deluge's `s`) more often than not.
        numbers.pop()
    return ".".join(numbers)


def sanitised(text: str) -> str:
    """Make a peer's text fit to be shown: one line, printable, at most 64 characters."""
    cleaned = "".join(char if char.isprintable() else " " for char in text[: 4 * MAX_NAME_LENGTH])
    return " ".join(cleaned.split())[:MAX_NAME_LENGTH].rstrip()
