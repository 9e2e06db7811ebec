"""Files by sendfile, with ranges and preconditions: ``FILES=directory rat serve examples/files.py``.

Without ``FILES`` it serves the page of the integration demo.
"""

import os
from pathlib import Path

from rat import FileResponse, Rat, Request

app = Rat()
directory = Path(os.environ.get("FILES") or Path(__file__).parent / "integration_demo")
app.static("/files", directory)


@app.get("/source")
async def source(request: Request) -> FileResponse:
    return FileResponse(__file__, filename="files.py", content_type="text/x-python")
