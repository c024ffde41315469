"""What one who can reach the port can do to it, over raw sockets: nothing but be turned away, and counted."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stream_monitor.errors import SetupError
from stream_monitor.export.access import Access
from stream_monitor.export.answer import SECURITY
from stream_monitor.export.http import MonitoringServer, accepts_gzip
from stream_monitor.export.policy import HttpPolicy, TlsPolicy

TLS = Path(__file__).parent / "tls"
SERVER_TLS = TlsPolicy(TLS / "server.pem", TLS / "server.key")
ANY_PORT = HttpPolicy(port=0)
PATIENCE_S = 60.0


class Text(Collector):
    """One metric whose help has `size` characters."""

    def __init__(self, size: int = 10) -> None:
        self.size = size

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("a_gauge", "x" * self.size, value=1.0)


class Running:
    def __init__(self, policy: HttpPolicy, size: int, **more: Any) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Text(size))
        self.refused: list[str] = []
        self.server = MonitoringServer(policy, registry, on_refused=self.refused.append, **more)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE_S)

    def said(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        with self.connect() as client:
            client.sendall(request)
            return answer_of(client)


@contextlib.contextmanager
def serving(policy: HttpPolicy = ANY_PORT, size: int = 10, **more: Any) -> Iterator[Running]:
    running = Running(replace(policy, port=0), size, **more)
    running.server.start()
    try:
        yield running
    finally:
        running.server.stop()


def answer_of(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) up to the end of the connection; (0, {}, b"") where it ends without an answer."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while chunk := client.recv(1 << 20):
            data += chunk
    if not data:
        return 0, {}, b""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


def request(path: str = "/metrics", *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode("latin-1")


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def plain() -> Iterator[Running]:
    with serving(ready={"ingest": lambda: False}) as running:
        yield running


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (request(method="POST"), 405, "method"),
        (request(method="PUT"), 405, "method"),
        (request(method="DELETE"), 405, "method"),
        (request(method="OPTIONS"), 405, "method"),
        (request(method="TRACE"), 405, "method"),
        (request(method="get"), 400, "malformed"),
        (request("/metrics", "Content-Length: 5") + b"hello", 413, "body"),
        (request("/metrics", "Content-Length: 99999999999") + b"x" * 50_000, 413, "body"),
        (request("/metrics", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 413, "body"),
        (request("/metrics", "Content-Length: 0", "Content-Length: 5"), 400, "malformed"),
        (request("/" + "x" * 3_000), 431, "too_large"),
        (request("/metrics", *[f"X-{number}: y" for number in range(70)]), 400, "malformed"),
        (request("/metrics", *[f"X-{number}: {'y' * 400}" for number in range(50)]), 431, "too_large"),
        (request("/metrics", "X: " + "y" * 20_000), 431, "too_large"),
        (b"x" * 200_000, 431, "too_large"),
        (b"\r\n\r\n", 400, "malformed"),
        (b"\n\r\n\r\n", 400, "malformed"),
        (b"GET /metrics\r\n\r\n", 400, "malformed"),
        (b"GET /metrics HTTP/2.0\r\n\r\n", 400, "malformed"),
        (b"GET  /metrics HTTP/1.1\r\n\r\n", 400, "malformed"),
        (b"GET /met\x00rics HTTP/1.1\r\n\r\n", 400, "malformed"),
        (b"GET http://elsewhere/metrics HTTP/1.1\r\n\r\n", 400, "malformed"),
        (b"GET /metrics HTTP/1.1\nHost: x\r\n\r\n", 400, "malformed"),
        (request("/metrics", "A: b", " folded"), 400, "malformed"),
        (request("/metrics", "A : b"), 400, "malformed"),
        (request("/metrics", "A: b\x01"), 400, "malformed"),
        (request("/metrics", "Authorization: a", "Authorization: b"), 400, "malformed"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "malformed"),
    ],
)
def test_what_no_scraper_sends_is_refused_with_a_status_and_counted(
    plain: Running, sent: bytes, status: int, reason: str
) -> None:
    before = len(plain.refused)
    said, headers, body = plain.said(sent)
    assert said == status
    assert plain.refused[before:] == [reason]
    assert ("Allow" in headers) == (status == 405)
    assert headers.items() >= {**SECURITY, "Connection": "close"}.items()
    assert "Server" not in headers
    assert body == f"{status} {HTTPStatus(status).phrase}\n".encode(), "nothing of what was sent is said again"


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/nowhere", "/../../etc/passwd"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_every_answer_ends_the_connection_and_gives_a_browser_nothing_to_do(
    plain: Running, path: str, method: str
) -> None:
    status, headers, body = plain.said(request(path, method=method))
    assert status == (405 if method == "POST" else {"/metrics": 200, "/-/healthy": 200, "/-/ready": 503}.get(path, 404))
    assert headers.items() >= SECURITY.items()
    assert headers["Connection"] == "close"
    assert "Server" not in headers
    if method == "HEAD":
        assert (body, int(headers["Content-Length"]) > 0) == (b"", True)
    else:
        assert len(body) == int(headers["Content-Length"])


def test_a_second_request_on_a_connection_is_not_read(plain: Running) -> None:
    _, headers, body = plain.said(request("/-/healthy") + request("/metrics"))
    assert (len(body), body) == (int(headers["Content-Length"]), b"healthy\n")


def test_who_sends_its_head_too_slowly_is_cut_off() -> None:
    with serving(HttpPolicy(head_timeout_s=0.2)) as running:
        with running.connect() as silent:
            assert answer_of(silent)[0] == 0
        with running.connect() as dripping, contextlib.suppress(ConnectionError):
            for byte in request("/metrics", "X: " + "y" * 2_000):
                dripping.send(bytes([byte]))
                time.sleep(0.005)
        eventually(lambda: running.refused == ["too_slow", "too_slow"])
        assert running.said(request())[0] == 200


def test_a_connection_without_a_request_is_a_probe_and_no_refusal() -> None:
    with serving() as running:
        running.connect().close()
        assert running.said(request())[0] == 200
        assert running.refused == []


def test_one_client_too_many_is_turned_away_at_once_and_served_when_there_is_room() -> None:
    with serving(HttpPolicy(max_clients=2, head_timeout_s=PATIENCE_S)) as running:
        idle = [running.connect(), running.connect()]
        # Accepted is what the operating system took; the server may be a moment behind.
        eventually(lambda: running.said(request())[0] == 503)
        assert set(running.refused) == {"too_many_clients"}
        idle.pop().close()
        eventually(lambda: running.said(request())[0] == 200)
        idle.pop().close()


LARGE = 30_000_000  # more than the buffers of both sockets take


def test_who_takes_a_large_answer_holds_one_scrape_and_no_more() -> None:
    policy = HttpPolicy(max_scrapes=1, answer_timeout_s=PATIENCE_S)
    with serving(policy, size=LARGE) as running:
        with running.connect() as slow:
            slow.sendall(request())
            assert slow.recv(12) == b"HTTP/1.1 200"  # it has the only slot now
            status, headers, _ = running.said(request())
            assert (status, headers["Retry-After"]) == (503, "5")
            assert running.said(request("/-/healthy"))[0] == 200, "probes are answered all the same"
        eventually(lambda: running.said(request("/metrics", "Accept-Encoding: gzip"))[0] == 200)
        assert set(running.refused) == {"too_many_scrapes"}


def test_who_takes_its_answer_too_slowly_is_cut_off() -> None:
    with serving(HttpPolicy(answer_timeout_s=0.2), size=LARGE) as running, running.connect() as slow:
        slow.sendall(request())
        eventually(lambda: running.refused == ["too_slow"])
        taken = 0
        with contextlib.suppress(ConnectionError):
            while chunk := slow.recv(1 << 20):
                taken += len(chunk)
        assert taken < LARGE


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


BOTH = HttpPolicy(bearer_token="0123456789abcdef", basic_auth=("prometheus", "pässw0rd"))


@pytest.fixture(scope="module")
def guarded() -> Iterator[Running]:
    with serving(BOTH, ready={"ingest": lambda: False}) as running:
        yield running


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer 0123456789abcdef",
        "authorization: bearer  0123456789abcdef ",
        basic("prometheus", "pässw0rd"),
    ],
)
def test_either_credential_opens_the_metrics_and_the_names_of_the_parts(guarded: Running, line: str) -> None:
    assert guarded.said(request("/metrics", line))[0] == 200
    assert guarded.said(request("/-/ready", line))[2] == b"not ready: ingest\n"


@pytest.mark.parametrize(
    "line",
    [
        "X: y",
        "Authorization: ",
        "Authorization: Bearer",
        "Authorization: Bearer 0123456789abcde",
        "Authorization: Bearer 0123456789abcdefg",
        "Authorization: Basic 0123456789abcdef",
        "Authorization: 0123456789abcdef",
        "Authorization: Bearer \xe9\xff",
        "Authorization: Basic !!!",
        basic("prometheus", ""),
        basic("prometheus", "passw0rd"),
        basic("", "pässw0rd"),
        basic("prometheus:pässw0rd", ""),
    ],
)
def test_without_them_there_is_a_challenge_and_no_name(guarded: Running, line: str) -> None:
    before = len(guarded.refused)
    status, headers, body = guarded.said(request("/metrics", line))
    assert (status, body) == (401, b"401 Unauthorized\n")
    assert headers["WWW-Authenticate"] == 'Bearer realm="stream-monitor", Basic realm="stream-monitor"'
    assert guarded.refused[before:] == ["unauthorized"]
    assert guarded.said(request("/-/healthy", line))[::2] == (200, b"healthy\n")
    assert guarded.said(request("/-/ready", line))[::2] == (503, b"not ready\n")


def test_one_credential_is_not_the_others() -> None:
    token_only = Access(HttpPolicy(bearer_token="0123456789abcdef"))
    assert token_only.challenge == 'Bearer realm="stream-monitor"'
    assert token_only.admits("Bearer 0123456789abcdef")
    assert not token_only.admits(basic("prometheus", "pässw0rd").removeprefix("Authorization: "))
    assert "0123456789abcdef" not in repr(BOTH)
    assert "pässw0rd" not in repr(BOTH)


def over_tls(running: Running, *, certificate: bool = False) -> int:
    context = ssl.create_default_context(cafile=str(TLS / "ca.pem"))
    if certificate:
        context.load_cert_chain(TLS / "client.pem", TLS / "client.key")
    with running.connect() as client, context.wrap_socket(client, server_hostname="localhost") as wrapped:
        wrapped.sendall(request())
        return answer_of(wrapped)[0]


def test_with_tls_it_speaks_tls_alone() -> None:
    with serving(HttpPolicy(tls=SERVER_TLS, head_timeout_s=PATIENCE_S)) as running:
        assert running.server.url.startswith("https://")
        assert over_tls(running) == 200
        assert running.said(request())[0] == 0
        eventually(lambda: running.refused == ["tls"])


def test_an_unfinished_handshake_is_a_client_that_is_counted_and_cut_off() -> None:
    with serving(HttpPolicy(tls=SERVER_TLS, max_clients=1, head_timeout_s=PATIENCE_S)) as running, running.connect():
        eventually(lambda: running.said(b"x")[0] == 0 and "too_many_clients" in running.refused)
    with serving(HttpPolicy(tls=SERVER_TLS, head_timeout_s=0.1)) as running, running.connect():
        eventually(lambda: running.refused == ["too_slow"])


def test_with_an_authority_only_its_clients_are_heard() -> None:
    with serving(HttpPolicy(tls=replace(SERVER_TLS, client_ca=TLS / "ca.pem"))) as running:
        assert over_tls(running, certificate=True) == 200
        with contextlib.suppress(ssl.SSLError, ConnectionError):  # TLS 1.3 tells the client after its handshake
            assert over_tls(running) == 0
        eventually(lambda: running.refused == ["tls"])


@pytest.mark.parametrize(
    "tls",
    [
        TlsPolicy(TLS / "none.pem", TLS / "server.key"),
        TlsPolicy(TLS / "server.pem", TLS / "client.key"),
        TlsPolicy(TLS / "server.pem", TLS / "README.md"),
        TlsPolicy(TLS / "server.pem", TLS / "locked.key"),
        replace(SERVER_TLS, client_ca=TLS / "README.md"),
    ],
)
def test_files_that_make_no_tls_are_one_sentence_and_nobody_is_asked_for_a_password(tls: TlsPolicy) -> None:
    with pytest.raises(SetupError, match=r"prometheus\.tls cannot be used \(.*→ name readable PEM files"):
        Running(HttpPolicy(tls=tls), 1)


_BYTES = st.binary(max_size=300)
_TARGETS = st.text(max_size=200).map(lambda text: f"GET {text} HTTP/1.1\r\nHost: x".encode())
_NAMES = st.sampled_from(
    ["Accept", "Accept-Encoding", "Authorization", "Connection", "Content-Encoding", "Content-Length", "Expect",
     "Host", "Transfer-Encoding", "Upgrade", "X"]
)  # fmt: skip
_VALUES = st.one_of(
    st.sampled_from(["100-continue", "upgrade", "websocket", "h2c", "chunked", "gzip", "identity", "1", "keep-alive"]),
    st.from_regex(r"[ -~]{0,20}", fullmatch=True),
)
_METHODS = st.sampled_from(["GET", "GET", "HEAD", "POST", "CONNECT", "PRI", "QUERY"])
_HEADERS = st.lists(st.builds("{}: {}".format, _NAMES, _VALUES), max_size=6)
_REQUESTS = st.builds(
    lambda method, lines: request("/metrics", *lines, method=method).removesuffix(b"\r\n\r\n"), _METHODS, _HEADERS
)


@pytest.mark.parametrize("line", ["a:" + " " * 32_000 + "\0", "a:b" + "\t" * 32_000 + "c", " " * 32_000 + ":"])
def test_a_head_full_of_blanks_is_read_in_no_time(line: str) -> None:
    """The monitor's threads stand still while it is read: a pattern that tries all ways to cut it took 15 s."""
    with serving(HttpPolicy(max_head_bytes=1 << 16)) as running:
        began = time.perf_counter()
        assert running.said(request("/-/healthy", line))[0] in (200, 400)
        assert time.perf_counter() - began < 5.0


