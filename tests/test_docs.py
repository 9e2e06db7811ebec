"""Every example in the documentation, run: Python blocks in order, and the curl lines against what they defined.

The blocks of one page share a namespace.  A ``console`` block is run against the page's latest ``app``: each ``$ curl``
line, its output compared with the lines below it, in which ``...`` stands for anything.  Other commands are not run.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sys
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import rat
import rat.codec
from rat import Rat
from tests.support import commands
from tests.support.serving import serving
from tools.reference import PAGES as PAGES_FROM_CODE
from tools.reference import REFERENCE, TABLES

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
)
ADDRESS = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text and the line it begins on."""

    language: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text()
    for match in re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1)


def runnable(page: str) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python" or "$ curl " in block.text]


def curl_lines(block: Block) -> Iterator[tuple[str, str]]:
    """Each curl line of *block*, and what it is to print; a line that ends in a backslash goes on."""
    command, output = "", ""
    for line in block.text.splitlines():
        if command.endswith("\\"):
            command = command[:-1] + line.strip()
        elif line.startswith("$ "):
            if command.startswith("curl "):
                yield command, output
            command, output = line[2:], ""
        else:
            output += line + "\n"
    if command.startswith("curl "):
        yield command, output


def matches(expected: str, output: str) -> bool:
    pattern = ".*".join(re.escape(piece) for piece in expected.strip().split("..."))
    return re.fullmatch(pattern, output.replace("\r\n", "\n").strip(), re.DOTALL) is not None


async def run_console(app: Rat, block: Block, page: str, directory: Path) -> None:
    async with serving(app) as server:
        for command, expected in curl_lines(block):
            line = command.replace(ADDRESS, f"http://127.0.0.1:{server.port}").replace("curl ", "curl -sS ", 1)
            _, stdout, _ = await commands.run("sh", "-c", f"exec 2>&1\n{line}", directory=directory)
            output = stdout.replace(f"127.0.0.1:{server.port}", "127.0.0.1:8000")
            assert matches(expected, output), f"{page}:{block.line}: {command}\nprinted:\n{output}"


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)])
async def test_every_example_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    (tmp_path / "FILE").write_bytes(bytes(range(256)) * 1024)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    namespace: dict[str, Any] = module.__dict__
    for block in runnable(page):
        if block.language == "python":
            # The line numbers of a traceback are those of the page.
            code = compile("\n" * (block.line - 1) + block.text, str(ROOT / page), "exec", PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, namespace)
            if inspect.isawaitable(result):
                await result
        elif shutil.which("curl"):
            await run_console(namespace["app"], block, page, tmp_path)
    app = namespace.get("app")
    if isinstance(app, Rat):
        app.prepare()


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", "")).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    missing = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        found = (ROOT / page).parent / path if path else ROOT / page
        if not found.exists():
            missing.append(target)
        elif fragment and found.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            if fragment not in {slug(heading) for heading in headings}:
                missing.append(target)
    assert missing == []


def test_every_page_is_linked() -> None:
    """From README.md one reaches every page."""
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        waiting += [
            page.parent / target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        ]
    assert sorted(page for page in PAGES if (ROOT / page).resolve() not in seen) == []


def test_the_pages_made_from_code_are_current() -> None:
    stale = [name for name, write in PAGES_FROM_CODE.items() if (REFERENCE / name).read_text() != write()]
    assert stale == [], "run `make docs`"


def test_every_table_of_transitions_is_shown() -> None:
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "rat").rglob("*.py")
        if re.search(r"^TRANSITIONS\b.*= \{$", path.read_text(), re.MULTILINE)
    }
    assert found <= {module for module, _ in TABLES.values()}


def api_page() -> str:
    return (REFERENCE / "api.md").read_text()


@pytest.mark.parametrize("name", [*rat.__all__, *rat.codec.__all__])
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert re.search(rf"\b{name}\b", api_page())


@pytest.mark.parametrize("place", sorted(set(re.findall(r"`([A-Z]\w+\.[a-z_]+)`", api_page()))))
def test_what_the_reference_names_is_there(place: str) -> None:
    owner, _, attribute = place.partition(".")
    assert hasattr(getattr(rat, owner), attribute)


@pytest.mark.parametrize("module", [rat, rat.codec], ids=lambda module: str(module.__name__))
def test_help_says_something_of_every_public_name(module: ModuleType) -> None:
    silent = []
    for name in module.__all__:
        named = getattr(module, name)
        if inspect.isclass(named):
            members = [(f"{name}.{key}", value) for key, value in vars(named).items() if not key.startswith("_")]
            methods = [(key, getattr(value, "__func__", value)) for key, value in members]
            silent += [
                key
                for key, value in methods
                if (inspect.isfunction(value) or isinstance(value, property)) and not value.__doc__
            ]
        if callable(named) and not named.__doc__:
            silent.append(name)
    assert silent == []
