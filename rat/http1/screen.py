"""Judges the raw head of a request before any parser sees it, and says what the head means.

h11's events hide what it tolerated, so every rule that is stricter than h11 stands here.  Sees bytes, knows no
connection and no state.  Limits bind complete heads, and the verdict does not depend on how the bytes were cut: what a
prefix of a head can be refused for is looked at first in a whole head as well.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

from rat.config import Limits
from rat.errors import RemoteProtocolError

__all__ = ["FIELD_LINE", "FIELD_VALUE", "TOKEN", "Head", "check_host", "judge_fields", "judge_start", "screen"]

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""RFC 9110, section 5.6.2."""
FIELD_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
"""RFC 9110, section 5.5: no control byte but HTAB, no DEL."""
FIELD_LINE = re.compile(rb"(%s):(%s)" % (TOKEN, FIELD_VALUE))

_TCHAR = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]")
_REQUEST_LINE = re.compile(rb"(%s) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])" % TOKEN)
_BARE_LF = re.compile(rb"(?<!\r)\n")
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?]*)([^?]*)(?:\?(.*))?")
# RFC 3986, section 3.2.2.
_HOST = re.compile(
    rb"(?:((?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)|\[(?:([0-9A-Fa-f:.]+)|[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+)\])"
    rb"(?::([0-9]{0,5}))?"
)
_LENGTH_DIGITS = 19
_SINGLE = frozenset({b"host", b"content-length"})


class Head:
    """What a judged head says.  *content_length* is None when the content is chunked."""

    __slots__ = (
        "authority",
        "content_length",
        "expects_continue",
        "field_section",
        "http_version",
        "keep_alive",
        "method",
        "path",
        "query",
        "target",
    )

    method: bytes
    target: bytes
    path: bytes
    query: bytes
    http_version: str
    authority: bytes
    field_section: bytes
    content_length: int | None
    keep_alive: bool
    expects_continue: bool


def judge_start(data: bytes | bytearray, start: int, scanned: int, limits: Limits) -> None:
    """Refuse what the beginning of a head from *start* can be refused for already.

    *scanned* is where the last call ended.  Raises RemoteProtocolError: 414 for the request line, 431 for the head,
    505 and 400.
    """
    if not _TCHAR.match(data, start):
        raise _no_request(data[start])
    line_end = data.find(b"\n", start, start + limits.request_line + 2)
    if line_end < 0:
        if len(data) - start > limits.request_line + 1:
            raise _line_too_long(limits)
        return
    if scanned <= line_end:
        _judge_request_line(bytes(data[start : line_end + 1]), limits)
    bare = _BARE_LF.search(data, max(start, scanned), start + limits.head)
    if bare:
        raise RemoteProtocolError(f"bare LF at byte {bare.start() - start} of the head")
    if len(data) - start > limits.head:
        raise RemoteProtocolError(f"head of more than {limits.head} bytes", status=431)


def screen(head: bytes, limits: Limits) -> Head:
    """Judge a whole *head*: request line, field lines and the empty line.

    Raises RemoteProtocolError with the status that fits: 400, 414, 417, 431, 501 or 505.
    """
    if len(head) > limits.head:
        judge_start(head, 0, 0, limits)
    line_end = head.find(b"\n", 0, limits.request_line + 2)
    if line_end < 0:
        _check_first(head)
        raise _line_too_long(limits)
    _check_first(head)
    method, target, version = _judge_request_line(head[: line_end + 1], limits)
    bare = _BARE_LF.search(head)
    if bare:
        raise RemoteProtocolError(f"bare LF at byte {bare.start()} of the head")
    result = Head()
    result.method = method
    result.target = target
    result.http_version = version
    result.field_section = head[line_end + 1 : -2]
    fields = judge_fields(result.field_section, limits.field_line, limits.fields)
    known: dict[bytes, bytes] = {}
    for name, value in fields:
        if name in known:
            if name in _SINGLE:
                raise RemoteProtocolError(f"field {name.decode()} came twice")
            known[name] += b", " + value
        else:
            known[name] = value
    host = known.get(b"host")
    if host is None:
        if version != "1.0":
            # RFC 9112, section 3.2.
            raise RemoteProtocolError("no Host field in a request of HTTP/1.1")
        host = b""
    else:
        check_host(host)
    _judge_target(result, host)
    _judge_framing(result, known)
    connection = {item.strip(b" \t").lower() for item in known.get(b"connection", b"").split(b",")}
    if b"close" in connection:
        result.keep_alive = False
    else:
        # RFC 9112, section 9.3.
        result.keep_alive = version != "1.0" or b"keep-alive" in connection
    result.expects_continue = False
    if b"expect" in known and version != "1.0":
        # RFC 9110, section 10.1.1: nothing to be met for HTTP/1.0, and nothing to wait for without content.
        expected = {item.strip(b" \t").lower() for item in known[b"expect"].split(b",")}
        if not expected <= {b"", b"100-continue"}:
            raise RemoteProtocolError(f"expectation {known[b'expect'][:64]!r} cannot be met", status=417)
        result.expects_continue = b"100-continue" in expected and result.content_length != 0
    return result


