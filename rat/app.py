"""The application: routes brought together, found and answered; its start and its end.

Knows no connection.  The shell asks ``match`` for the endpoint of a head and calls what it gets.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from rat.config import ServerConfig
from rat.dispatch import build_respond
from rat.errors import ContentTooLarge, HTTPError
from rat.pathtree import PathTree
from rat.problems import problem
from rat.responses import Response
from rat.router import UNSET, Route, Router, Unset
from rat.routing import Endpoint, PathPattern

if TYPE_CHECKING:
    from rat.events import RequestReceived
    from rat.stream.hub import Hub

__all__ = ["Rat", "Router"]

log = logging.getLogger("rat.error")

Hook = Callable[..., Any]
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
H = TypeVar("H", bound=Hook)

_ANY = "*"


class _Leaf:
    """What lies at the end of a path: by method, the endpoint and the names of its parameters."""

    __slots__ = ("by_method",)

    def __init__(self) -> None:
        self.by_method: dict[str, tuple[Endpoint, list[str], Route]] = {}

    def find(self, method: str) -> tuple[Endpoint, list[str], Route] | None:
        known = self.by_method
        found = known.get(method)
        if found is None and method == "HEAD":
            # RFC 9110, section 9.3.2: as GET, without content, which the engine leaves out.
            found = known.get("GET")
        return found or known.get(_ANY)


class Rat(Router):
    """An application.

    *config*: what the server is told unless it is told otherwise.  *lifespan*: called with the application, gives an
    async context manager that is entered before the server listens and left after its last answer.
    """

    def __init__(self, *, config: ServerConfig | None = None, lifespan: Lifespan | None = None) -> None:
        super().__init__()
        self.config = config
        self.state = SimpleNamespace()
        """The user's own."""
        self.serving: Callable[[], dict[str, Any]] | None = None
        """What counts for the server that serves this application; set by that server, while it does."""
        self._lifespan = lifespan
        self._running: list[AbstractAsyncContextManager[Any]] = []
        self._hooks: dict[str, list[Hook]] = {"startup": [], "shutdown": [], "drain": []}
        self._hub: Hub | None = None
        self._made_hub = False
        """It is not the application's own, and has the bounds that the server is told."""
        self._prepared_for: ServerConfig | None = None
        self.fixed: dict[bytes, Endpoint] = {}
        """The endpoints of paths without parameters, by the route_key of a head."""
        self._tree: PathTree[_Leaf] = PathTree()
        self._refusals: dict[tuple[int, str], Endpoint] = {}

    @property
    def hub(self) -> Hub:
        """The hub, made when it is first asked for; that of the application that this one is mounted in."""
        host = self._host
        while host is not None:
            if isinstance(host, Rat):
                return host.hub
            host = host._host
        if self._hub is None:
            from rat.stream.hub import Hub

            self._hub = Hub((self.config or ServerConfig()).stream)
            self._made_hub = True
        return self._hub

    @hub.setter
    def hub(self, hub: Hub) -> None:
        """Use *hub*, such as one on a broker that others share.  Raises RuntimeError when there is one already."""
        if self._hub is not None:
            raise RuntimeError("the application has a hub already: set it before it is first used")
        self._hub = hub
        self._made_hub = False

    def statistics(self) -> dict[str, Any]:
        """``RatServer.statistics`` of the server that serves this application, for who does not hold it.

        Raises RuntimeError when no server does.
        """
        if self.serving is None:
            raise RuntimeError("the application is not served")
        return self.serving()

    # -- start and end

    def on_startup(self, function: H) -> H:
        """Have *function*, plain or a coroutine function, called before the server listens."""
        return self._add_hook("startup", function)

    def on_shutdown(self, function: H) -> H:
        """Have *function* called after the last answer, the last declared first."""
        return self._add_hook("shutdown", function)

    def on_drain(self, function: H) -> H:
        """Have *function* called when a graceful stop begins, while answers are still in flight."""
        return self._add_hook("drain", function)

    def _add_hook(self, moment: str, function: H) -> H:
        if not callable(function):
            raise TypeError(f"on_{moment} got {type(function).__name__}, expected a function")
        self._hooks[moment].append(function)
        return function

    def _applications(self) -> list[Rat]:
        """This application and those that are mounted in it."""
        return list(dict.fromkeys([self, *(router for router in self._mounted() if isinstance(router, Rat))]))

    async def startup(self) -> None:
        """Enter the lifespans, then run the hooks.  When one raises, what was entered is left again."""
        self.prepare()
        try:
            for application in self._applications():
                if application._lifespan is not None:
                    manager = application._lifespan(application)
                    await manager.__aenter__()
                    self._running.append(manager)
            for application in self._applications():
                for hook in application._hooks["startup"]:
                    await _run(hook)
        except BaseException as error:
            await self._leave(error)
            raise

    async def drain(self) -> None:
        """Run the drain hooks; one that raises is logged and stops nothing."""
        for application in self._applications():
            for hook in application._hooks["drain"]:
                try:
                    await _run(hook)
                except Exception:
                    log.exception("a drain hook failed")

    async def shutdown(self) -> None:
        """Run the shutdown hooks and leave the lifespans.

        Everything runs; the first exception is raised at the end.
        """
        failure: Exception | None = None
        for application in reversed(self._applications()):
            for hook in reversed(application._hooks["shutdown"]):
                try:
                    await _run(hook)
                except Exception as error:
                    log.exception("a shutdown hook failed")
                    failure = failure or error
        for application in self._applications():
            if application._hub is not None:
                hub, application._hub = application._hub, None
                await hub.close()
        try:
            await self._leave(None)
        except Exception as error:
            failure = failure or error
        if failure is not None:
            raise failure

    async def _leave(self, reason: BaseException | None) -> None:
        failure: Exception | None = None
        while self._running:
            manager = self._running.pop()
            try:
                if reason is None:
                    await manager.__aexit__(None, None, None)
                else:
                    await manager.__aexit__(type(reason), reason, reason.__traceback__)
            except Exception as error:
                if error is not reason:
                    log.exception("a lifespan failed at its end")
                    failure = failure or error
        if failure is not None and reason is None:
            raise failure

    # -- what the shell asks

    def prepare(self, config: ServerConfig | None = None) -> None:
        """Close the declarations and build the endpoints; *config* holds the defaults of their bounds.

        May be called again.  Raises ValueError for two routes of one path and method.
        """
        if self._prepared_for is not None and config in (None, self._prepared_for):
            return
        config = config or self.config or ServerConfig()
        self.config = config
        self._prepared_for = config
        for application in self._applications():
            if application._hub is not None and application._made_hub:
                # It was used before the server was told its bounds.
                application._hub.set_limits(config.stream)
        fixed: dict[bytes, Endpoint] = {}
        tree: PathTree[_Leaf] = PathTree()
        for route in self.routes:
            pattern = PathPattern(route.path)
            leaf = tree.insert(pattern, _Leaf)
            endpoint = self._build(route, pattern.names)
            for method in route.methods:
                if method in leaf.by_method:
                    raise ValueError(
                        f"two routes answer {method} {route.path}: {leaf.by_method[method][2]} and {route}"
                    )
                leaf.by_method[method] = (endpoint, pattern.names, route)
                if pattern.is_fixed and method != _ANY:
                    fixed[method.encode("ascii") + b" " + pattern.wire_path] = endpoint
                    if method == "GET":
                        fixed.setdefault(b"HEAD " + pattern.wire_path, endpoint)
                    elif method == "HEAD":
                        fixed[b"HEAD " + pattern.wire_path] = endpoint
        for route in self.routes:
            path = route.path.rpartition("/")[0]
            if route.bare is not None and path:
                bare = replace(route, path=path, handler=route.bare)
                by_method = tree.insert(PathPattern(path), _Leaf).by_method
                if _ANY not in by_method:
                    by_method.setdefault("GET", (self._build(bare, []), [], bare))
        self.fixed, self._tree, self._refusals = fixed, tree, {}
        for router in (self, *self._mounted()):
            router._frozen = True

    def match(self, head: RequestReceived) -> tuple[Endpoint, dict[str, Any]]:
        """The endpoint that answers *head*, and the parameters of its path.  Never raises."""
        endpoint = self.fixed.get(head.route_key)
        if endpoint is not None:
            return endpoint, {}
        method = head.method
        rest = self._tree.rest(head.path)
        if rest is not None:
            # No need to walk to a mounted file: bench "request, file of 10 KiB".
            found = rest[0].by_method.get(method)
            if found is not None:
                return found[0], {found[1][0]: rest[1]}
        taken = self._tree.find(head.path, lambda leaf: leaf.find(method))
        if taken is not None:
            (endpoint, names, _), values = taken
            return endpoint, dict(zip(names, values, strict=True))
        leaves: list[_Leaf] = []
        self._tree.find(head.path, leaves.append)
        allowed = {verb for leaf in leaves for verb in leaf.by_method}
        if head.path == b"*" and method == "OPTIONS":
            return self._refusal(204, "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"), {}
        if not allowed:
            return self._refusal(404), {}
        allowed.add("OPTIONS")
        if "GET" in allowed:
            allowed.add("HEAD")
        return self._refusal(204 if method == "OPTIONS" else 405, ", ".join(sorted(allowed))), {}

    def error_response(
        self,
        status: int,
        detail: str | None = None,
        *,
        head: RequestReceived | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> Response:
        """The answer to what went wrong outside of any handler (RFC 9457), in the form that *head* asks for."""
        return problem(status, detail, head=head, headers=headers)

    def path_for(self, name: str, **params: Any) -> str:
        """The path of the route *name* with *params* put in.

        Raises KeyError for a name that no route has, ValueError for one that several paths have.
        """
        paths = {route.path for route in self.routes if route.name == name}
        if not paths:
            raise KeyError(f"no route is named {name!r}")
        if len(paths) > 1:
            raise ValueError(f"{len(paths)} routes are named {name!r}")
        return PathPattern(paths.pop()).build(params)

    # -- building

    def _build(self, route: Route, names: list[str]) -> Endpoint:
        assert self.config is not None
        scopes = route.scopes
        handlers = [scope.error_handlers for scope in scopes]
        middleware = [
            (function, handlers[: depth + 1]) for depth, scope in enumerate(scopes) for function in scope.middleware
        ]
        begin, respond = build_respond(
            route.handler,
            names,
            middleware,
            handlers,
            thread=route.thread,
            event_stream=self._event_stream if route.is_event_stream else None,
        )
        return Endpoint(
            begin,
            respond,
            timeout=self.config.timeouts.request if isinstance(route.timeout, Unset) else route.timeout,
            max_body=self.config.limits.body if isinstance(route.max_body, Unset) else route.max_body,
            name=route.name,
            path=route.path,
        )

    def _event_stream(self, events: AsyncIterable[Any]) -> Response:
        from rat.eventstream import EventStream

        return EventStream(events)

    def _refusal(self, status: int, allow: str = "") -> Endpoint:
        """The endpoint that answers where no handler does; the middleware of the application is around it too."""
        known = self._refusals.get((status, allow))
        if known is not None:
            return known
        headers = {"allow": allow} if allow else {}
        details = {404: "no such path", 405: f"the method is not allowed here, allowed are {allow}"}

        def refuse(request: Any) -> Response:
            if status == 204:
                return Response(None, 204, headers)
            raise HTTPError(status, details[status], headers=headers)

        endpoint = self._refusals[status, allow] = self._refusing(refuse, f"answer {status}")
        return endpoint

    def too_large(self, limit: int) -> Endpoint:
        """The endpoint that answers in the place of one whose content may be *limit* bytes."""
        known = self._refusals.get((413, str(limit)))
        if known is not None:
            return known

        def refuse(request: Any) -> Response:
            raise ContentTooLarge(limit, request.content_length)

        endpoint = self._refusals[413, str(limit)] = self._refusing(refuse, "answer 413")
        return endpoint

    def _refusing(self, refuse: Callable[[Any], Response], name: str) -> Endpoint:
        endpoint = self._build(Route("", (), refuse, name, UNSET, UNSET, scopes=(self._scope,)), [])
        endpoint.reads_content = False
        return endpoint


async def _run(hook: Hook) -> None:
    result = hook()
    if inspect.isawaitable(result):
        await result
