from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import document
from bench.harness import results
from bench.harness.environment import ROOT
from bench.harness.results import Cell, rows_of


def result() -> dict[str, Any]:
    cells = []
    for number in range(3):
        for peer, cost in {"floor": 10.0, "rat": 20.0, "uvicorn": 50.0}.items():
            cells.append(Cell(peer, number, cost, 1, 1.0, 1000.0, 1.0, 1.0, False, 0.01, None))
    cells.append(Cell("sanic", 0, None, 1, 1.0, 1.0, 1.0, 1.0, False, 0.0, "status 500 | no"))
    workloads = {
        "get": {
            "title": "GET, 64 connections",
            "unit": "us of CPU per request",
            "client": "wrk",
            "rounds": 3,
            "rows": [results.as_json(row) for row in rows_of(cells, 0.1, 3)],
            "cells": [results.as_json(cell) for cell in cells],
        }
    }
    return {
        "format": results.FORMAT,
        "date": "2026-01-01T00:00:00+00:00",
        "commit": "abc",
        "machine": {"processor": "x", "cores": 2, "kernel": "6.1", "python": "3.11", "virtual": True},
        "versions": {"uvloop": "1"},
        "threshold": 0.1,
        "whole": 66.0,
        "seconds": 580.0,
        "instructions": {"versions": {}, "counts": {"request, plain handler": 53_845.0}},
        "codec": {
            "families": ["records", "events"],
            "sizes": ["1 KB", "100 KB"],
            "against": {"orjson": {"encode": {"mean": 3.4, "low": 3.28, "high": 3.5}, "decode": None}},
            "bytes of msgpack": 0.7,
        },
        "skipped": {"nginx": "nginx is not installed"},
        "workloads": workloads,
        "trust": results.trust(workloads),
    }


def test_every_figure_of_the_page_comes_from_the_file() -> None:
    page = document.page(result(), "bench/results/a.json", "bench/results/a.svg")
    for expected in (
        "<!-- made by `python -m bench document` from bench/results/a.json; do not edit -->",
        "| **rat** | 20.0 | 19.6 - 20.4 | 0.50 | 0.49 - 0.51 | good | 3 |",
        "| sanic | answered wrongly: status 500 / no | | | | | |",
        "| GET, 64 connections | 0.50 ±2 % | 2.50 ±2 % |",
        "![Share of the floor, for each workload and server](../bench/results/a.svg)",
        "| orjson | 3.40 (3.28 - 3.50) |  |",
        "| request, plain handler | 53,845 |",
        "- skipped nginx: nginx is not installed",
        "- versions: uvloop 1",
    ):
        assert expected in page.splitlines()
    assert "**How far to trust it:** good: of 2 ratios 2 are known within 5 %" in page


def test_the_page_that_is_committed_is_the_one_that_its_file_makes() -> None:
    if not document.PAGE.exists():
        return
    page = document.PAGE.read_text(encoding="utf-8")
    source = page.partition(" from ")[2].partition(";")[0]
    plot = page.partition("](../")[2]
    assert source.startswith("bench/results/")
    assert plot
    expected = document.page(results.load(ROOT / source), source, source.replace(".json", ".svg"))
    assert page == expected
    assert Path(ROOT / source.replace(".json", ".svg")).exists()
    readme = document.README.read_text(encoding="utf-8")
    assert document.with_figures(readme, document.beside_others(results.load(ROOT / source), source)) == readme


def test_a_readme_without_a_place_for_figures_is_told() -> None:
    with pytest.raises(ValueError, match="has no place for figures"):
        document.with_figures("# rat", [])
