"""Tokens of the client-credentials grant: one for many connections, and errors that show no secret."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stream_monitor.agents.tokens import TokenPolicy, Tokens
from stream_monitor.errors import SetupError


@contextmanager
def endpoint(status: int, body: object) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Its URL, and (Authorization header, body) of every request it has answered, each in two parts."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked.append((self.headers["Authorization"], said))
            answer = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            for part in (answer[:9], answer[9:]):
                self.wfile.write(part)
                self.wfile.flush()
                time.sleep(0.05)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/token", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def policy(url: str) -> TokenPolicy:
    return TokenPolicy(url, "me", "hidden", scope="kafka read", extensions={"logicalCluster": "a"})


def test_a_token_serves_all_connections_until_four_fifths_of_its_life() -> None:
    now = [0.0]
    with endpoint(200, {"access_token": "abc", "expires_in": 100}) as (url, asked):
        tokens = Tokens(policy(url), clock=lambda: now[0])
        for now[0] in (0.0, 40.0, 79.0):
            assert asyncio.run(tokens.token()) == "abc"
        assert len(asked) == 1
        now[0] = 80.0
        assert asyncio.run(tokens.token()) == "abc"
    assert asked == [("Basic bWU6aGlkZGVu", "grant_type=client_credentials&scope=kafka+read")] * 2
    assert tokens.extensions() == {"logicalCluster": "a"}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": "invalid_client: hidden"}, "answered 401"),
        (302, {"access_token": "abc"}, "answered 302"),
        (200, {"token": "abc"}, "gave no access_token"),
        (200, ["abc"], "gave no access_token"),
        (200, {"access_token": "a" * (1 << 20)}, "answered with more than 1048576 bytes"),
    ],
)
def test_an_endpoint_that_gives_none_is_one_sentence_without_the_secret(status: int, body: object, said: str) -> None:
    with endpoint(status, body) as (url, asked), pytest.raises(SetupError) as caught:
        asyncio.run(Tokens(policy(url)).token())
    assert f"{url} {said} → correct kafka: sasl.oauthbearer.client.id" in str(caught.value)
    assert "hidden" not in str(caught.value) + repr(policy(url))
    assert len(asked) == 1


def test_an_endpoint_that_is_away_is_one_sentence() -> None:
    with pytest.raises(SetupError, match=r"http://127\.0\.0\.1:1/ cannot be reached \(ClientConnectorError\)"):
        asyncio.run(Tokens(policy("http://127.0.0.1:1/")).token())
