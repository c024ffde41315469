"""What the config says about the endpoint and the webhook arrives in their policies."""

from pathlib import Path

import pytest

from stream_monitor.app.exporting import http_policy, react_policy
from stream_monitor.app.setup import Setup, load_setup
from stream_monitor.errors import ConfigError
from stream_monitor.export.policy import HttpPolicy, TlsPolicy
from stream_monitor.kafka.topics import TopicNames

TLS = Path(__file__).parents[1] / "export" / "tls"


def setup_of(folder: Path, text: str) -> Setup:
    (folder / "monitor.yaml").write_text(text)
    return load_setup(folder / "monitor.yaml")


def test_by_default_the_endpoint_is_on_loopback_and_open(tmp_path: Path) -> None:
    assert http_policy(setup_of(tmp_path, "")) == HttpPolicy("127.0.0.1", 9108)


def test_credentials_and_files_arrive_with_paths_from_the_configs_folder(tmp_path: Path) -> None:
    for name in ("server.pem", "server.key", "ca.pem"):
        (tmp_path / name).write_bytes((TLS / name).read_bytes())
    (tmp_path / "token").write_text("0123456789abcdef\n")
    policy = http_policy(
        setup_of(
            tmp_path,
            """
            prometheus:
              host: 0.0.0.0
              bearer_token_file: token
              basic_auth: {username: me, password: "12345678"}
              tls: {certificate: server.pem, key: server.key, client_ca: ca.pem}
            """,
        ),
        port=1,
    )
    tls = TlsPolicy(tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "ca.pem")
    assert policy == HttpPolicy("0.0.0.0", 1, bearer_token="0123456789abcdef", basic_auth=("me", "12345678"), tls=tls)


def test_files_that_make_no_tls_are_a_problem_of_the_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"prometheus\.tls: found .*No such file.*c\.pem"):
        setup_of(tmp_path, "prometheus: {tls: {certificate: c.pem, key: k.pem}}")


@pytest.mark.parametrize(
    ("headers", "sent"),
    [("{}", {"Authorization": "Bearer t0ken"}), ("{authorization: x}", {"authorization": "x"}), ("{A: b}", None)],
)
def test_a_webhooks_token_is_its_authorization_unless_a_header_says_it(
    tmp_path: Path, headers: str, sent: dict[str, str] | None
) -> None:
    setup = setup_of(tmp_path, f"react: {{webhook: {{url: http://x, bearer_token: t0ken, headers: {headers}}}}}")
    (webhook,) = react_policy(setup, TopicNames("p", None, ""), tmp_path).webhooks
    assert webhook.headers == (sent or {"Authorization": "Bearer t0ken", "A": "b"})
