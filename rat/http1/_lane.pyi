"""`rat.http1.fastlane` has the references and says what they mean."""

from rat.events import RequestReceived
from rat.http1.fastlane import CompleteWriter, HeadReader

def head_reader(request_type: type[RequestReceived], fields: int, size: int, /) -> HeadReader: ...
def answer_writer(
    complete: CompleteWriter,
    starts: dict[int, bytes],
    lines: dict[tuple[bytes, bytes], bytes],
    blocks: dict[tuple[tuple[bytes, bytes], ...], bytes],
    /,
) -> CompleteWriter: ...
def begins_any(field_section: bytes, beginnings: tuple[bytes, ...], /) -> bool: ...
def combined_value(field_section: bytes, name: bytes, /) -> bytes | None: ...
