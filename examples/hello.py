"""The smallest application: ``rat serve examples/hello.py``."""

from rat import Rat, Request

app = Rat()


@app.get("/")
async def index(request: Request) -> str:
    return "Hello, world!\n"


@app.get("/users/{id:int}")
def user(request: Request, id: int) -> dict[str, object]:
    return {"id": id, "greeting": request.query.get("greeting", "Hello")}
