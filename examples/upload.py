"""Uploads of any size in constant memory: ``curl -X POST -T FILE http://127.0.0.1:8000/files/NAME``.

The socket is read no faster than the disk takes the bytes, and the file appears under its name when it is whole.
"""

import os
import re
import tempfile
from pathlib import Path

from rat import HTTPError, Rat, Request

app = Rat()
directory = Path(os.environ.get("UPLOADS") or tempfile.mkdtemp(prefix="uploads-"))


@app.post("/files/{name}", max_body=None)
async def store(request: Request, name: str) -> tuple[dict[str, object], int]:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}", name):
        raise HTTPError(400, f"name {name[:40]!r} may hold letters, digits, dots, hyphens and underscores only")
    size = await request.save(directory / name)
    return {"name": name, "size": size}, 201
