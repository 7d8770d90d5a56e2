"""The library's RC4 is RC4, in place and in parts, and is loaded by nobody who does not need it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine.errors import EncryptionError
from engine.net.rc4 import rc4
from tests.architecture.source import ROOT
from tests.fakes.mse_by_hand import Rc4


def test_a_vector_of_rfc_6229() -> None:
    assert rc4(bytes([1, 2, 3, 4, 5])).update(bytes(16)).hex() == "b2396305f03dc027ccc3524a0a1118a8"


def test_in_place_and_in_parts_as_by_hand() -> None:
    key, data = bytes(range(20)), bytes(range(256)) * 8
    by_hand = Rc4(key, discard=0)(data)
    cipher = rc4(key)
    buffer = bytearray(data)
    view = memoryview(buffer)
    for start, end in ((0, 0), (0, 1), (1, 700), (700, len(data))):
        cipher.update_into(view[start:end], view[start:end])
    assert buffer == by_hand
    cipher = rc4(key)
    assert cipher.update(data[:5]) + cipher.update(data[5:]) == by_hand


def test_a_machine_that_refuses_rc4_costs_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import ciphers

    def refuse(*_: object, **__: object) -> None:
        raise UnsupportedAlgorithm("not in this mode")

    monkeypatch.setattr(ciphers, "Cipher", refuse)
    with pytest.raises(EncryptionError, match="no RC4 on this machine"):
        rc4(bytes(20))


def test_the_library_is_loaded_with_the_first_cipher() -> None:
    code = """
import sys, engine.session.session
assert "cryptography" not in sys.modules
from engine.net.rc4 import rc4
rc4(bytes(20))
assert "cryptography" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
