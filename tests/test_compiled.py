"""What is written in C is used where it was built from what lies here, and its reference where it was not."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest

from rat.cli.check import findings
from rat.compiled import PLACES, compiled, fault, identity, sources
from tests.support.extensions import built
from tools.compiler import missing

ROOT = Path(__file__).parent.parent
CODE = {str(path) for path in (ROOT / "rat").rglob("native/*.[ch]")}
OTHER = "built from other sources than lie beside it; build it again"
can_build = pytest.mark.skipif(missing() is not None, reason=f"there is not {missing()}")


def run(command: list[str], cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAT_")}
    return subprocess.run(
        command, cwd=cwd, env={**environment, **variables}, capture_output=True, text=True, check=False, timeout=50
    )


def test_every_file_in_c_belongs_to_an_extension() -> None:
    assert {path for place in PLACES.values() for path in sources(place)} == CODE
    names = set(re.findall(r'^    "(rat\.[\w.]+)": ', (ROOT / "setup.py").read_text(), re.MULTILINE))
    assert names == set(PLACES)


@pytest.mark.parametrize("module", PLACES)
def test_what_is_built_says_of_what(module: str) -> None:
    assert built(module).__sources__ == identity(PLACES[module])


def test_an_identity_is_of_the_names_and_the_content_of_all_files(tmp_path: Path) -> None:
    for name in ("a/x.c", "a/x.h", "native/y.h", "native/other.c"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    shutil.copy(ROOT / "rat/compiled.py", tmp_path)
    program = "from compiled import identity; print(identity('a'), identity('gone'))"

    def identities() -> list[str]:
        return run([sys.executable, "-c", program], tmp_path).stdout.split()

    first = identities()
    assert re.fullmatch("[0-9a-f]{8}", first[0])
    assert first[1] == "None"  # as in a wheel, which has no sources
    seen = {first[0]}
    for change in (
        lambda: (tmp_path / "a/x.c").write_text("other"),
        lambda: (tmp_path / "a/x.h").rename(tmp_path / "a/z.h"),
        lambda: (tmp_path / "native/y.h").write_text("other"),
    ):
        change()
        seen.update(identities()[:1])
    assert len(seen) == 4
    (tmp_path / "native/other.c").write_text("no part of it")
    assert identities()[0] in seen


OLD = """
import sys, types
for name in {names}:
    sys.modules[name] = types.ModuleType(name)
from rat import Rat, Response, codec, tasks
from rat.codec import framing
from rat.http1 import fastlane, fieldsearch
from rat.http1.engine import HttpEngine
print(fastlane.implementation, tasks.implementation, codec.implementation, Response("x").body)
from rat.cli.check import findings
print(sum("built from other sources" in remark for _, there, remark in findings() if not there))
"""


def test_what_was_built_from_other_sources_is_not_used_and_the_log_and_rat_check_say_so() -> None:
    done = run([sys.executable, "-c", OLD.format(names=list(PLACES))], ROOT)
    assert done.stdout == f"reference reference reference b'x'\n{len(PLACES)}\n", done.stderr
    # The codec's other half is not asked for where the codec is not used.
    said = [f"{module} is not used: it is {OTHER}" for module in PLACES if not module.endswith("_frames")]
    assert sorted(done.stderr.splitlines()) == sorted(said)


def test_who_asks_for_what_has_a_fault_is_told_which(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rat.compiled._said", set())
    monkeypatch.setitem(sys.modules, "rat._tasks", type(sys)("rat._tasks"))
    monkeypatch.setenv("RAT_TASKS", "native")
    with pytest.raises(ImportError, match=rf"RAT_TASKS is 'native', and rat\._tasks is {OTHER}"):
        compiled("rat._tasks", "RAT_TASKS")
    assert caplog.record_tuples == []
    monkeypatch.setenv("RAT_TASKS", "")
    for _ in range(2):
        assert compiled("rat._tasks", "RAT_TASKS") is None
    assert caplog.record_tuples == [("rat.server", logging.WARNING, f"rat._tasks is not used: it is {OTHER}")]
    (remark,) = [remark for name, _, remark in findings() if name == "native task steps"]
    assert remark == f"{OTHER}; till then tasks are stepped from Python, which costs more"


def test_what_was_not_built_is_missed_in_silence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "rat._tasks", None)
    monkeypatch.setenv("RAT_TASKS", "")
    assert fault("rat._tasks") == "not built"
    assert compiled("rat._tasks", "RAT_TASKS") is None
    assert caplog.record_tuples == []


def test_what_does_not_load_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> object:
        raise AttributeError("module 'rat.errors' has no attribute 'CodecError'")

    monkeypatch.setattr("rat.compiled.import_module", fail)
    expected = "built, but does not load (module 'rat.errors' has no attribute 'CodecError'); build it again"
    assert fault("rat._tasks") == expected


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What a build needs, with an error in one file."""
    for name in ("rat/compiled.py", *(str(path) for path in (ROOT / "rat/native").glob("*.[ch]"))):
        path = tmp_path / (ROOT / name).relative_to(ROOT)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, path)
    setup = (ROOT / "setup.py").read_text()
    others = re.compile(r'^    "rat\.(?!_tasks|_messages)[\w.]+": .*\n', re.MULTILINE)
    (tmp_path / "setup.py").write_text(others.sub("", setup))
    with (tmp_path / "rat/native/tasks.c").open("a") as file:
        file.write("this is no C;\n")
    return tmp_path


