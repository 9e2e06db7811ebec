"""Runs the cases inside valgrind's callgrind and has it count each of them apart.

Not for use by hand: `bench.instr` starts it.  Talks to valgrind by its client requests (the sequence of instructions
that valgrind recognises and a processor takes for nothing, see valgrind.h), so that only the repetitions are counted,
and neither the start of the interpreter nor the imports.  x86-64 only.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys

from bench.cases import prepared

# mov rax, rdi; xor edx, edx; rol rdi, 3; rol rdi, 13; rol rdi, 61; rol rdi, 51; xchg rbx, rbx; mov rax, rdx; ret
_CODE = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
_TOOL = ord("C") << 24 | ord("T") << 16
DUMP_AT, ZERO, START, STOP = _TOOL + 3, _TOOL + 1, _TOOL + 4, _TOOL + 5
RUNNING_ON_VALGRIND = 0x1001


class Valgrind:
    """Client requests of the valgrind that this process runs on; without one they do nothing and answer 0."""

    def __init__(self) -> None:
        if platform.machine() != "x86_64":
            raise OSError(f"client requests are written for x86_64, not for {platform.machine()}")
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page.write(_CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._call = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(address)

    def request(self, number: int, argument: int = 0) -> int:
        """Make one client request."""
        values = (ctypes.c_long * 6)(number, argument, 0, 0, 0, 0)
        return int(self._call(ctypes.addressof(values)))


def main() -> int:
    valgrind = Valgrind()
    if not valgrind.request(RUNNING_ON_VALGRIND):
        print("not running on valgrind", file=sys.stderr)
        return 2
    for case, repeat in prepared(lambda text: print(text, file=sys.stderr), exact="--exact" in sys.argv):
        repeat(50)  # what is looked up once, is looked up before
        name = ctypes.create_string_buffer(f"{case.name}|{case.repetitions}".encode())
        valgrind.request(START)
        valgrind.request(ZERO)
        repeat(case.repetitions)
        valgrind.request(DUMP_AT, ctypes.addressof(name))
        valgrind.request(STOP)
    return 0


if __name__ == "__main__":
    sys.exit(main())
