"""From what a user typed to an application: ``app.py``, ``app.py:attr``, ``package.module:attr``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from rat.app import Rat
from rat.errors import AppLoadError

__all__ = ["load_app"]

DEFAULT_NAMES = ("app", "application", "create_app")


def load_app(target: str, *, factory: bool = False) -> Rat:
    """The application that *target* names.

    Without an attribute ``app`` is taken, else the only Rat in the module.  With *factory* the attribute is called, and
    what it answers is the application.  Raises AppLoadError, whose ``__cause__`` is the application's own error.
    """
    place, attribute = _split(target)
    is_file = place.endswith(".py") or place.startswith(".") or "/" in place or "\\" in place
    module = _load_file(place) if is_file else _load_module(place)
    found = _find(module, place, attribute, factory)
    if factory:
        if not callable(found):
            raise AppLoadError(f"{target}: {type(found).__name__} is not callable, and --factory asks for a function")
        try:
            found = found()
        except (Exception, SystemExit) as error:
            raise AppLoadError(f"{target}: the factory raised {_describe(error)}") from error
    if not isinstance(found, Rat):
        hint = "; is it a factory (--factory)?" if callable(found) and not factory else ""
        raise AppLoadError(f"{target}: expected a Rat application, found {type(found).__name__}{hint}")
    return found


def _split(target: str) -> tuple[str, str | None]:
    place, colon, attribute = target.rpartition(":")
    # A drive letter is no place, and what follows it no attribute.
    if not colon or len(place) == 1 or "/" in attribute or "\\" in attribute:
        return target, None
    return place, attribute or None


def _load_file(place: str) -> ModuleType:
    path = Path(place).resolve()
    if path.is_dir():
        raise AppLoadError(f"{place}: is a directory, expected a Python file")
    if not path.exists():
        raise AppLoadError(f"{place}: no such file")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise AppLoadError(f"{place}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses, pickles and type hints look their module up by name.
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise AppLoadError(f"{place}: {_describe(error)}") from error
    return module


def _load_module(name: str) -> ModuleType:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise AppLoadError(f"{name}: no module of that name; a file is given with its .py") from None
        raise AppLoadError(f"{name}: {_describe(error)}") from error
    except (Exception, SystemExit) as error:
        raise AppLoadError(f"{name}: {_describe(error)}") from error


def _find(module: ModuleType, place: str, attribute: str | None, factory: bool) -> Any:
    if attribute is not None:
        found: Any = module
        for part in attribute.split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                raise AppLoadError(f"{place}: has no attribute {attribute!r}") from None
        return found
    for name in DEFAULT_NAMES:
        found = getattr(module, name, None)
        if isinstance(found, Rat) or (factory and callable(found)):
            return found
    apps = [value for value in vars(module).values() if isinstance(value, Rat)]
    if len(apps) == 1:
        return apps[0]
    if apps:
        raise AppLoadError(f"{place}: has {len(apps)} applications and none is called 'app'; name one: {place}:NAME")
    raise AppLoadError(f"{place}: has no Rat application; name one with {place}:NAME")


def _describe(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{type(error).__name__} in line {error.lineno}: {error.msg}"
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
