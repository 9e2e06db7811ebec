"""Clients that are forked: what they print, how they end, what they took."""

from __future__ import annotations

from pathlib import Path

from bench.harness.fork_server import ForkServer


def test_a_client_prints_into_its_files_and_its_exit_code_comes_back(tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    with ForkServer(None) as forks:
        code, cpu = forks.run("rat.cli.bench", ["--help"], out, err)
        assert (code, err.read_text()) == (0, "")
        assert "--clients" in out.read_text()
        assert cpu > 0.0
        # What one has done to itself, the next knows nothing of.
        code, _ = forks.run("rat.cli.bench", ["sse", "http://127.0.0.1:1/", "-d", "0.1"], out, err)
        assert code != 0
        assert (out.read_text(), "127.0.0.1:1" in err.read_text()) == ("", True)


def test_a_client_that_cannot_be_imported_says_so(tmp_path: Path) -> None:
    with ForkServer(None) as forks:
        code, _ = forks.run("bench.no_such_client", [], tmp_path / "out", tmp_path / "err")
    assert code == 1
    assert "No module named 'bench.no_such_client'" in (tmp_path / "err").read_text()
