"""Where a server listens on a Unix socket: what lies there already is replaced only when it is a socket left behind."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from rat.errors import BindError
from rat.listening import bind_unix


def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with bind_unix(path, 1) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.listen()
        client.connect(path)
        listener.accept()[0].close()


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
