"""Where a server listens, what is said when it cannot, and which Unix socket takes the place of what lies there."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rat import Rat, RatServer, Request
from rat.errors import BindError
from rat.listening import adopt, bind, bind_unix
from tests.support.serving import connect


def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with bind_unix(path, 1) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.listen()
        client.connect(path)
        listener.accept()[0].close()


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_what_is_no_host_name_is_told(host: str) -> None:
    with pytest.raises(BindError, match=f"cannot resolve '{host}': it is no host name"):
        bind(host, 0, 1)


def test_a_descriptor_that_is_no_socket_is_told(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        number = file.fileno()
        with pytest.raises(BindError, match=f"cannot listen on descriptor {number}: Socket operation on non-socket"):
            adopt(number, 1)


async def test_a_loop_without_readers_takes_connections_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Rat()

    @app.get("/")
    def index(request: Request) -> str:
        return "hello"

    server = RatServer(app, port=0)
    with monkeypatch.context() as patch:
        patch.setattr("rat.listening.sys.platform", "win32")
        await server.start()
    try:
        async with connect(server) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await client.answer()).content == b"hello"
    finally:
        await server.close()


@pytest.mark.parametrize("what", ["file", "link to a file", "directory", "socket in use"])
def test_anything_else_stays_as_it_is(tmp_path: Path, what: str) -> None:
    path = tmp_path / "s"
    (tmp_path / "file").write_text("precious")
    with socket.socket(socket.AF_UNIX) as listener:
        if what == "file":
            path.write_text("precious")
        elif what == "link to a file":
            path.symlink_to("file")
        elif what == "directory":
            path.mkdir()
        else:
            listener.bind(str(path))
            listener.listen()
        before = path.lstat()
        with pytest.raises(BindError, match=r"cannot bind the Unix socket .*: Address already in use"):
            bind_unix(str(path), 1)
    assert path.lstat() == before
    assert (tmp_path / "file").read_text() == "precious"
