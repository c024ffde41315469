"""A Kafka broker in a container, where a Docker engine answers.

The container listens on the same free port inside and outside, so its address needs no second step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.broker.jars import free_ports
from tests.broker.source import KAFKA_VERSION, Broker, SourceUnavailable, properties, wait_until_answering

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
CONTROLLER_PORT = 19093


@contextmanager
def docker_broker() -> Iterator[Broker]:
    _require_engine()
    from testcontainers.core.container import DockerContainer

    (port,) = free_ports(1)
    container = DockerContainer(IMAGE).with_bind_ports(port, port).with_envs(**container_environment(port))
    try:
        container.start()
    except Exception as error:  # pulling, starting and the reaper all fail in ways of their own
        raise SourceUnavailable(f"Docker could not start {IMAGE} ({type(error).__name__}: {error})") from error
    try:
        bootstrap = f"127.0.0.1:{port}"
        wait_until_answering({"bootstrap.servers": bootstrap}, timeout_s=90)
        yield Broker(bootstrap, f"{IMAGE} in Docker")
    finally:
        container.stop()


def container_environment(port: int) -> dict[str, str]:
    """The properties as the image wants them: KAFKA_ and underscores for dots."""
    settings = properties(port=port, controller_port=CONTROLLER_PORT, log_dir="/tmp/kraft-logs")
    # The image formats its storage without --standalone, so the quorum is named by voters.
    settings.pop("controller.quorum.bootstrap.servers")
    settings["controller.quorum.voters"] = f"1@localhost:{CONTROLLER_PORT}"
    settings["listeners"] = f"PLAINTEXT://:{port},CONTROLLER://:{CONTROLLER_PORT}"
    return {"KAFKA_" + key.upper().replace(".", "_"): value for key, value in settings.items()}


def _require_engine() -> None:
    try:
        import docker

        client = docker.from_env(timeout=5)
    except Exception as error:  # no package, no socket, no permission: all mean the same here
        raise SourceUnavailable("no Docker engine answers") from error
    try:
        client.ping()
    except Exception as error:
        raise SourceUnavailable("no Docker engine answers") from error
    finally:
        client.close()