def judge_fields(section: bytes, longest: int, most: int) -> list[tuple[bytes, bytes]]:
    """The field lines of *section*, names in lower case, values stripped.

    Serves heads and trailers.  Raises RemoteProtocolError: 431 past *longest* bytes in a line or *most* fields, 400 for
    obsolete folding, white space before the colon, and control bytes.
    """
    if not section:
        return []
    lines = section.split(b"\r\n")
    lines.pop()
    for line in lines:
        if len(line) > longest:
            raise RemoteProtocolError(f"field line of {len(line)} bytes, limit {longest}", status=431)
    if len(lines) > most:
        raise RemoteProtocolError(f"{len(lines)} fields, limit {most}", status=431)
    fields = []
    for line in lines:
        match = FIELD_LINE.fullmatch(line)
        if match is None:
            # RFC 9112, sections 5.1 and 5.2: neither white space before the colon nor folded lines.
            what = "folded" if line[:1] in (b" ", b"\t") else "malformed"
            raise RemoteProtocolError(f"{what} field line {line[:64]!r}")
        name, value = match.groups()
        fields.append((name.lower(), value.strip(b" \t")))
    return fields


def check_host(value: bytes) -> None:
    """Refuse what is no ``uri-host [":" port]`` (RFC 9110, section 7.2).  Empty stands for no authority."""
    if not value:
        return
    match = _HOST.fullmatch(value)
    if match is None:
        raise RemoteProtocolError(f"Host {value[:64]!r} is no host")
    if match[2] is not None:
        try:
            IPv6Address(match[2].decode())
        except AddressValueError:
            raise RemoteProtocolError(f"Host {value[:64]!r} is no address of IPv6") from None
    if match[3] and int(match[3]) > 65535:
        raise RemoteProtocolError(f"port {int(match[3])} in Host, largest 65535")


def _line_too_long(limits: Limits) -> RemoteProtocolError:
    return RemoteProtocolError(f"request line of more than {limits.request_line} bytes", status=414)


def _check_first(head: bytes) -> None:
    if not _TCHAR.match(head):
        raise _no_request(head[0])


def _no_request(byte: int) -> RemoteProtocolError:
    # RFC 8446, section 5.1: 22 is a handshake record.
    guess = ", as TLS does, which is not spoken on this port" if byte == 0x16 else ""
    return RemoteProtocolError(f"request line begins with byte {byte:#04x}{guess}")


def _judge_request_line(line: bytes, limits: Limits) -> tuple[bytes, bytes, str]:
    """*line* comes with its line feed."""
    if not line.endswith(b"\r\n"):
        raise RemoteProtocolError(f"bare LF at byte {len(line) - 1} of the head")
    if len(line) - 2 > limits.request_line:
        raise _line_too_long(limits)
    match = _REQUEST_LINE.fullmatch(line, 0, len(line) - 2)
    if match is None:
        raise RemoteProtocolError(f"malformed request line {line[:64]!r}")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise RemoteProtocolError(f"HTTP/{major.decode()}.{minor.decode()} is not spoken here", status=505)
    # RFC 9110, section 2.5: a higher minor version is answered as the highest we know.
    return method, target, "1.0" if minor == b"0" else "1.1"


def _judge_target(head: Head, host: bytes) -> None:
    """The four forms of RFC 9112, section 3.2."""
    target = head.target
    if b"#" in target:
        raise RemoteProtocolError("fragment in the request-target")
    if head.method == b"CONNECT":
        raise RemoteProtocolError("CONNECT is not implemented", status=501)
    head.authority = host
    if target.startswith(b"/"):
        head.path, _, head.query = target.partition(b"?")
    elif target == b"*":
        if head.method != b"OPTIONS":
            raise RemoteProtocolError(f"request-target * with {head.method[:32].decode()}, allowed with OPTIONS")
        head.path, head.query = target, b""
    else:
        match = _ABSOLUTE.fullmatch(target)
        if match is None or not match[1]:
            raise RemoteProtocolError(f"malformed request-target {target[:64]!r}")
        # RFC 9112, section 3.2.2: the authority of an absolute target is preferred to Host.  RFC 9110, section 4.2.4
        # lets us take user information for the error that it is; check_host refuses its "@".
        check_host(match[1])
        head.authority = match[1]
        head.query = match[3] or b""
        # RFC 9112, section 3.2.4: no path and no query with OPTIONS asks for the server itself.
        whole = head.method == b"OPTIONS" and match[3] is None
        head.path = match[2] or (b"*" if whole else b"/")


def _judge_framing(head: Head, known: dict[bytes, bytes]) -> None:
    """RFC 9112, sections 6.1 to 6.3, without their leniency."""
    length = known.get(b"content-length")
    coding = known.get(b"transfer-encoding")
    if coding is not None:
        if head.http_version == "1.0":
            raise RemoteProtocolError("Transfer-Encoding in a request of HTTP/1.0")
        if length is not None:
            # RFC 9112, section 6.1: no honest client sends both.
            raise RemoteProtocolError("Content-Length together with Transfer-Encoding")
        codings = [item.strip(b" \t").lower() for item in coding.split(b",")]
        if codings[-1] != b"chunked":
            # RFC 9112, section 6.3, rule 4.
            raise RemoteProtocolError(f"Transfer-Encoding {coding[:64]!r} does not end with chunked")
        if codings.count(b"chunked") > 1:
            raise RemoteProtocolError(f"Transfer-Encoding {coding[:64]!r} is chunked more than once")
        if len(codings) > 1:
            raise RemoteProtocolError(f"Transfer-Encoding {coding[:64]!r} is not implemented", status=501)
        head.content_length = None
    elif length is None:
        head.content_length = 0
    else:
        if not length.isdigit():
            raise RemoteProtocolError(f"Content-Length {length[:64]!r} is no number")
        if len(length) > _LENGTH_DIGITS:
            raise RemoteProtocolError(f"Content-Length of {len(length)} digits, limit {_LENGTH_DIGITS}")
        head.content_length = int(length)
