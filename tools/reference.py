"""Write the pages of the reference that are made from code: ``make docs``.

``docs/reference/limits.md`` from the dataclasses of ``rat.config`` and the docstrings below their fields, ``cli.md``
from the argument parsers, ``states.md`` from the tables of transitions.  A test holds that they are current.
"""

from __future__ import annotations

import argparse
import ast
import enum
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

from rat import config
from rat.cli import build_parser

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"

GROUPS = {
    "limits": (config.Limits, "HTTP/1.1"),
    "timeouts": (config.Timeouts, "Deadlines, in seconds"),
    "stream": (config.StreamLimits, "Event streams and the hub"),
    "frames": (config.FrameLimits, "Frames"),
    "": (config.ServerConfig, "The server"),
}


def meanings(settings: type) -> dict[str, str]:
    """The docstring below each field of *settings*, by the field's name."""
    [definition] = ast.parse(inspect.getsource(settings)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def shown(name: str, value: Any) -> str:
    is_size = isinstance(value, int) and value >= 1024 and value % 1024 == 0 and "." in name
    if is_size and value % (1 << 20) == 0:
        return f"{value >> 20} MiB"
    if is_size:
        return f"{value >> 10} KiB"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


LIMITS_HEAD = """\
# Limits and timeouts

Every bound of the server, by the name it is set with. Made from `rat/config.py` by `make docs`. Sizes are in bytes,
times in seconds, and nothing depends on how the bytes were cut on their way.

Set one on the command line (`--set limits.body=16MiB`), in the environment (`RAT_LIMITS_BODY=16MiB`), in a TOML file
(`[tool.rat.limits]`, `body = "16MiB"`), or in code (`Rat(config=ServerConfig(limits=Limits(body=1024)))`).
"""

CLI_HEAD = """\
# The command line

Made from the parsers by `make docs`. `python -m rat` is the same as `rat`.

TARGET is a file (`app.py`), a file and an attribute (`app.py:attr`), or a module and an attribute
(`package.module:attr`). Without an attribute it is `app`, or the only application in the module.

## Exit codes

| code | of `rat serve` |
| --- | --- |
| 0 | stopped by SIGINT or SIGTERM and drained, also when the grace ran out: then the log says what was cut |
| 1 | the server crashed |
| 2 | the command line or a setting cannot be used |
| 3 | the application could not be loaded or started, or the address not bound |
| 130 | a second Ctrl-C ended it at once |
"""


def limits_page() -> str:
    lines = [LIMITS_HEAD.rstrip()]
    for group, (settings, title) in GROUPS.items():
        lines += ["", f"## {title}", "", "| name | default | meaning |", "| --- | --- | --- |"]
        known = meanings(settings)
        instance = settings()
        for field in fields(settings):
            if field.name in GROUPS:
                continue
            name = f"{group}.{field.name}" if group else field.name
            meaning = known[field.name].replace("``", "`").replace("|", "\\|")
            lines.append(f"| `{name}` | {shown(name, getattr(instance, field.name))} | {meaning} |")
    return "\n".join(lines) + "\n"


def commands(parser: argparse.ArgumentParser, prefix: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command below *parser*, nested ones behind their own."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield f"{prefix}{name}", inner
                yield from commands(inner, f"{prefix}{name} ")


def arguments(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        value = ""
        if action.nargs != 0:
            metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper().replace("_", "-")
            value = "\\|".join(str(choice) for choice in action.choices) if action.choices else metavar
        names = [f"`{name}`" for name in action.option_strings] or [f"`{value}`"]
        suffix = f" {value}" if action.option_strings and value else ""
        help_text = (action.help or "").replace("|", "\\|")
        yield ", ".join(names) + suffix, help_text % {**vars(action), "prog": parser.prog}


def cli_page() -> str:
    lines = [CLI_HEAD.rstrip()]
    for name, parser in commands(build_parser()):
        lines += ["", f"## rat {name}", ""]
        paragraph = (parser.description or "").strip().partition("\n\n")[0]
        description = " ".join(paragraph.replace("``", "`").split())
        if description:
            lines += [description, ""]
        rows = list(arguments(parser))
        if rows:
            lines += ["| argument | meaning |", "| --- | --- |", *(f"| {names} | {text} |" for names, text in rows)]
        else:
            lines.pop()
    return "\n".join(lines) + "\n"


TABLES = {
    "An HTTP/1.1 connection, without I/O": ("rat.http1.state", "TRANSITIONS"),
    "An HTTP/1.1 connection and its socket": ("rat.link", "TRANSITIONS"),
    "One request and its answer": ("rat.stages", "TRANSITIONS"),
    "The content of a request": ("rat.stream.body", "TRANSITIONS"),
    "A subscription of the hub": ("rat.stream.delivery", "TRANSITIONS"),
    "A connection that speaks frames, without I/O": ("rat.frames.tables", "CONNECTION"),
    "A call, by what its caller sends": ("rat.frames.tables", "CALLER_SENDS"),
    "A call, by what its callee sends": ("rat.frames.tables", "CALLEE_SENDS"),
    "A connection that speaks frames and its socket": ("rat.peer", "TRANSITIONS"),
    "The items that come in on a call": ("rat.stream.inbox", "TRANSITIONS"),
    "A value that is written or read piece by piece": ("rat.codec.stream", "TRANSITIONS"),
}

STATES_HEAD = """\
# States

Whatever has states has its transitions as data, near the top of its module. These tables are made from that data by
`make docs`; what a table does not hold cannot happen, or is the error that the module names.
"""


def flat(table: Mapping[Any, Any]) -> Iterator[tuple[enum.Enum, str, str]]:
    """State, what it sees and what it becomes, from either form of table."""
    for key, value in table.items():
        state, steps = (key[0], {key[1]: value}) if isinstance(key, tuple) else (key, value)
        for sees, becomes in steps.items():
            step = sees if isinstance(sees, str) else sees.name
            yield state, step, "as the one around it" if becomes is None else becomes.name


def states_page() -> str:
    lines = [STATES_HEAD.rstrip()]
    for title, (module, name) in TABLES.items():
        rows: dict[tuple[enum.Enum, str], list[str]] = {}
        for state, sees, becomes in flat(getattr(import_module(module), name)):
            rows.setdefault((state, becomes), []).append(sees)
        states = type(next(iter(rows))[0])
        lines += ["", f"## {title}", "", f"`{module}`", ""]
        lines += [f"- `{state.name}`: {state.value}" for state in states]
        lines += ["", "| state | sees | becomes |", "| --- | --- | --- |"]
        lines += [f"| {state.name} | {', '.join(sees)} | {becomes} |" for (state, becomes), sees in rows.items()]
    return "\n".join(lines) + "\n"


PAGES = {"limits.md": limits_page, "cli.md": cli_page, "states.md": states_page}


def main() -> None:
    for name, write in PAGES.items():
        (REFERENCE / name).write_text(write())


if __name__ == "__main__":
    main()
