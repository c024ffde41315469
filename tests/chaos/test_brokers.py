"""Each fault of the brokers by itself, on three brokers of its own; every test prints the seed that repeats it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.cluster import Cluster, running_cluster
from tests.broker.source import NoBroker
from tests.chaos import faults_brokers as faults
from tests.chaos.registry import FAULTS
from tests.chaos.test_processes import field_of, proved, seed

__all__ = ["seed"]  # a fixture

pytestmark = [pytest.mark.broker, pytest.mark.chaos, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def brokers() -> Iterator[Cluster]:
    try:
        with running_cluster() as running:
            yield running
    except NoBroker as error:
        pytest.skip(str(error))


def test_a_broker_is_killed_and_counting_goes_on_without_it(brokers: Cluster, tmp_path: Path, seed: int) -> None:
    with field_of(brokers.bootstrap, tmp_path, seed, brokers=brokers) as field:
        for _ in range(2):
            field.play(FAULTS["kill-broker"])
        assert proved(field, seed).strikes.total() == 2


def test_a_broker_is_killed_amid_an_open_transaction(brokers: Cluster, tmp_path: Path, seed: int) -> None:
    with field_of(brokers.bootstrap, tmp_path, seed, brokers=brokers) as field:
        field.play(FAULTS["kill-broker-in-transaction"])
        assert proved(field, seed).strikes.total() == 1
    assert field.strikes[0].left_open


def test_all_brokers_are_away_for_longer_than_a_transaction_may_take(
    brokers: Cluster, tmp_path: Path, seed: int
) -> None:
    with field_of(brokers.bootstrap, tmp_path, seed, brokers=brokers) as field:
        field.play(FAULTS["all-brokers-away"])
        verdict = proved(field, seed)
    assert verdict.in_transaction.total() == 1, "the broker gave the transaction up; what it held was counted later"


def test_every_fault_of_the_brokers_has_its_test() -> None:
    here = Path(__file__).read_text()
    names = [name for name, each in FAULTS.items() if each.play.__module__ == faults.__name__]
    assert names
    assert all(f'"{name}"' in here for name in names)
