"""What pyproject.toml cannot say of the build: what is written in C, which may fail to build.

Without a compiler the package installs all the same, and all of it has a reference in plain Python, which is also what
serves a Python without the GIL.  ``RAT_MUST_BUILD=1`` has a module that does not compile fail the build;
``RAT_NO_INTERNALS=1`` builds the C code without a look behind CPython's public API; ``RAT_SANITIZE=1`` leaves the
optimisation to CFLAGS.
"""

from __future__ import annotations

import os
import runpy
import sysconfig
from glob import glob

from setuptools import Distribution, Extension, setup

compiled = runpy.run_path("rat/compiled.py")
FILES = {
    "rat.codec.native._codec": [path for path in glob("rat/codec/native/*.c") if not path.endswith("frames.c")],
    "rat.codec.native._frames": ["rat/codec/native/frames.c"],
    "rat.http1._lane": glob("rat/http1/native/*.c"),
    "rat._messages": ["rat/native/messages.c"],
    "rat._tasks": ["rat/native/tasks.c"],
}
FLAGS = ["-fvisibility=hidden", "-fno-strict-aliasing", "-Wextra", "-Wno-missing-field-initializers"]

if os.environ.get("RAT_SANITIZE") != "1":
    FLAGS.insert(0, "-O3")


def extension(module: str, files: list[str]) -> Extension:
    macros = [("RAT_SOURCES", compiled["identity"](compiled["PLACES"][module]))]
    if os.environ.get("RAT_NO_INTERNALS") == "1":
        macros.append(("RAT_NO_INTERNALS", "1"))
    return Extension(
        module,
        sources=sorted(files),
        define_macros=macros,
        extra_compile_args=FLAGS if os.name == "posix" else [],
        optional=os.environ.get("RAT_MUST_BUILD") != "1",
    )


class OfThisInterpreter(Distribution):
    """Also where nothing is built: a wheel for any interpreter would be kept, and taken by those that could build."""

    def has_ext_modules(self) -> bool:
        return True


has_gil = not sysconfig.get_config_var("Py_GIL_DISABLED")
setup(
    distclass=OfThisInterpreter,
    ext_modules=[extension(module, files) for module, files in FILES.items()] if has_gil else [],
    # Always all of it: which file is newer says nothing of what it was built from.
    options={"build_ext": {"force": True}},
)
