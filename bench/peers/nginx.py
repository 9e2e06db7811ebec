"""nginx with one worker: a fixed answer, and files by sendfile."""

from bench.harness.peer import Peer, Start

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {work}/nginx-{port}.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_body_temp_path {work}/nginx-body;
    proxy_temp_path {work}/nginx-proxy;
    fastcgi_temp_path {work}/nginx-fastcgi;
    uwsgi_temp_path {work}/nginx-uwsgi;
    scgi_temp_path {work}/nginx-scgi;
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location = / {{ default_type text/plain; return 200 "Hello, World!"; }}
        location /files/ {{ alias {files}/; }}
    }}
}}
"""


def command(start: Start) -> list[str]:
    path = start.work / f"nginx-{start.port}.conf"
    path.write_text(CONFIGURATION.format(work=start.work, port=start.port, files=start.files))
    return ["nginx", "-c", str(path), "-e", "stderr"]


PEERS = [Peer("nginx", command, frozenset({"hello", "big", "small", "idle"}), core=True, binary=("nginx", "-v"))]
