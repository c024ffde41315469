"""A token endpoint as OpenID Connect providers have one, and the key set by which a broker checks its tokens.

It answers the client-credentials grant with a JWT signed RS256; the subject is the client's id. Clients with another
secret get 401. Listens on loopback, plain HTTP.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Issuer:
    """The signing key in `directory`; `key_set` is the file with its public half."""

    def __init__(self, directory: Path) -> None:
        self._key = directory / "issuer.key"
        new = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(self._key)]
        subprocess.run(new, check=True, capture_output=True)
        shown = ["openssl", "rsa", "-in", str(self._key), "-noout", "-modulus"]
        modulus = (
            subprocess.run(shown, check=True, capture_output=True, text=True).stdout.strip().removeprefix("Modulus=")
        )
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "e": "AQAB", "n": _url(bytes.fromhex(modulus))}
        self.key_set = directory / "issuer.json"
        self.key_set.write_text(json.dumps({"keys": [key]}))

    def token(self, subject: str, seconds: int = 3600) -> str:
        now = int(time.time())
        claims = {"sub": subject, "iat": now, "exp": now + seconds, "scope": "kafka"}
        text = f"{_json({'alg': 'RS256', 'kid': '1', 'typ': 'JWT'})}.{_json(claims)}"
        sign = ["openssl", "dgst", "-sha256", "-sign", str(self._key)]
        return f"{text}.{_url(subprocess.run(sign, input=text.encode(), check=True, capture_output=True).stdout)}"


@contextmanager
def token_endpoint(issuer: Issuer, secrets: Mapping[str, str]) -> Iterator[str]:
    """The endpoint's URL; `secrets`: by client id."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            given = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
            client, _, secret = given.partition(":")
            known = secrets.get(client) == secret
            answer = {"access_token": issuer.token(client), "token_type": "Bearer", "expires_in": 3600}
            body = json.dumps(answer if known else {"error": "invalid_client"}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/token"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _json(value: object) -> str:
    return _url(json.dumps(value).encode())
