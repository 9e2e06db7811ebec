"""Rooms to talk in, on the hub: ``rat serve examples/chat_hub.py``.

    curl -N http://127.0.0.1:8000/rooms/tea                                    # listen
    curl http://127.0.0.1:8000/rooms/tea -d '{"from": "Ada", "text": "hello"}'   # speak

Whoever comes back with Last-Event-ID gets what was said meanwhile; a listener that does not read loses the oldest
events, and nobody waits for it.
"""

from rat import EventStream, HTTPError, Rat, Request

app = Rat()


@app.sse("/rooms/{room}")
async def listen(request: Request, room: str) -> EventStream:
    return EventStream(app.hub.subscribe(f"rooms/{room}", after=request.last_event_id))


@app.post("/rooms/{room}", max_body=16 * 1024)
async def speak(request: Request, room: str) -> tuple[dict[str, str], int]:
    match await request.json():
        case {"from": str(name), "text": str(text)}:
            id = await app.hub.publish(f"rooms/{room}", {"from": name, "text": text}, event="message")
            return {"id": id}, 201
        case _:
            raise HTTPError(400, 'expected {"from": text, "text": text}')


@app.get("/rooms/{room}/listeners")
async def listeners(request: Request, room: str) -> dict[str, int]:
    return {"listeners": len(app.hub.presence(f"rooms/{room}"))}