BUILD = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]


@can_build
def test_an_extension_that_does_not_compile_is_left_out_or_fails_the_build(tree: Path) -> None:
    done = run(BUILD, tree, CFLAGS="-O0")
    assert done.returncode == 0
    assert [path.name.partition(".")[0] for path in tree.glob("rat/*.so")] == ["_messages"]
    done = run(BUILD, tree, CFLAGS="-O0", RAT_MUST_BUILD="1")
    assert done.returncode == 1
    assert "tasks.c" in done.stderr
    assert "this is no C" in done.stderr


WITHOUT_GIL = """
import runpy, sys, sysconfig
told = sysconfig.get_config_var
sysconfig.get_config_var = lambda name: 1 if name == "Py_GIL_DISABLED" else told(name)
sys.argv = ["setup.py", "-q", "build_ext", "--inplace"]
runpy.run_path("setup.py")
"""


@can_build
def test_a_python_without_the_gil_gets_nothing_in_c(tree: Path) -> None:
    done = run([sys.executable, "-c", WITHOUT_GIL], tree, RAT_MUST_BUILD="1")
    assert (done.returncode, list(tree.glob("rat/*.so"))) == (0, []), done.stderr
    done = run([*BUILD, "-DPy_GIL_DISABLED"], tree, RAT_MUST_BUILD="1")  # who goes past that is told
    assert "the C code relies on the GIL" in done.stderr


SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
run = getattr(interpreters, "exec", interpreters.run_string)
for _ in range(2):
    # zoneinfo of 3.12 does not load beside a GIL of its own
    made = interpreters.create(isolated=False) if sys.version_info[:2] == (3, 12) else interpreters.create()
    run(made, '''if True:
        from rat import codec
        from rat.codec import framing
        value = [{"a": [1, "x", 2.5, None]}] * 40
        assert codec.decode(codec.encode(value)) == value
        print(codec.implementation, framing.crc32(bytes(2000)), flush=True)
    ''')
    interpreters.destroy(made)
"""


def test_each_interpreter_of_a_process_has_its_own() -> None:
    for module in PLACES:
        built(module)
    done = run([sys.executable, "-X", "dev", "-W", "ignore", "-c", SUBINTERPRETER], ROOT)
    assert (done.returncode, done.stdout.split()) == (0, ["native", str(crc32(bytes(2000)))] * 2), done.stderr


SESSION = """
import sys, types
sys.modules["rat._tasks"] = types.ModuleType("rat._tasks")
import pytest
sys.exit(pytest.main(["-p", "no:cacheprovider", "tests/test_layers.py"]))
"""


@can_build
def test_no_test_runs_beside_what_was_built_from_other_sources() -> None:
    done = run([sys.executable, "-c", SESSION], ROOT)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: rat._tasks is {OTHER}\nmake builds all of it" in done.stderr
