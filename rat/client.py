"""The client for DataValue frames.

``async with rat.connect("rat://host:port") as client: await client.call("add", 1, 2)``.  Calls multiplex over one
connection, which is made when it is needed and made again when it was lost.  ``rat.blocking`` has the same for scripts
without an event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from rat.client_peer import ClientPeer
from rat.client_stream import ClientStream
from rat.config import FrameLimits
from rat.errors import CallError, ConnectionLost, RemoteProtocolError, reason
from rat.events import Buffer
from rat.frames.events import Profile
from rat.stream.blob import Blob, BlobSource

__all__ = ["Client", "Retry", "connect", "parse_url"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a connection is tried, and how long is waited in between.

    The wait doubles from *first* to *longest* seconds; each is taken by chance from its upper half, so that the clients
    of a server that was restarted do not come back all at once.
    """

    attempts: int = 5
    first: float = 0.05
    longest: float = 5.0

    def wait(self, attempt: int, chance: Callable[[], float] = random.random) -> float:
        """Seconds before attempt number *attempt*, counted from 1."""
        whole = min(self.longest, self.first * 2.0 ** (attempt - 1))
        return whole * (0.5 + chance() / 2.0)


def parse_url(url: str) -> tuple[str, int] | str:
    """Host and port of ``rat://host:port``, or the path of ``rat+unix:///path``.  Raises ValueError for all else."""
    wrong = f"url is {url!r}, expected rat://host:port or rat+unix:///path"
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")  # as a look-up of its address would, which then is refused less clearly
    except ValueError as error:
        raise ValueError(wrong) from error
    if parts.scheme == "rat+unix" and parts.path and not parts.netloc:
        return parts.path
    if parts.scheme != "rat" or not parts.hostname or port is None or parts.path not in ("", "/"):
        raise ValueError(wrong)
    return parts.hostname, port


def connect(
    url: str,
    *,
    limits: FrameLimits | None = None,
    profile: Profile = "full",
    checksum: bool = False,
    compress: bool = False,
    timeout: float | None = None,
    connect_timeout: float = 10.0,
    retry: Retry | None = None,
) -> Client:
    """A client of the server at *url*: ``rat://host:port`` or ``rat+unix:///path``.

    *timeout*: seconds for each call, None for no limit; *connect_timeout*: for one attempt, the exchange of HELLO
    included, and at the end for what the server has not read yet.  *checksum* and *compress* ask for CRC-32 and zstd on
    every frame.  *limits*: what this side takes.
    """
    features = {"tables"} | ({"checksum"} if checksum else set()) | ({"zstd"} if compress else set())
    return Client(
        parse_url(url),
        limits=limits or FrameLimits(),
        profile=profile,
        features=frozenset(features),
        timeout=timeout,
        connect_timeout=connect_timeout,
        retry=retry or Retry(),
    )


