"""The rooms of the house, and who may enter: the import table as data, and a walk over every import.

A module that the table does not place fails the test, so that a new one has to be put somewhere.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rat"


@dataclass(frozen=True)
class Room:
    """*members*: modules and packages in it; *enters*: rooms it may import from; *brings*: third-party modules."""

    members: tuple[str, ...]
    enters: tuple[str, ...] = ()
    brings: tuple[str, ...] = ()
    asyncio: bool = True
    sockets: bool = False


ROOMS = {
    "names": Room(("rat",), ("ground",), asyncio=False),
    "ground": Room(("rat.clock", "rat.compiled", "rat.config", "rat.errors", "rat.events"), asyncio=False),
    "codec": Room(("rat.codec",), ("names", "ground"), ("orjson", "numpy"), asyncio=False),
    "http1": Room(("rat.http1",), ("names", "ground"), ("h11",), asyncio=False),
    "frames": Room(("rat.frames",), ("names", "ground", "codec"), ("zstandard",), asyncio=False),
    "stream": Room(("rat.stream", "rat.tasks", "rat._tasks"), ("names", "ground", "codec"), ("orjson",)),
    "application": Room(
        (
            "rat.app",
            "rat.coding",
            "rat.calls",
            "rat.compress",
            "rat.cookies",
            "rat.dispatch",
            "rat.eventstream",
            "rat.jsonlines",
            "rat.fields",
            "rat.files",
            "rat.forms",
            "rat.listing",
            "rat.mediatypes",
            "rat.messages",
            "rat._messages",
            "rat.negotiation",
            "rat.opening",
            "rat.pathtree",
            "rat.pieces",
            "rat.problems",
            "rat.procedures",
            "rat.responses",
            "rat.returned",
            "rat.router",
            "rat.routing",
            "rat.static",
            "rat.threads",
            "rat.uploads",
            "rat.values",
        ),
        ("names", "ground", "codec", "http1", "frames", "stream"),
        ("orjson", "multipart", "zstandard", "brotli"),
    ),
    "transport": Room(
        ("rat.flow", "rat.peer", "rat.peer_receiver", "rat.peer_sender"),
        ("names", "ground", "codec", "frames", "stream"),
        sockets=True,
    ),
    "shell": Room(
        (
            "rat.answer_log",
            "rat.answer_sender",
            "rat.call_tasks",
            "rat.piece_sender",
            "rat.exchange",
            "rat.frames_protocol",
            "rat.link",
            "rat.listening",
            "rat.protocol",
            "rat.sendfile",
            "rat.server",
            "rat.service",
            "rat.stages",
        ),
        ("names", "ground", "codec", "http1", "frames", "stream", "application", "transport"),
        ("uvloop",),
        sockets=True,
    ),
    "client": Room(
        ("rat.blocking", "rat.client", "rat.client_peer", "rat.client_stream"),
        ("names", "ground", "codec", "frames", "stream", "transport"),
        ("uvloop",),
        sockets=True,
    ),
    "load generator": Room(
        ("rat.loadgen",),
        ("names", "ground", "codec", "frames"),
        ("uvloop", "orjson"),
        sockets=True,
    ),
    "cli": Room(
        ("rat.cli", "rat.__main__"),
        (
            "names",
            "ground",
            "codec",
            "http1",
            "frames",
            "stream",
            "application",
            "shell",
            "client",
            "load generator",
        ),
        ("uvloop", "orjson"),
        sockets=True,
    ),
}

SOCKET_MODULES = {"socket", "socketserver", "ssl", "select", "selectors", "uvloop"}
TRANSPORT_NAMES = {
    "BaseProtocol",
    "BaseTransport",
    "BufferedProtocol",
    "Protocol",
    "ReadTransport",
    "Server",
    "StreamReader",
    "StreamWriter",
    "Transport",
    "WriteTransport",
    "open_connection",
    "open_unix_connection",
    "start_server",
    "start_unix_server",
}
LOOP_VERBS = {"create_connection", "create_server", "create_unix_server", "connect_accepted_socket", "add_reader"}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def room_of(module: str) -> str | None:
    best: tuple[int, str] | None = None
    for name, room in ROOMS.items():
        for member in room.members:
            inside = module == member or (member != "rat" and module.startswith(member + "."))
            if inside and (best is None or len(member) > best[0]):
                best = (len(member), name)
    return best[1] if best else None


def is_type_checking(node: ast.AST) -> TypeGuard[ast.If]:
    if not isinstance(node, ast.If):
        return False
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


@dataclass(frozen=True)
class Import:
    """One imported module; *late* when it stands inside a function, *typed* when only a type checker sees it."""

    module: str
    line: int
    late: bool = False
    typed: bool = False


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


@cache
def imports(module: str) -> list[Import]:
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]

    def walk(node: ast.AST, late: bool, typed: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, late, typed)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield Import(inner if inner in MODULES else base, node.lineno, late, typed)
        elif is_type_checking(node):
            for statement in node.body:
                yield from walk(statement, late, True)
            for statement in node.orelse:
                yield from walk(statement, late, typed)
        else:
            inside = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for child in ast.iter_child_nodes(node):
                yield from walk(child, inside, typed)

    return list(walk(tree_of(module), False, False))


def top(module: str) -> str:
    return module.partition(".")[0]


def rooms() -> Iterator[tuple[str, str, Room]]:
    """Every module, the name of its room, and the room."""
    for module in MODULES:
        home = room_of(module)
        assert home is not None, f"{module} stands in no room: give it one in ROOMS, and in the architecture page"
        yield module, home, ROOMS[home]


def test_imports_only_go_down() -> None:
    wrong = []
    for module, home, room in rooms():
        for found in imports(module):
            if top(found.module) != "rat" or (module == "rat" and found.typed):
                continue
            entered = room_of(found.module)
            if entered not in {home, *room.enters}:
                wrong.append(f"{module} ({home}), line {found.line}: imports {found.module} ({entered})")
    assert wrong == []


def test_third_party_modules_stay_in_their_rooms() -> None:
    known = {"rat", *sys.stdlib_module_names}
    wrong = [
        f"{module} ({home}), line {found.line}: imports {found.module}"
        for module, home, room in rooms()
        for found in imports(module)
        if top(found.module) not in known and top(found.module) not in room.brings
    ]
    assert wrong == []


def names_of_sockets(module: str) -> Iterator[tuple[int, str]]:
    """Where *module* names a transport, or a verb of the loop that makes one, and which."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Attribute):
            is_transport = isinstance(node.value, ast.Name) and node.value.id == "asyncio"
            if (is_transport and node.attr in TRANSPORT_NAMES) or node.attr in LOOP_VERBS:
                yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom) and node.module and top(node.module) == "asyncio":
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in TRANSPORT_NAMES)


