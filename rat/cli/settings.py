"""Settings in layers: command line over environment over configuration file over the application over the defaults.

A bound is named as in :mod:`rat.config`: ``limits.body`` on the command line (``--set limits.body=16MiB``),
``RAT_LIMITS_BODY`` in the environment, ``[tool.rat.limits] body = "16MiB"`` in a TOML file.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from rat.config import ServerConfig
from rat.errors import ConfigError

__all__ = ["ADDRESS_KEYS", "Settings", "collect", "names_of_bounds", "parse_size"]

ADDRESS_KEYS = ("host", "port", "uds", "fd", "frames_port", "frames_uds", "loop", "log_level", "access_log", "grace")
"""What is told beside the bounds."""

_PLACES = ("port", "uds", "fd")
"""One of them says where to listen."""

_TYPES = {"port": 0, "fd": 0, "frames_port": 0, "access_log": False, "grace": 0.0}
"""A value of the type of each that is no text."""

_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

Settings = dict[str, Any]


def names_of_bounds() -> dict[str, Any]:
    """Every bound by its dotted name, with its default."""
    found: dict[str, Any] = {}
    default = ServerConfig()
    for item in fields(default):
        value = getattr(default, item.name)
        if is_dataclass(value):
            for inner in fields(value):
                found[f"{item.name}.{inner.name}"] = getattr(value, inner.name)
        else:
            found[item.name] = value
    return found


def parse_size(text: str) -> int:
    """``65536``, ``64KiB`` or ``8 MiB`` in bytes; raises ValueError."""
    digits = text.rstrip("BbKkMmGgIi ").strip()
    unit = text[len(digits) :].strip().lower()
    if unit not in _UNITS:
        raise ValueError(f"unknown unit {unit!r}")
    return int(digits) * _UNITS[unit]


def _convert(name: str, value: Any, default: Any) -> Any:
    try:
        if isinstance(value, str):
            if value.lower() in ("none", "off") and (default is None or name == "server_header"):
                return None
            if isinstance(default, bool):
                return _BOOLEANS[value.lower()]
            if isinstance(default, int):
                return parse_size(value)
            if isinstance(default, float) or default is None:
                return _number(value)
            return value
        if isinstance(default, float) and isinstance(value, int | float):
            return _number(value)
    except (ValueError, KeyError):
        raise ConfigError(f"{name} is {value!r}, expected {_expected(name, default)}") from None
    if default is not None and type(value) is not type(default):
        raise ConfigError(f"{name} is {value!r}, expected {_expected(name, default)}")
    return value


def _number(value: str | float) -> float:
    number = float(value)
    if math.isnan(number):
        raise ValueError(value)
    return number


_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _expected(name: str, default: Any) -> str:
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, int):
        return "a whole number" if name in ADDRESS_KEYS else "a whole number, or a size such as 16MiB"
    return "a number" if isinstance(default, float) or default is None else "text"


def read_file(path: str | None) -> Settings:
    """The settings of a TOML file; without *path* those of ``[tool.rat]`` in ./pyproject.toml, if there are any."""
    if path is None:
        project = Path("pyproject.toml")
        if not project.is_file():
            return {}
        path = str(project)
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    if "tool" in table or Path(path).name == "pyproject.toml":
        table = table.get("tool", {}).get("rat", {})
    flat: Settings = {}
    for key, value in table.items():
        if isinstance(value, dict):
            for inner, inner_value in value.items():
                flat[f"{key}.{inner}"] = inner_value
        else:
            flat[key] = value
    known = {*names_of_bounds(), *ADDRESS_KEYS}
    for key in flat:
        if key.replace("-", "_") not in known:
            raise ConfigError(f"{path}: no setting is called {key!r}")
    return {key.replace("-", "_"): value for key, value in flat.items()}


def read_environment(environment: Mapping[str, str]) -> Settings:
    """The settings of ``RAT_*`` variables.

    Others, such as RAT_CODEC, are left alone, but for one that is named as a bound would be: then ConfigError.
    """
    known = {"RAT_" + name.upper().replace(".", "_"): name for name in (*names_of_bounds(), *ADDRESS_KEYS)}
    sections = tuple({f"RAT_{name.partition('.')[0].upper()}_" for name in names_of_bounds() if "." in name})
    for variable in environment:
        if variable.startswith(sections) and variable not in known:
            raise ConfigError(f"environment: no setting is called {variable!r}")
    return {name: environment[variable] for variable, name in known.items() if variable in environment}


def parse_assignments(assignments: Iterable[str]) -> Settings:
    """``--set NAME=VALUE``, any number of them."""
    known = names_of_bounds()
    found: Settings = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set {assignment}: expected NAME=VALUE")
        if name not in known:
            raise ConfigError(f"--set {assignment}: no setting is called {name!r}")
        found[name] = value
    return found


def _address(name: str, value: Any) -> Any:
    """What is told beside the bounds, in its type."""
    if name in _TYPES:
        value = _convert(name, value, _TYPES[name])
    elif not isinstance(value, str):
        raise ConfigError(f"{name} is {value!r}, expected text")
    if name in ("port", "frames_port") and not 0 <= value <= 65535:
        raise ConfigError(f"{name} is {value}, and may be 0 to 65535")
    if name == "grace" and value < 0:
        raise ConfigError(f"grace is {value:g} seconds, and may not be negative")
    return value


def collect(
    given: Settings, assignments: Iterable[str], config_file: str | None, base: ServerConfig | None
) -> tuple[ServerConfig, Settings]:
    """The bounds, and the rest of the settings.  Raises ConfigError naming the setting.

    A port, Unix socket or descriptor takes the place of any of them that a layer below names.
    """
    layers = (
        (config_file or "pyproject.toml", read_file(config_file)),
        ("environment", read_environment(os.environ)),
        ("command line", {key: value for key, value in given.items() if value is not None}),
        ("command line", parse_assignments(assignments)),
    )
    merged: Settings = {}
    places: dict[str, str] = {}
    for place, settings in layers:
        told = [name for name in _PLACES if name in settings]
        if len(told) > 1:
            raise ConfigError(f"{' and '.join(told)}: a server listens on one of them ({place})")
        if told:
            merged = {name: value for name, value in merged.items() if name not in _PLACES}
        merged |= settings
        places |= dict.fromkeys(settings, place)
    defaults = names_of_bounds()
    sections: dict[str, dict[str, Any]] = {}
    rest: Settings = {}
    for name, value in merged.items():
        section, _, inner = name.rpartition(".")
        try:
            if name in defaults:
                bound = _convert(name, value, defaults[name])
                if isinstance(bound, int | float) and bound < 0:
                    raise ConfigError(f"{name} is {bound}, and may not be negative")
                sections.setdefault(section, {})[inner] = bound
            else:
                rest[name] = _address(name, value)
        except ConfigError as error:
            raise ConfigError(f"{error} ({places[name]})") from None
    config = base or ServerConfig()
    changes = dict(sections.pop("", {}))
    for section, values in sections.items():
        changes[section] = replace(getattr(config, section), **values)
    return replace(config, **changes), rest
