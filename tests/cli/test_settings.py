"""Settings come in layers, and what is wrong in one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from rat.cli.settings import collect, names_of_bounds, parse_size
from rat.config import Limits, ServerConfig
from rat.errors import ConfigError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("65536", 65536), ("64KiB", 65536), ("8 MiB", 8 << 20), ("2g", 2 << 30), ("7b", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "KiB", "1.5MiB", "8 parsecs", "ten"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError):
        parse_size(text)


def test_the_nearest_layer_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = ServerConfig(limits=Limits(body=1, head=2, fields=3, linger=4))
    (tmp_path / "pyproject.toml").write_text('[tool.rat.limits]\nbody = 10\nhead = "20KiB"\nfields = 30\n')
    monkeypatch.setenv("RAT_LIMITS_BODY", "100")
    monkeypatch.setenv("RAT_LIMITS_HEAD", "200")
    config, _ = collect({}, ["limits.body=1000"], None, base)
    assert (config.limits.body, config.limits.head, config.limits.fields, config.limits.linger) == (1000, 200, 30, 4)


def test_the_address_comes_from_all_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rat.toml").write_text('host = "::1"\nport = 1\nlog-level = "debug"\n')
    monkeypatch.setenv("RAT_PORT", "2")
    _, settings = collect({"grace": 1.0, "uds": None}, [], "rat.toml", None)
    assert settings == {"host": "::1", "port": 2, "log_level": "debug", "grace": 1.0}


def test_one_layer_says_where_to_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAT_UDS", "/run/app.sock")
    assert collect({"port": 0}, [], None, None)[1] == {"port": 0}
    monkeypatch.setenv("RAT_FD", "3")
    with pytest.raises(ConfigError, match=r"^uds and fd: a server listens on one of them \(environment\)$"):
        collect({"port": 0}, [], None, None)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[limits]\nboddy = 1\n", "rat.toml: no setting is called 'limits.boddy'"),
        ("[limits]\nbody = true\n", "limits.body is True, expected a whole number"),
        ('[timeouts]\nhead = "soon"\n', "timeouts.head is 'soon', expected a number"),
        ("http = 2\n", "http is 2, expected text"),
        ('http = "quic"\n', "http is 'quic', and may be 'auto' or 'h11'"),
        ("[limits]\nbody = -1\n", "limits.body is -1, and may not be negative ("),
        ("port = 70000\n", "port is 70000, and may be 0 to 65535"),
        ("grace = -1\n", "grace is -1 seconds, and may not be negative"),
        ("grace = nan\n", "grace is nan, expected a number (rat.toml)"),
        ('port = "eighty"\n', "port is 'eighty', expected a whole number (rat.toml)"),
        ("host = 7\n", "host is 7, expected text (rat.toml)"),
        ("port = \n", "rat.toml: Invalid value"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, toml: str, message: str) -> None:
    (tmp_path / "rat.toml").write_text(toml)
    with pytest.raises(ConfigError) as caught:
        collect({}, [], "rat.toml", None)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("RAT_PORT", "eighty", "port is 'eighty', expected a whole number (environment)"),
        ("RAT_TIMEOUTS_HEAD", "-1", "timeouts.head is -1.0, and may not be negative (environment)"),
        (
            "RAT_LIMITS_BODY",
            "much",
            "limits.body is 'much', expected a whole number, or a size such as 16MiB (environment)",
        ),
        ("RAT_LIMITS_BDY", "1", "environment: no setting is called 'RAT_LIMITS_BDY'"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        collect({}, [], None, None)
    assert str(caught.value) == message


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        collect({}, [], "nowhere.toml", None)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("limits.body", "expected NAME=VALUE"),
        ("limits.nothing=1", "no setting is called 'limits.nothing'"),
        ("limits.body=lots", "limits.body is 'lots', expected a whole number, or a size such as 16MiB"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        collect({}, [assignment], None, None)
    assert message in str(caught.value)


def test_a_deadline_can_be_taken_away() -> None:
    config, _ = collect({}, ["timeouts.request=none", "server_header=off"], None, None)
    assert config.timeouts.request is None
    assert config.server_header is None


def test_every_bound_can_be_set_by_its_name() -> None:
    for name, default in names_of_bounds().items():
        value = default if isinstance(default, str) else "yes" if isinstance(default, bool) else "7"
        config, _ = collect({}, [f"{name}={value}"], None, _wide())
        section, _, inner = name.rpartition(".")
        found = getattr(getattr(config, section) if section else config, inner)
        assert str(found) in ("7", "7.0", "True", default)


def _wide() -> ServerConfig:
    return ServerConfig(limits=Limits(write_low_water=0, write_high_water=1 << 20))