@settings(max_examples=150, deadline=None)
@given(st.one_of(_BYTES, _TARGETS, _REQUESTS))
def test_whatever_is_sent_as_a_head_is_answered_or_refused_at_once(plain: Running, head: bytes) -> None:
    before, started = len(plain.refused), time.monotonic()
    status, headers, _ = plain.said(head + b"\r\n\r\n")
    assert status in (200, 400, 404, 405, 413, 431)
    assert headers.items() >= {**SECURITY, "Connection": "close"}.items()
    assert len(plain.refused) - before == (status not in (200, 404))
    assert time.monotonic() - started < PATIENCE_S


def test_who_says_its_last_word_before_the_answer_gets_it(plain: Running) -> None:
    with plain.connect() as client:
        client.sendall(request("/-/healthy"))
        client.shutdown(socket.SHUT_WR)
        assert answer_of(client)[2] == b"healthy\n"


@pytest.mark.parametrize("accept", ["text/plain;version=abc", "application/openmetrics-text;version=1.x", "\xff\xfe"])
def test_an_accept_header_that_makes_no_sense_is_answered_with_text(plain: Running, accept: str) -> None:
    status, headers, body = plain.said(request("/metrics", f"Accept: {accept}"))
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/plain")
    assert b"a_gauge 1.0" in body


def test_half_a_head_is_counted() -> None:
    with serving() as running:
        with running.connect() as client:
            client.sendall(b"GET /met")
            client.shutdown(socket.SHUT_WR)
            answer_of(client)
        eventually(lambda: running.refused == ["malformed"])


def test_who_talks_on_after_a_refusal_is_cut_off(plain: Running) -> None:
    with plain.connect() as client, contextlib.suppress(ConnectionError):
        client.sendall(request(method="POST"))
        for _ in range(1_000):
            client.sendall(b"x" * 65_536)
        pytest.fail("64 MB were taken")


def test_a_scrape_that_fails_says_no_more_than_that() -> None:
    class Broken(Collector):
        def collect(self) -> Iterable[Metric]:
            raise RuntimeError("what only the log may say")

    with serving() as running:
        running.server._registry.register(Broken())
        status, headers, body = running.said(request())
        assert (status, body) == (500, b"500 Internal Server Error\n")
        assert headers.items() >= SECURITY.items()
        assert running.said(request("/-/healthy"))[0] == 200


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("br", False),
        ("", False),
    ],
)
def test_gzip_is_sent_to_who_names_it(value: str, accepted: bool) -> None:
    assert accepts_gzip(value) is accepted
