"""Twenty uploads and twenty downloads in a process that will be killed.

python victim.py PORT
"""

import socket
import sys
import time

HOST = b" HTTP/1.1\r\nHost: x\r\n"


def main() -> None:
    port = int(sys.argv[1])
    held = []
    for number in range(60):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.connect(("127.0.0.1", port))
        if number % 3 == 0:
            sock.sendall(b"POST /upload" + HOST + b"Content-Length: 100000000\r\n\r\n" + b"u" * 100_000)
        else:
            sock.sendall(b"GET " + (b"/file" if number % 3 == 1 else b"/pieces") + HOST + b"\r\n")
            sock.recv(1000)
        held.append(sock)
    print("ready", flush=True)
    time.sleep(60)


main()
