"""What the whole suite shares: which examples its properties draw, a heap that is quickly searched, and a watchdog.

The profile ``default`` draws the same few examples each time, so that a run speaks of the change and not of its luck;
``long`` (``make test-long``) draws twenty times as many at random, and keeps what failed in ``.hypothesis``.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.support.extensions import faults

_common = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", _common, max_examples=100, derandomize=True, database=None)
settings.register_profile(
    "long",
    _common,
    max_examples=2_000,
    derandomize=False,
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
    print_blob=True,
)
settings.load_profile("default")


_STALLED = 60.0
_REARMED = 10.0


class Watchdog:
    """Ends a process in which no test has begun for a minute or so, and writes where every thread stood.

    The others go on: a test that waits for ever is named as the one in which its worker crashed, where the whole run
    hung before.  pytest's own ``faulthandler_timeout`` starts and joins a thread for every test, which costs as much as
    the test where others want the processor, and ends nothing.
    """

    def __init__(self) -> None:
        self._stderr = os.dup(2)
        self._armed = 0.0

    def pytest_runtest_logstart(self) -> None:
        now = time.monotonic()
        if now - self._armed > _REARMED:
            self._armed = now
            seconds = _STALLED * settings().max_examples / 100  # a property of the long suite may take its time
            faulthandler.dump_traceback_later(seconds + _REARMED, file=self._stderr, exit=True)

    def pytest_unconfigure(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        os.close(self._stderr)


def pytest_configure(config: pytest.Config) -> None:
    """Before output is captured: the watchdog needs the standard error of the run."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):  # where tests are run
        config.pluginmanager.register(Watchdog())


def pytest_sessionstart(session: pytest.Session) -> None:
    """What is written in C is tested as it stands here, or the run ends: not an older build of it, nor nothing."""
    if not hasattr(session.config, "workerinput") and (lines := faults()):
        raise pytest.UsageError("\n".join([*lines, "make builds all of it, and shows what the compiler says"]))


def pytest_collection_finish() -> None:
    """Modules and thousands of tests stay to the end: the collector need not look at them again and again."""
    gc.collect()
    gc.freeze()
