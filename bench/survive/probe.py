"""A well-behaved client in a process of its own: asks over and over, and tells how long the answers took.

python probe.py PORT SECONDS
"""

import json
import socket
import sys
import time

PERIOD = 0.004


def main() -> None:
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    request = b"GET /later HTTP/1.1\r\nHost: x\r\n\r\n"
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(10)
    took: list[float] = []
    end = time.monotonic() + seconds
    while (start := time.monotonic()) < end:
        sock.sendall(request)
        answer = sock.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        took.append(time.monotonic() - start)
        time.sleep(PERIOD)
    took.sort()
    print(json.dumps({"count": len(took), "p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100]}))


main()
