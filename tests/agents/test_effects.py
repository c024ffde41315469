"""The two effects that come with the monitor: a webhook, to a real local server, and the log."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from structlog.testing import capture_logs

from stream_monitor.agents.log import log_alert
from stream_monitor.agents.policy import WebhookPolicy
from stream_monitor.agents.reaction import Refused
from stream_monitor.agents.webhook import ReceiverFailed, webhook
from stream_monitor.events.alert import AlertEvent
from tests.agents.receiver import Receiver, alert


def post(policy: WebhookPolicy, event: AlertEvent) -> None:
    async def once() -> None:
        await webhook(policy)(event)

    asyncio.run(once())


def test_the_body_is_the_alert_event_and_the_headers_carry_its_id() -> None:
    event = alert()
    with Receiver() as receiver:
        post(WebhookPolicy(receiver.url + "/hook?team=risk", headers={"Authorization": "Bearer s3cret"}), event)
    (request,) = receiver.requests
    assert request.path == "/hook"
    assert request.body == json.loads(event.encode())
    said = {key.lower(): value for key, value in request.headers.items()}
    assert said["content-type"] == "application/json"
    assert said["ce-id"] == said["idempotency-key"] == "id-1"
    assert (said["ce-specversion"], said["ce-type"]) == ("1.0", "streammonitor.alert.v1")
    assert said["ce-source"] == "/stream-monitor/credit%20%C3%BC"
    assert said["authorization"] == "Bearer s3cret"


def test_a_pending_alert_is_not_sent_unless_asked_for() -> None:
    with Receiver() as receiver:
        post(WebhookPolicy(receiver.url), alert("p", "pending"))
        post(WebhookPolicy(receiver.url, states=frozenset({"pending"})), alert("q", "pending"))
        post(WebhookPolicy(receiver.url), alert("r", "resolved"))
    assert receiver.ids == ["q", "r"]


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_an_answer_that_may_get_better_is_a_failed_attempt(status: int) -> None:
    with Receiver(lambda number: status) as receiver, pytest.raises(ReceiverFailed, match=f"answered {status}"):
        post(WebhookPolicy(receiver.url), alert())


@pytest.mark.parametrize("status", [400, 401, 404, 301, 307])
def test_an_answer_that_stays_is_a_refusal_and_a_redirect_is_never_followed(status: int) -> None:
    with Receiver(lambda number: status) as receiver, pytest.raises(Refused, match=f"answered {status}"):
        post(WebhookPolicy(receiver.url + "/hook"), alert())
    assert [request.path for request in receiver.requests] == ["/hook"]


def test_a_receiver_that_is_not_there_or_too_slow_is_named_without_the_secrets_of_its_url() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(ReceiverFailed) as caught:
            post(WebhookPolicy(f"http://user:pass@127.0.0.1:{port}/token"), alert())
    assert str(caught.value) == f"127.0.0.1:{port} cannot be reached (ClientConnectorError)"
    with (
        Receiver(delay_s=1.0) as receiver,
        pytest.raises(ReceiverFailed, match=r"did not answer within 0\.05 s"),
    ):
        post(WebhookPolicy(receiver.url, timeout_s=0.05), alert())


@pytest.mark.parametrize("url", ["ftp://host/", "host/path", "http://", "file:///etc/passwd", ""])
def test_an_address_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must start with http:// or https://"):
        WebhookPolicy(url)


def test_a_policy_does_not_print_its_secrets() -> None:
    policy = WebhookPolicy("https://chat/hooks/t0ken", headers={"Authorization": "s3cret"})
    assert "t0ken" not in repr(policy)
    assert "s3cret" not in repr(policy)


@pytest.mark.parametrize(("state", "level"), [("firing", "warning"), ("resolved", "info"), ("pending", "info")])
def test_the_log_line_says_what_fires_at_the_level_of_its_severity(state: str, level: str) -> None:
    with capture_logs() as logs:
        asyncio.run(log_alert(alert(state=state)))
    (line,) = logs
    assert (line["log_level"], line["event"]) == (level, f"alert {state}")
    assert line["labels"]["alertname"] == "input-drift"
    assert line["summary"].startswith("csi of income")
