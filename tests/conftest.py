"""What the whole suite shares: which examples its properties draw, how long a test may wait, a heap quickly searched.

The profile ``default`` draws the same few examples each time, so that a run speaks of the change and not of its luck;
``long`` (``make test-long``) draws twenty times as many at random, and keeps what failed in ``.hypothesis``.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import functools
import gc
import inspect
import math
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from typing import Any

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


def _longer(seconds: float) -> float:
    """*seconds* in the default suite; a property of the long one may take its time."""
    return seconds * settings().max_examples / 100


# -- nothing is waited for without an end: the innermost bound that helps tells most

_TASK = 45.0
"""Seconds that a test on a loop has: what it awaits is cancelled, and its traceback says what that was."""
_PHASE = 55.0
"""Seconds that the set-up, the call and the clean-up of a test have each, whatever they wait for."""
_WORKER = 70.0
"""Seconds in which a process that runs tests begins one: a thread, or a lock held in C, may keep it from ending."""
_CONTROLLER = 200.0
"""Seconds in which the process that hands tests out hears of one that has begun: the workers' own end comes before."""
_EXIT = 30.0
"""Seconds that a process has to end when its tests have."""
_REARMED = 10.0


class Overdue(BaseException):
    """A test waits, and not on its loop.  No Exception: nothing that it is raised in may take it for its own."""


def _overdue(number: int, frame: object) -> None:
    raise Overdue(f"nothing came of this within {_longer(_PHASE):g} seconds")


def _within(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def bounded(*arguments: Any, **named: Any) -> None:
        async with asyncio.timeout(_longer(_TASK)):
            await test(*arguments, **named)

    return bounded


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on a loop get a timeout around them."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _within(item.obj)


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    if sys.platform == "win32":  # which has no such signal: the worker's end is left
        yield
        return
    before = signal.signal(signal.SIGALRM, _overdue)
    signal.setitimer(signal.ITIMER_REAL, _longer(_PHASE))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    """A fixture that waits is interrupted."""
    with _alarm():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """A test that waits is interrupted."""
    with _alarm():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """What is waited for after a test is interrupted: its threads, when the loop closes, and its processes."""
    with _alarm():
        return (yield)


class Watchdog:
    """Ends a process in which no test has begun for some time, and writes where every thread stood.

    The others go on: a test that waits for ever is named as the one in which its worker crashed, where the whole run
    hung before.  pytest's own ``faulthandler_timeout`` starts and joins a thread for every test, which costs as much as
    the test where others want the processor, and ends nothing.
    """

    def __init__(self, seconds: float) -> None:
        self._stderr = os.dup(2)
        self._seconds = seconds
        self._armed = -math.inf

    def _arm(self, seconds: float) -> None:
        faulthandler.dump_traceback_later(seconds, file=self._stderr, exit=True)

    def pytest_runtest_logstart(self) -> None:
        now = time.monotonic()
        if now - self._armed > _REARMED:
            self._armed = now
            self._arm(_longer(self._seconds) + _REARMED)

    @pytest.hookimpl(trylast=True)
    def pytest_exception_interact(self) -> None:
        # pytest itself has just called the watchdog off, and what follows a failure is where loops and threads hang.
        self._armed = -math.inf
        self.pytest_runtest_logstart()

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        if hasattr(config, "workerinput"):
            # It stays for as long as the others have tests; who hands them out ends it.
            faulthandler.cancel_dump_traceback_later()
        else:
            self._arm(_EXIT)


def pytest_configure(config: pytest.Config) -> None:
    """Before output is captured: the watchdog needs the standard error of the run."""
    hands_out = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    config.pluginmanager.register(Watchdog(_CONTROLLER if hands_out else _WORKER))


def pytest_sessionstart(session: pytest.Session) -> None:
    """What is written in C is tested as it stands here, or the run ends: not an older build of it, nor nothing."""
    if not hasattr(session.config, "workerinput") and (lines := faults()):
        raise pytest.UsageError("\n".join([*lines, "make builds all of it, and shows what the compiler says"]))


def pytest_collection_finish() -> None:
    """Modules and thousands of tests stay to the end: the collector need not look at them again and again."""
    gc.collect()
    gc.freeze()
