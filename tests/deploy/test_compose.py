"""docker-compose.yml and the Dockerfile: everything that can be checked without a Docker engine."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from stream_monitor.app.config import load_config

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()

SCHEMA_VARIABLE = "STREAM_MONITOR_COMPOSE_SCHEMA"
# Where Debian's docker-compose package has it.
SCHEMA_PATHS = ("/usr/lib/python3/dist-packages/compose/config/compose_spec.json",)


def mounts(service: dict[str, Any]) -> list[list[str]]:
    return [volume.split(":") for volume in service.get("volumes", [])]


def test_it_is_valid_by_the_compose_schema() -> None:
    given = os.environ.get(SCHEMA_VARIABLE)
    found = [path for path in ([given] if given else SCHEMA_PATHS) if Path(path).exists()]
    if not found:
        pytest.skip(f"no compose schema (apt install docker-compose, or {SCHEMA_VARIABLE}=compose-spec.json)")
    jsonschema.Draft7Validator(json.loads(Path(found[0]).read_text())).validate(COMPOSE)


def test_the_services_are_those_of_the_whole_path() -> None:
    assert set(SERVICES) == {"kafka", "topics", "monitor", "producer", "prometheus", "grafana"}
    assert SERVICES["kafka"]["image"] == "apache/kafka:4.1.1"


def test_every_image_has_a_version_or_is_built_here() -> None:
    for name, service in SERVICES.items():
        assert re.search(r":(v?\d+\.\d+\.\d+|local)$", service["image"]), name
        if service["image"].endswith(":local"):
            build = service["build"]
            assert (ROOT / build["context"] / build["dockerfile"]).is_file()


def test_dependencies_are_services_and_wait_for_what_they_can_give() -> None:
    for name, service in SERVICES.items():
        depends = service.get("depends_on", {})
        assert set(depends) <= set(SERVICES), name
        for target, how in depends.items() if isinstance(depends, dict) else []:
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[target]["healthcheck"]
            if how["condition"] == "service_completed_successfully":
                assert SERVICES[target]["restart"] in ("no", "on-failure"), "else it never completes"


def test_what_is_mounted_exists_read_only_and_named_volumes_are_declared() -> None:
    used = set()
    for name, service in SERVICES.items():
        for source, _, *mode in mounts(service):
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name}: {source}"
                assert mode == ["ro"], f"{name}: {source}"
            else:
                used.add(source)
    assert used == set(COMPOSE["volumes"])


def test_nothing_listens_beyond_the_hosts_loopback_and_no_port_is_taken_twice() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len({port.split(":")[1] for port in published}) == len(published)


def test_kafkas_listeners_fit_together() -> None:
    environment = SERVICES["kafka"]["environment"]
    listeners = {each.split("://")[0] for each in environment["KAFKA_LISTENERS"].split(",")}
    advertised = {each.split("://")[0] for each in environment["KAFKA_ADVERTISED_LISTENERS"].split(",")}
    protocols = {each.split(":")[0] for each in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")}
    assert listeners == protocols == advertised | {environment["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert environment["KAFKA_INTER_BROKER_LISTENER_NAME"] in advertised
    port = environment["KAFKA_ADVERTISED_LISTENERS"].rsplit(":", 1)[1]
    assert f"127.0.0.1:{port}:{port}" in SERVICES["kafka"]["ports"]


def test_the_monitors_config_is_valid_and_meets_the_other_services() -> None:
    config = load_config(ROOT / "deploy/monitor.yml")
    internal = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")[0].removeprefix("INTERNAL://")
    assert config.kafka["bootstrap.servers"] == internal
    assert internal in SERVICES["producer"]["command"]
    assert str(config.state_dir) in [target for _, target, *_ in mounts(SERVICES["monitor"])]
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (target,) = scraped["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == f"monitor:{config.prometheus.port}"
    assert config.prometheus.host == "0.0.0.0", "else Prometheus, in another container, cannot reach it"
    assert config.prometheus.allow_unauthenticated, (
        "the only way to listen there without a token, which compose has not"
    )
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["monitor"]["ports"]), "so it stays on this machine"


def test_every_command_of_the_monitors_image_reads_the_config_that_is_mounted() -> None:
    for name in ("topics", "monitor", "producer"):
        command = SERVICES[name]["command"]
        flag = "--config" if name == "producer" else "-c"
        assert command[command.index(flag) + 1] in [target for _, target, *_ in mounts(SERVICES[name])]


def test_the_image_is_debian_based_runs_as_a_user_and_copies_files_that_exist() -> None:
    lines = [line.split() for line in DOCKERFILE.splitlines() if line and not line.startswith(("#", " "))]
    assert next(line[1] for line in lines if line[0] == "FROM").endswith("slim-bookworm")
    assert [line[1] for line in lines if line[0] == "USER"] == ["monitor"]
    copied = [source for line in lines if line[0] == "COPY" for source in line[1:-1]]
    assert all((ROOT / source).exists() for source in copied)
    assert "-c constraints.txt" in DOCKERFILE
    ignored = (ROOT / "deploy/Dockerfile.dockerignore").read_text().split()
    assert {f"!{source.removeprefix('./')}" for source in copied} <= set(ignored)
