"""Settings: the stronger source wins, each value knows its source, and mistakes are named."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SettingsError
from engine.setting_sections import Settings
from engine.settings import (
    KINDS,
    Layer,
    Origin,
    Override,
    merge,
    parse_override,
    secret_files,
)

KEY, VARIABLE = "transfer.down_limit", "SEEDWRIGHT_TRANSFER_DOWN_LIMIT"


def test_without_anything_all_is_default() -> None:
    effective = merge()
    home = Path.home()
    assert effective.settings.storage.save_path == home / "Downloads"
    storage = dataclasses.replace(effective.settings.storage, save_path=Path("~/Downloads"))
    assert dataclasses.replace(effective.settings, storage=storage) == Settings()
    assert set(effective.origins) == set(KINDS)
    assert {str(origin) for origin in effective.origins.values()} == {"default"}
    assert effective.warnings == ()


@given(
    st.none() | st.integers(0, 9), st.none() | st.integers(10, 19), st.none() | st.integers(20, 29)
)
def test_flag_wins_over_environment_over_file_over_default(
    file: int | None, variable: int | None, flag: int | None
) -> None:
    effective = merge(
        file={} if file is None else {"transfer": {"down_limit": file}},
        file_name="c.toml",
        environ={"PATH": "/bin"} if variable is None else {VARIABLE: str(variable)},
        overrides=[] if flag is None else [Override(KEY, str(flag))],
    )
    value = effective.settings.transfer.down_limit
    assert value == next((each for each in (flag, variable, file) if each is not None), 0)
    assert effective.origins[KEY] == (
        Origin(Layer.FLAG, "--set")
        if flag is not None
        else Origin(Layer.ENVIRONMENT, VARIABLE)
        if variable is not None
        else Origin(Layer.FILE, "c.toml")
        if file is not None
        else Origin(Layer.DEFAULT)
    )
    others = set(effective.origins) - {KEY}
    assert {effective.origins[each] for each in others} == {Origin(Layer.DEFAULT)}


def test_the_last_of_two_flags_wins() -> None:
    effective = merge(
        overrides=[parse_override(f"{KEY}=1"), Override("transfer.down_limit", "2", "--down")]
    )
    assert effective.settings.transfer.down_limit == 2
    assert str(effective.origins[KEY]) == "flag --down"


def test_the_types_are_those_of_the_fields() -> None:
    effective = merge(
        environ={
            "SEEDWRIGHT_NETWORK_ISOLATED": "yes",
            "SEEDWRIGHT_TRACKERS_MIN_INTERVAL_S": "2min",
            "SEEDWRIGHT_DAEMON_SOCKET": "/run/s",
            "SEEDWRIGHT_DAEMON_LOG_LEVEL": "DEBUG",
        }
    ).settings
    assert effective.network.isolated is True
    assert effective.trackers.min_interval_s == 120.0
    assert effective.daemon.socket == Path("/run/s")
    assert effective.daemon.log_level == "debug"


@pytest.mark.parametrize("key", KINDS)
def test_every_default_is_a_value_that_can_be_given(key: str) -> None:
    shown = {row[0]: row[1] for row in merge().rows()}
    again = merge(overrides=[Override(key, shown[key])])
    assert again.settings == merge().settings
    assert again.origins[key].layer is Layer.FLAG
    variable = "SEEDWRIGHT_" + key.replace(".", "_").upper()
    assert merge(environ={variable: shown[key]}).origins[key].name == variable


def test_what_is_shown_can_be_given_back_as_a_file() -> None:
    effective = merge(overrides=[Override(KEY, "1.5MB/s"), Override("network.listen", "[::1]:0")])
    table: dict[str, dict[str, object]] = {}
    for key, shown, _ in effective.rows():
        section, _, name = key.partition(".")
        table.setdefault(section, {})[name] = shown
    assert merge(file=table).settings == effective.settings


def test_unknown_in_the_file_is_a_warning() -> None:
    effective = merge(
        file={"transfer": {"downlimit": 5, "up_limit": 7}, "tranfser": {"x": 1}, "answer": 42},
        file_name="c.toml",
    )
    assert effective.settings.transfer.up_limit == 7
    key, section, scalar = effective.warnings
    assert "c.toml" in key
    assert "did you mean transfer.down_limit?" in key
    assert "did you mean transfer?" in section
    assert "'answer'" in scalar


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"environ": {"SEEDWRIGHT_TRANSFER_DOWNLIMIT": "1"}}, ("TRANSFER_DOWNLIMIT", VARIABLE)),
        ({"environ": {"SEEDWRIGHT_": "1"}}, ("SEEDWRIGHT_",)),
        ({"environ": {VARIABLE: "fast"}}, (KEY, VARIABLE, "'fast'", "10MiB/s")),
        ({"overrides": [Override("transfer.x", "1")]}, ("--set", "transfer.x")),
        ({"overrides": [Override("down_limit", "1")]}, ("down_limit",)),
        ({"overrides": [Override("network.listen", "x", "--listen")]}, ("--listen", "HOST:PORT")),
        ({"file": {"transfer": 5}, "file_name": "c.toml"}, ("transfer", "c.toml", "[transfer]")),
        ({"file": {"transfer": {"down_limit": []}}, "file_name": "c"}, (KEY, "file c", "[]")),
        ({"file": {"network": {"isolated": 1}}}, ("network.isolated", "true or false")),
        ({"file": {"storage": {"disk_threads": 0}}}, ("storage.disk_threads", "1 to 64")),
    ],
)
def test_mistakes_are_named_with_their_source(given_: dict, words: tuple[str, ...]) -> None:  # type: ignore[type-arg]
    with pytest.raises(SettingsError) as caught:
        merge(**given_)
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("TRANSFER_UPLIMIT", "did you mean SEEDWRIGHT_TRANSFER_UP_LIMIT?"),
        ("TRANSFERUP_LIMIT", "did you mean SEEDWRIGHT_TRANSFER_UP_LIMIT?"),
        ("UP_LIMIT", "did you mean SEEDWRIGHT_TRANSFER_UP_LIMIT?"),
        ("PROXY", "did you mean SEEDWRIGHT_NETWORK_PROXY?"),
        ("DISK_THREAD", "did you mean SEEDWRIGHT_STORAGE_DISK_THREADS?"),
        ("TRACKER_MIN_INTERVAL_S", "did you mean SEEDWRIGHT_TRACKERS_MIN_INTERVAL_S?"),
        *((far, "lists all") for far in ("X", "PROFILE", "NETWORK", "NETWORK_FOO", "DEBUG")),
    ],
)
def test_only_what_is_near_to_an_unknown_variable_is_suggested(variable: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        merge(environ={f"SEEDWRIGHT_{variable}": "1"})
    assert said in str(caught.value)
    assert ("mean" in said) == ("mean" in str(caught.value))


def test_only_what_is_near_to_an_unknown_key_is_suggested() -> None:
    def said(key: str) -> str:
        with pytest.raises(SettingsError) as caught:
            merge(overrides=[Override(key, "1")])
        return str(caught.value)

    assert "did you mean transfer.up_limit?" in said("transfer.up_limt")
    assert "did you mean transfer.up_limit?" in said("up_limit")
    for slip, meant in {
        "disk_thread": "storage.disk_threads",
        "uplimit": "transfer.up_limit",
        "proxi": "network.proxy",
        "lds": "network.lsd",
        "network.proyx": "network.proxy",
    }.items():
        assert f"did you mean {meant}?" in said(slip)
    # One letter of three makes another word, and two sections have a `listen`.
    for far in ("network.foo", "no.such", "limit", "px", "log", "lst", "utp", "listen", "listn"):
        assert said(far).endswith("(`seedwright config` lists all there are)")


def test_an_unknown_section_is_a_slip_or_nothing() -> None:
    unknown = ("dth", "dhtt", "fitler", "dns", "net", "ui")
    said = merge(file={section: {"x": 1} for section in unknown}).warnings
    meant = [text.partition("did you mean ")[2].partition("?")[0] for text in said]
    assert meant == ["dht", "dht", "filter", "", "", ""]


def test_a_wrong_value_is_told_even_when_a_stronger_one_hides_it() -> None:
    with pytest.raises(SettingsError, match=r"c\.toml"):
        merge(
            file={"transfer": {"down_limit": "?"}},
            file_name="c.toml",
            overrides=[Override(KEY, "1")],
        )


def test_the_variable_of_the_configuration_file_is_no_setting() -> None:
    assert merge(environ={"SEEDWRIGHT_CONFIG": "/x"}).settings == merge().settings


def test_variables_of_the_compose_files_stop_no_command() -> None:
    root = Path(__file__).resolve().parents[1]
    files = [root / "compose.yaml", *(root / "seedbox").glob("*.yaml")]
    named = {
        name for file in files for name in re.findall(r"\$\{?(SEEDWRIGHT_\w+)", file.read_text())
    }
    assert {"SEEDWRIGHT_PORT", "SEEDWRIGHT_CONFIG_DIR"} <= named
    settings = {name for name in named if "_NETWORK_" in name or "_DAEMON_" in name}
    others = dict.fromkeys(named - settings, "6999")
    assert merge(environ=others).settings == merge().settings


def test_drop_ins_add_to_the_file_and_the_last_wins() -> None:
    effective = merge(
        file={"network": {"half_open": 1, "max_connections": 2}},
        file_name="main",
        drop_ins=[
            ("a.toml", {"network": {"half_open": 3}}),
            ("b.toml", {"network": {"half_open": 4}, "typo": {}}),
        ],
        environ={"SEEDWRIGHT_NETWORK_MAX_CONNECTIONS_PER_TORRENT": "7"},
    )
    network = effective.settings.network
    assert (network.half_open, network.max_connections) == (4, 2)
    assert str(effective.origins["network.half_open"]) == "file b.toml"
    assert str(effective.origins["network.max_connections"]) == "file main"
    assert ["b.toml" in warning for warning in effective.warnings] == [True]


def test_a_variable_can_name_a_file_that_holds_the_value() -> None:
    variable = "SEEDWRIGHT_NETWORK_HALF_OPEN_FILE"
    environ = {variable: "/run/secrets/half", "SEEDWRIGHT_CONFIG": "x", "HOME_FILE": "y"}
    assert secret_files(environ) == {variable: "/run/secrets/half"}
    effective = merge(environ=environ, secrets={variable: "9"})
    assert effective.settings.network.half_open == 9
    assert str(effective.origins["network.half_open"]) == f"environment {variable}"
    with pytest.raises(SettingsError, match="HALF_OPEN and SEEDWRIGHT_NETWORK_HALF_OPEN_FILE are"):
        merge(environ={**environ, "SEEDWRIGHT_NETWORK_HALF_OPEN": "8"}, secrets={variable: "9"})
    assert not secret_files({"SEEDWRIGHT_NETWORK_HALF_OPN_FILE": "x"})
    with pytest.raises(SettingsError, match="there is no setting SEEDWRIGHT_NETWORK_HALF_OPN_FILE"):
        merge(environ={"SEEDWRIGHT_NETWORK_HALF_OPN_FILE": "x"})


def test_flags_are_read_and_refused() -> None:
    assert parse_override("storage.save_path=/a=b") == Override("storage.save_path", "/a=b")
    with pytest.raises(SettingsError, match=r"section\.key=value"):
        parse_override("transfer.down_limit")


def test_variables_are_unambiguous() -> None:
    assert len({key.replace(".", "_") for key in KINDS}) == len(KINDS)


def test_engines_are_named_by_who_writes_the_file() -> None:
    effective = merge(
        file={"engines": {"box": "ssh://me@box", "here": "/run/engine.sock"}},
        file_name="c.toml",
        drop_ins=[("d.toml", {"engines": {"box": "/run/box.sock"}})],
        overrides=[Override("engines.pod.0", "exec:true")],
    )
    assert {name: str(address) for name, address in effective.engines.items()} == {
        "box": "/run/box.sock",
        "here": "/run/engine.sock",
        "pod.0": "exec:true",
    }
    assert effective.warnings == ()
    rows = {key: (value, str(origin)) for key, value, origin in effective.rows()}
    assert rows["engines.box"] == ("/run/box.sock", "file d.toml")
    assert rows["engines.pod.0"] == ("exec:true", "flag --set")


@pytest.mark.parametrize(
    ("engines", "said"),
    [
        ({"box": "ftp://box"}, r"engines.box \(file c.toml\): 'ftp://box' is not right"),
        ({"box": 7}, r"engines.box .* expected a socket's path"),
        ({"box": "run/x.sock"}, r"'run/x.sock' is not right \(.* begin with / or ~\)"),
        ({"box": "unix://~/x", "c": "x"}, r"engines.c \(file c.toml\): 'x' is not right"),
        ({"two words": "/run/x"}, "a name is a word"),
        ({"-box": "/run/x"}, "a name is a word"),
        ({"x" * 33: "/run/x"}, "a name is a word"),
        ("/run/x", r"expected a table \[engines\]"),
    ],
)
def test_engines_that_cannot_be(engines: object, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        merge(file={"engines": engines}, file_name="c.toml")
