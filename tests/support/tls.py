"""Contexts of both ends of a TLS connection, with a certificate that is for tests and trusted by nobody."""

from __future__ import annotations

import ssl
from pathlib import Path

__all__ = ["tls_contexts"]

_PEM = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQghnjRdqlqYxHYt/5M
J8wBh1wEwKRyCMHRzkldMJk7l6ehRANCAASJOTa8SU2InrrVBZrIXxb7C2NTiA3J
QXEDdsyh+xzVnJIbs6rjvzmZrmoRpGpnQXCCqPnl6IMUOCia2KZoxX3d
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBlDCCATugAwIBAgIUGM+IUMzbTv/2omwBvjEjmsE/AzgwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNzEzMjIwMloYDzIxMjYxMTAz
MTMyMjAyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASJOTa8SU2InrrVBZrIXxb7C2NTiA3JQXEDdsyh+xzVnJIbs6rjvzmZ
rmoRpGpnQXCCqPnl6IMUOCia2KZoxX3do2kwZzAdBgNVHQ4EFgQUOhUH7ZF1lNEB
qMi1gWoFR3OrU84wHwYDVR0jBBgwFoAUOhUH7ZF1lNEBqMi1gWoFR3OrU84wDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
RwAwRAIgBclAb/cYnV8olcjDqjLXN9SV450oAZqNHgyGDrkQY40CIBkZOFbwIRwh
7ABXlgtT3XaycJG0+pxZSsHqMeC0h5PH
-----END CERTIFICATE-----
"""


def tls_contexts(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the client's; the certificate is written to *directory* on the way."""
    (directory / "tls.pem").write_text(_PEM)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "tls.pem")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return server, client
