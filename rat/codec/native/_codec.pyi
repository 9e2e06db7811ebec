"""`rat.codec.reference` has the same names and says what they mean."""

from collections.abc import Callable, Iterable
from typing import Any, final

from rat.codec.scalar_reader import Buffer
from rat.codec.values import Profile

def encode(
    obj: Any, /, *, profile: Profile = "full", default: Callable[[Any], Any] | None = None, max_depth: int = 64
) -> bytes: ...
def decode(
    data: Buffer,
    /,
    *,
    profile: Profile = "full",
    zero_copy: bool = False,
    max_depth: int = 64,
    max_items: int | None = None,
) -> Any: ...
def encode_segments(
    obj: Any,
    /,
    *,
    threshold: int = 32768,
    profile: Profile = "full",
    default: Callable[[Any], Any] | None = None,
    max_depth: int = 64,
) -> list[bytes | memoryview]: ...
def encode_into(
    obj: Any,
    buffer: bytearray | memoryview,
    /,
    offset: int = 0,
    *,
    profile: Profile = "full",
    default: Callable[[Any], Any] | None = None,
    max_depth: int = 64,
) -> int: ...
def encode_batch(
    objs: Iterable[Any], /, *, default: Callable[[Any], Any] | None = None, max_depth: int = 64
) -> list[bytes]: ...
def decode_batch(
    messages: Iterable[Buffer], /, *, zero_copy: bool = False, max_depth: int = 64, max_items: int | None = None
) -> list[Any]: ...

@final
class Encoder:
    def __init__(self, *, default: Callable[[Any], Any] | None = None, max_depth: int = 64) -> None: ...
    def encode(self, obj: Any, /) -> bytes: ...
    def encode_segments(self, obj: Any, /, *, threshold: int = 32768) -> list[bytes | memoryview]: ...
    def encode_into(self, obj: Any, buffer: bytearray | memoryview, /, offset: int = 0) -> int: ...
    def reset(self) -> None: ...

@final
class Decoder:
    def __init__(self, *, zero_copy: bool = False, max_depth: int = 64, max_items: int | None = None) -> None: ...
    def decode(self, data: Buffer, /) -> Any: ...
    def reset(self) -> None: ...

@final
class Cursor:
    """Where the values of one message begin; `rat.codec.views` asks it first."""

    def __init__(self, data: Buffer, /) -> None: ...
    def find(self, place: tuple[int, int, int], steps: tuple[str | int, ...], zero_copy: bool, /) -> Any: ...
    def tables(self, place: tuple[int, int, int], /) -> tuple[list[str], list[tuple[str, ...]]]: ...