def test_only_the_outer_rooms_know_sockets() -> None:
    wrong = []
    for module, _, room in rooms():
        if room.sockets:
            continue
        wrong += [
            f"{module}, line {found.line}: imports {found.module}"
            for found in imports(module)
            if top(found.module) in SOCKET_MODULES or (not room.asyncio and top(found.module) == "asyncio")
        ]
        wrong += [f"{module}, line {line}: names {name}" for line, name in names_of_sockets(module)]
    assert wrong == []


def test_modules_import_each_other_without_cycles() -> None:
    graph = {
        module: {
            found.module
            for found in imports(module)
            if found.module in MODULES and found.module not in ("rat", module) and not found.late and not found.typed
        }
        for module in MODULES
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the cycle


def test_the_table_itself_has_no_cycle() -> None:
    TopologicalSorter({name: set(room.enters) for name, room in ROOMS.items()}).prepare()


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import rat", {"asyncio", "socket", "uvloop", "h11", "orjson", "rat.codec", "rat.app", "rat.server"}),
        ("import rat.errors, rat.config, rat.events", {"asyncio", "socket", "uvloop", "h11", "orjson", "rat.codec"}),
        ("import rat.codec", {"asyncio", "socket", "uvloop", "h11", "numpy", "rat.app", "rat.server", "rat.http1"}),
        (
            "import rat.http1.engine",
            {"asyncio", "socket", "uvloop", "rat.app", "rat.server", "rat.codec", "rat.frames"},
        ),
    ],
)
def test_an_inner_room_loads_nothing_of_the_outer_ones(statement: str, absent: set[str]) -> None:
    script = f"import sys; {statement}; print(*sorted(set(sys.modules) & {absent!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
