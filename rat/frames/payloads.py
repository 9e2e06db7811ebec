"""What CALL, ERROR and GOAWAY hold: values to events and back.  Pure."""

from __future__ import annotations

from typing import Any

from rat.codec import decode, encode
from rat.errors import CodecError
from rat.frames.events import Call, Error, Goaway

__all__ = ["call_from_value", "call_to_value", "error_from_value", "error_to_value", "goaway_from_value", "pack_goaway"]


def call_from_value(stream_id: int, value: Any, is_open: bool) -> Call | str:
    """The call that a value says: a list of name, args and, if needed, kwargs and options; or what is wrong with it."""
    if type(value) is not list or not 2 <= len(value) <= 4:
        return "a call is a list of name, args, and perhaps kwargs and options"
    name = value[0]
    if type(name) is not str:
        return f"the name of a call is a string, and came as {type(name).__name__}"
    args = value[1]
    if type(args) is not list:
        return f"the args of a call are a list, and came as {type(args).__name__}"
    if len(value) == 2:
        return Call(stream_id, name, args, None, None, is_open)
    kwargs = value[2]
    if kwargs is not None and type(kwargs) is not dict:
        return f"the kwargs of a call are a map or none, and came as {type(kwargs).__name__}"
    options = value[3] if len(value) == 4 else None
    if options is not None and type(options) is not dict:
        return f"the options of a call are a map or none, and came as {type(options).__name__}"
    return Call(stream_id, name, args, kwargs or None, options or None, is_open)


def call_to_value(call: Call) -> list[Any]:
    """The value of a CALL frame."""
    if call.options:
        return [call.name, call.args, call.kwargs, call.options]
    if call.kwargs:
        return [call.name, call.args, call.kwargs]
    return [call.name, call.args]


def error_from_value(stream_id: int, value: Any) -> Error | str:
    """The error that a value says: a map of code, message and, if there is any, detail; or what is wrong with it."""
    if type(value) is not dict:
        return f"ERROR frame on stream {stream_id} holds a {type(value).__name__}, and must hold a map"
    code, message = value.get("code"), value.get("message", "")
    if type(code) is not str or type(message) is not str:
        return f"ERROR frame on stream {stream_id}: code and message must be strings"
    return Error(stream_id, code, message, value.get("detail"))


def error_to_value(error: Error) -> dict[str, Any]:
    """The value of an ERROR frame."""
    value = {"code": error.code, "message": error.message}
    return value if error.detail is None else {**value, "detail": error.detail}


def goaway_from_value(payload: bytes | memoryview) -> Goaway:
    """What a GOAWAY frame's payload says.  Raises CodecError."""
    value: Any = decode(payload, profile="bincode", max_depth=8, max_items=100)
    if type(value) is not dict:
        raise CodecError(f"GOAWAY holds a {type(value).__name__}, and must hold a map", path="$")
    last, code, message = value.get("last", 0), value.get("code"), value.get("message", "")
    if type(last) is not int or type(code) is not str or type(message) is not str:
        raise CodecError("GOAWAY needs a number last, and strings code and message", path="$")
    return Goaway(last, code, message)


def pack_goaway(goaway: Goaway) -> bytes:
    """The payload of a GOAWAY frame, in the ``bincode`` profile as HELLO."""
    return encode({"last": goaway.last, "code": goaway.code, "message": goaway.message[:500]}, profile="bincode")
