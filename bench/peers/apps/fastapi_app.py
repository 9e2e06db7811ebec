"""The application on FastAPI."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from bench.peers.apps.common import HELLO, MESSAGE

app = FastAPI()


@app.get("/", response_class=PlainTextResponse)
async def hello() -> Any:
    return PlainTextResponse(HELLO)


@app.get("/json")
async def message() -> dict[str, Any]:
    return MESSAGE


@app.post("/echo")
async def echo(content: dict[str, Any]) -> dict[str, Any]:
    return content
