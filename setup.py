"""What pyproject.toml cannot say of the build: what is written in C, which may fail to build.

Without a compiler the package installs all the same, and all of it has a reference in plain Python.
``RAT_NO_INTERNALS=1`` builds the C code without a look behind CPython's public API; ``RAT_SANITIZE=1`` leaves the
optimisation to CFLAGS.
"""

from __future__ import annotations

import os
from glob import glob

from setuptools import Extension, setup

SOURCE = "rat/codec/native"
LANE = "rat/http1/native"
SLOTS = "rat/native/slots.h"
FILES = ("arguments.c", "cursor.c", "module.c", "objects.c", "reader.c", "write_tables.c", "writer.c")
FLAGS = ["-fvisibility=hidden", "-fno-strict-aliasing", "-Wextra", "-Wno-missing-field-initializers"]

if os.environ.get("RAT_SANITIZE") != "1":
    FLAGS.insert(0, "-O3")

setup(
    ext_modules=[
        Extension(
            "rat.codec.native._codec",
            sources=[f"{SOURCE}/{name}" for name in FILES],
            depends=glob(f"{SOURCE}/*.h"),
            define_macros=[("RAT_NO_INTERNALS", "1")] if os.environ.get("RAT_NO_INTERNALS") == "1" else [],
            extra_compile_args=FLAGS if os.name == "posix" else [],
            optional=True,
        ),
        Extension(
            "rat.codec.native._frames",
            sources=[f"{SOURCE}/frames.c"],
            extra_compile_args=FLAGS if os.name == "posix" else [],
            optional=True,
        ),
        Extension(
            "rat.http1._lane",
            sources=[f"{LANE}/{name}" for name in ("answer.c", "fields.c", "head.c", "module.c", "verbs.c")],
            depends=[f"{LANE}/lane.h", SLOTS],
            extra_compile_args=FLAGS if os.name == "posix" else [],
            optional=True,
        ),
        Extension(
            "rat._messages",
            sources=["rat/native/messages.c"],
            depends=[SLOTS],
            extra_compile_args=FLAGS if os.name == "posix" else [],
            optional=True,
        ),
        Extension(
            "rat._tasks",
            sources=["rat/native/tasks.c"],
            extra_compile_args=FLAGS if os.name == "posix" else [],
            optional=True,
        ),
    ]
)
