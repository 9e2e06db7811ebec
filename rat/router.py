"""Routes as they are declared: the decorators of an application, and routers that mount under a prefix.

Knows nothing of how a route is found or called.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeVar, Unpack

from rat.dispatch import Handler, Middleware, call_style
from rat.problems import ErrorHandler, ErrorHandlers
from rat.routing import PathPattern

if TYPE_CHECKING:
    from rat.fields import HeaderSource
    from rat.procedures import Procedure

__all__ = ["UNSET", "Route", "Router", "Scope", "Unset"]

F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", bound=Middleware)


class Unset(enum.Enum):
    """The default of an option for which None means something."""

    UNSET = "not given"


UNSET: Final[Literal[Unset.UNSET]] = Unset.UNSET


class RouteOptions(TypedDict, total=False):
    """What may be said of a route, as ``Router.route`` has it."""

    name: str | None
    timeout: float | Unset | None
    max_body: int | Unset | None
    thread: bool


class CallOptions(TypedDict, total=False):
    """What may be said of a procedure."""

    timeout: float | None
    max_body: int | Unset | None
    thread: bool


class StaticOptions(TypedDict, total=False):
    """What may be said of a directory, as ``rat.static.StaticFiles`` has it."""

    index: Sequence[str]
    precompressed: bool
    headers: HeaderSource | None
    hidden: bool
    listing: bool


@dataclass(slots=True)
class Scope:
    """What holds for the routes of one router: its middleware, outermost first, and its error handlers."""

    middleware: list[Middleware]
    error_handlers: ErrorHandlers


@dataclass(frozen=True, slots=True)
class Route:
    """One declared route.  *methods* is ``("*",)`` for any; *scopes* go from the application inwards.

    *timeout* in seconds, *max_body* in bytes: UNSET takes the default of the server, None is without bound.  *bare*
    answers the path without its last segment, unless a route of its own does.
    """

    path: str
    methods: tuple[str, ...]
    handler: Handler
    name: str
    timeout: float | Unset | None = UNSET
    max_body: int | Unset | None = UNSET
    thread: bool = False
    is_event_stream: bool = False
    bare: Handler | None = None
    scopes: tuple[Scope, ...] = ()

    def __str__(self) -> str:
        return f"{'|'.join(self.methods)} {self.path} ({self.name})"


class Router:
    """Routes that belong together, to be mounted under a prefix.

    Its middleware and error handlers hold for them alone.
    """

    def __init__(self) -> None:
        self._scope = Scope([], {})
        self._entries: list[Route | tuple[str, Router]] = []
        self._frozen = False
        self._host: Router | None = None
        self.calls: dict[str, Procedure] = {}
        """Procedures by name, as declared by ``call``."""

    def _check_open(self) -> None:
        """Raises RuntimeError when nothing may be declared any more."""
        if self._frozen:
            raise RuntimeError("the application is in use already, declare before it is served")

    # -- routes

    def route(
        self,
        path: str,
        *,
        methods: Iterable[str] = ("GET",),
        name: str | None = None,
        timeout: float | Unset | None = UNSET,
        max_body: int | Unset | None = UNSET,
        thread: bool = False,
    ) -> Callable[[F], F]:
        """Declare a route; ``methods="*"`` for any.  HEAD and OPTIONS come by themselves.

        *timeout*: seconds until the head of the answer; *max_body*: bytes of content; *thread*: run a plain handler
        in a thread.  Raises ValueError for a path that cannot be meant, TypeError for a handler that does not fit it.
        """
        if methods == "*" or list(methods) == ["*"]:
            verbs: tuple[str, ...] = ("*",)
        elif isinstance(methods, str):
            raise TypeError(f"methods is {methods!r}, expected a list of methods, or '*'")
        else:
            verbs = tuple(dict.fromkeys(method.upper() for method in methods))
            if not verbs:
                raise ValueError(f"route {path!r} has no methods")

        def declare(handler: F) -> F:
            self._declare(path, verbs, handler, name=name, timeout=timeout, max_body=max_body, thread=thread)
            return handler

        return declare

    def _declare(
        self, path: str, methods: tuple[str, ...], handler: Handler, *, name: str | None, **options: Any
    ) -> None:
        self._check_open()
        if not callable(handler):
            raise TypeError(f"handler of {path!r} is {type(handler).__name__}, expected a function")
        call_style(handler, PathPattern(path or "/").names, complete=False)
        known_as = name or str(getattr(handler, "__name__", type(handler).__name__))
        self._entries.append(Route(path, methods, handler, known_as, **options))

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Declare a route of GET; options as ``route`` has them."""
        return self.route(path, methods=("GET",), **options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Declare a route of POST; options as ``route`` has them."""
        return self.route(path, methods=("POST",), **options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Declare a route of PUT; options as ``route`` has them."""
        return self.route(path, methods=("PUT",), **options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Declare a route of PATCH; options as ``route`` has them."""
        return self.route(path, methods=("PATCH",), **options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Declare a route of DELETE; options as ``route`` has them."""
        return self.route(path, methods=("DELETE",), **options)

    def head(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Declare a route of HEAD; options as ``route`` has them."""
        return self.route(path, methods=("HEAD",), **options)

    def options(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Declare a route of OPTIONS; options as ``route`` has them."""
        return self.route(path, methods=("OPTIONS",), **options)

    def sse(
        self,
        path: str,
        *,
        methods: Iterable[str] = ("GET",),
        name: str | None = None,
        timeout: float | Unset | None = UNSET,
        max_body: int | Unset | None = UNSET,
    ) -> Callable[[F], F]:
        """Declare an event stream: the handler returns an EventStream or an async iterable of events, or is a
        generator of events (text, dict or ServerSentEvent)."""
        verbs = tuple(dict.fromkeys(method.upper() for method in methods))

        def declare(handler: F) -> F:
            self._declare(path, verbs, handler, name=name, timeout=timeout, max_body=max_body, is_event_stream=True)
            return handler

        return declare

    def call(self, name: str, **options: Unpack[CallOptions]) -> Callable[[F], F]:
        """Declare a procedure: ``handler(request, *arguments)``, for frames and for POST /_call/NAME.

        Options as ``route`` has them; *timeout* is for the whole answer.  Raises ValueError for a name that is taken.
        """
        thread = options.pop("thread", False)

        def declare(handler: F) -> F:
            self._check_open()
            if name in self.calls:
                raise ValueError(f"call {name!r} is declared twice")
            from rat.calls import over_http
            from rat.procedures import Procedure

            procedure = Procedure(name, handler, thread=thread, timeout=options.get("timeout"))
            self.calls[name] = procedure
            self._declare(f"/_call/{name}", ("POST",), over_http(procedure), name=f"call {name}", **options)
            return handler

        return declare

    def frames(self, handler: F) -> F:
        """Declare ``async def handler(connection)`` for peers that speak frames and make no calls.

        The connection is an async iterator of their values and has ``await connection.send(value)``.  ValueError for a
        second one.
        """
        from rat.procedures import CONNECTION, Procedure, answer_connection

        self._check_open()
        if CONNECTION in self.calls:
            raise ValueError("a handler for frames connections is declared twice")
        self.calls[CONNECTION] = Procedure(CONNECTION, answer_connection(handler))
        return handler

    def procedures(self) -> dict[str, Procedure]:
        """The procedures by name, those of mounted routers included.  Raises ValueError for a name that two have."""
        found = dict(self.calls)
        for router in self._mounted():
            for name, procedure in router.calls.items():
                if found.setdefault(name, procedure) is not procedure:
                    raise ValueError(f"call {name!r} is declared in two routers")
        return found

    def static(self, prefix: str, directory: str | Path, **options: Unpack[StaticOptions]) -> None:
        """Serve the files below *directory* under *prefix*; options as ``rat.static.StaticFiles`` has them."""
        from rat.static import StaticFiles, with_slash

        handler, path = StaticFiles(directory, **options).answer, f"{prefix.rstrip('/')}/{{path:path}}"
        self._declare(path, ("GET",), handler, name=f"static {prefix}", max_body=UNSET, bare=with_slash)

    def mount(self, prefix: str, router: Router) -> None:
        """Put the routes of *router*, those that it gets later included, under *prefix* (``/api``)."""
        self._check_open()
        if not isinstance(router, Router):
            raise TypeError(f"mounted is {type(router).__name__}, expected Rat or Router")
        if not prefix.startswith("/") or prefix.endswith("/"):
            raise ValueError(f"prefix {prefix!r} must begin with '/' and not end with it")
        PathPattern(prefix)
        if router is self or self in router._mounted():
            raise ValueError(f"router mounted at {prefix!r} would contain itself")
        self._entries.append((prefix, router))
        router._host = self

    def _mounted(self) -> Iterator[Router]:
        for entry in self._entries:
            if isinstance(entry, tuple):
                yield entry[1]
                yield from entry[1]._mounted()

    # -- around the handlers

    def middleware(self, function: M) -> M:
        """Put ``async def function(request, call_next)`` around the handlers, the first declared outermost."""
        self._check_open()
        if not callable(function):
            raise TypeError(f"middleware is {type(function).__name__}, expected a coroutine function")
        self._scope.middleware.append(function)
        return function

    def errorhandler(self, key: int | type[Exception]) -> Callable[[F], F]:
        """Have ``function(request, error)`` answer a status code, or an exception class and what derives from it."""
        if not isinstance(key, int) and not (isinstance(key, type) and issubclass(key, Exception)):
            raise TypeError(f"errorhandler for {key!r}, expected a status code or an exception class")

        def declare(function: ErrorHandler) -> ErrorHandler:
            self._check_open()
            if key in self._scope.error_handlers:
                raise ValueError(f"errorhandler for {key!r} is declared twice")
            self._scope.error_handlers[key] = function
            return function

        return declare  # type: ignore[return-value]

    @property
    def routes(self) -> list[Route]:
        """All routes, those of mounted routers included, with their whole paths."""
        return list(self._walk("", ()))

    def _walk(self, prefix: str, scopes: tuple[Scope, ...]) -> Iterator[Route]:
        scopes = (*scopes, self._scope)
        for entry in self._entries:
            if isinstance(entry, tuple):
                yield from entry[1]._walk(prefix + entry[0], scopes)
            else:
                yield replace(entry, path=prefix + entry.path, scopes=scopes)