class Client:
    """Calls the procedures of one server.

    May be used by any number of tasks of one event loop.  A cancelled call is cancelled at the server.  When the
    connection is lost, the calls in flight raise ConnectionLost, since nobody knows whether they were carried out;
    later ones connect again.  Calls that the server had not taken, because it was draining, are made again.
    """

    def __init__(
        self,
        address: tuple[str, int] | str,
        *,
        limits: FrameLimits,
        profile: Profile,
        features: frozenset[str],
        timeout: float | None,
        connect_timeout: float,
        retry: Retry,
    ) -> None:
        self._address = address
        self._limits = limits
        self._profile = profile
        self._features = features
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._retry = retry
        self._peer: ClientPeer | None = None
        self._connecting: asyncio.Lock | None = None
        self._closed = False
        self._leaving: set[ClientPeer] = set()

    async def __aenter__(self) -> Client:
        await self.connected()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls in flight raise ConnectionLost.  No call can be made afterwards.

        What was sent still leaves, as far as the server reads it within *connect_timeout* seconds.
        """
        self._closed = True
        if self._peer is not None:
            self._leaving.add(self._peer)
            self._peer = None
        leaving = tuple(self._leaving)
        for peer in leaving:
            peer.close()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._connect_timeout):
                    await asyncio.gather(*(peer.gone() for peer in leaving))
        finally:
            for peer in leaving:
                peer.abort()
        await asyncio.gather(*(peer.gone() for peer in leaving))
        self._leaving.clear()

    # -- the connection

    async def connected(self) -> ClientPeer:
        """The connection, made if there is none.  Raises ConnectionLost when every attempt has failed."""
        peer = self._peer
        if peer is not None and peer.takes_calls:
            return peer
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            peer = self._peer
            if peer is not None and peer.takes_calls:
                return peer
            if self._closed:
                raise ConnectionLost("the client is closed")
            if peer is not None:
                # It finishes what is in flight, and then leaves.
                self._leaving.add(peer)
                peer.on_gone(self._leaving.discard)
                peer.finish()
            self._peer = await self._attempts()
            return self._peer

    async def _attempts(self) -> ClientPeer:
        attempt = 0
        while True:
            attempt += 1
            try:
                async with asyncio.timeout(self._connect_timeout):
                    return await self._attempt()
            except (OSError, TimeoutError, ConnectionLost) as error:
                if attempt >= self._retry.attempts:
                    raise ConnectionLost(f"cannot connect to {self._place()}: {_reason(error)}") from error
            except RemoteProtocolError as error:
                raise ConnectionLost(f"{self._place()} does not speak as this client does: {error}") from error
            await asyncio.sleep(self._retry.wait(attempt))

    async def _attempt(self) -> ClientPeer:
        loop = asyncio.get_running_loop()

        def factory() -> ClientPeer:
            return ClientPeer(loop, self._limits, features=self._features, profile=self._profile)

        if isinstance(self._address, str):
            transport, peer = await loop.create_unix_connection(factory, self._address)
        else:
            transport, peer = await loop.create_connection(factory, *self._address)
        try:
            await peer.introduced()
        except BaseException:
            transport.abort()
            raise
        return peer

    def _place(self) -> str:
        return self._address if isinstance(self._address, str) else f"{self._address[0]} port {self._address[1]}"

    # -- calls

    def within(self, seconds: float | None) -> Within:
        """The same client with another deadline: ``await client.within(2.5).call("slow")``."""
        return Within(self, seconds)

    async def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """The result of procedure *name*.

        Raises CallError as the server says, with code ``deadline`` after the client's *timeout*; ConnectionLost.
        """
        return await self._call(name, args, kwargs, self._timeout)

    async def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None) -> Any:
        options = None if timeout is None else {"deadline": timeout}
        while True:
            peer = self._peer
            if peer is None or not peer.takes_calls:
                peer = await _limited(self.connected(), timeout)
            try:
                return await peer.call(name, args, kwargs, options, timeout)
            except CallError as error:
                # The server says that it has not begun with it.
                if error.code != "draining" or self._closed:
                    raise

    def stream(self, name: str, /, *args: Any, **kwargs: Any) -> ClientStream:
        """The items that procedure *name* sends: ``async for item in client.stream("ticks")``.

        As an async context manager it also sends: ``send(value)``, ``end()``, ``result()``.  Leaving it early cancels
        the call.
        """
        return ClientStream(self.connected, name, args, kwargs, self._timeout)

    def connection(self) -> ClientStream:
        """Values both ways, for servers with ``@app.frames``: a stream to nobody by name."""
        return ClientStream(self.connected, "", (), {}, None)

    async def upload(self, name: str, source: BlobSource | Blob, /, *args: Any, **kwargs: Any) -> Any:
        """Call *name* and send it the bytes of *source*: a buffer, a path, a file, an iterable.  Its result.

        Neither side holds more than a window of it.  The handler reads the pieces from ``request.stream``.
        """
        blob = source if isinstance(source, Blob) else Blob(source)
        async with ClientStream(self.connected, name, args, kwargs, self._timeout) as stream:
            await stream.send_blob(blob)
            return await stream.result()

    async def download(self, name: str, /, *args: Any, **kwargs: Any) -> AsyncIterator[Buffer]:
        """The bytes that *name* sends, piece by piece as they come; the server waits when nobody reads.

        Raises CallError ``not_a_blob`` for a call that answers anything else.
        """
        async with ClientStream(self.connected, name, args, kwargs, self._timeout, is_open=False) as stream:
            async for piece in stream:
                if not isinstance(piece, bytes | bytearray | memoryview):
                    raise CallError("not_a_blob", f"call {name} sent an item of {type(piece).__name__}, expected bytes")
                yield piece
            result = await stream.result()
            if result is not None:
                raise CallError("not_a_blob", f"call {name} answered {type(result).__name__}, expected bytes")

    async def ping(self) -> float:
        """Seconds to the server and back."""
        return await (await self.connected()).ping()


async def save(pieces: AsyncIterator[Buffer], path: Path) -> int:
    """Write a download to the file *path*; how many bytes.  A call that is refused leaves the file as it was."""
    first = await anext(pieces, b"")
    with path.open("wb") as file:
        size = await asyncio.to_thread(file.write, first)
        async for piece in pieces:
            size += await asyncio.to_thread(file.write, piece)
    return size


class Within:
    """A client's calls with a deadline of their own."""

    __slots__ = ("_client", "_seconds")

    def __init__(self, client: Client, seconds: float | None) -> None:
        self._client = client
        self._seconds = seconds

    async def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """As Client.call."""
        return await self._client._call(name, args, kwargs, self._seconds)

    def stream(self, name: str, /, *args: Any, **kwargs: Any) -> ClientStream:
        """As Client.stream; the deadline is for the whole of it."""
        return ClientStream(self._client.connected, name, args, kwargs, self._seconds)


async def _limited(making: Awaitable[T], timeout: float | None) -> T:
    try:
        async with asyncio.timeout(timeout):
            return await making
    except TimeoutError:
        raise CallError("deadline", f"no connection within {timeout:g} seconds") from None


def _reason(error: BaseException) -> str:
    if isinstance(error, CallError):
        return error.message
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    if isinstance(error, OSError):
        return reason(error)
    return str(error)
