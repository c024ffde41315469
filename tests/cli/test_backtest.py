"""backtest: the two folds over files, its outputs and its exit codes."""

import json
from pathlib import Path

import pytest

from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent
from tests.cli.conftest import Run
from tests.cli.files import write_config, write_inputs

RULES = "rules: [{name: input-drift, metric: csi, above: 0.2, for: 2, severity: warning}]\n"


@pytest.fixture
def folder(run: Run, tmp_path: Path) -> Path:
    """A folder with a config, a profile and inputs whose `income` shifts at half time."""
    reference, _, _ = write_inputs(tmp_path, shift=30.0)
    first = write_config(tmp_path, reference="{}", more=RULES)
    run("profile", "build", reference, "-c", first, "--model", "credit", "-o", tmp_path / "credit.json")
    write_config(tmp_path, more=RULES)
    return tmp_path


def backtest(run: Run, folder: Path, *more: object) -> tuple[int, str, str]:
    result = run(
        "backtest", "-c", folder / "monitor.yaml", "--predictions", folder / "predictions.ndjson",
        "--labels", folder / "labels.ndjson", "-o", folder / "out", *more,
    )  # fmt: skip
    return result.exit_code, result.stdout, result.stderr


def metrics(folder: Path) -> list[MetricEvent]:
    return [MetricEvent.decode(line) for line in (folder / "out" / "metrics.ndjson").read_bytes().splitlines()]


def test_every_prediction_is_in_exactly_one_window(run: Run, folder: Path) -> None:
    code, out, _ = backtest(run, folder)
    assert code == 0
    assert "2000 predictions, 2000 labels, 0 rejected" in out
    counted = {
        event.window.start: event.n
        for event in metrics(folder)
        if event.metric == "predictions" and not event.segment and event.model_version == "7"
    }
    assert sum(counted.values()) == 2_000


def test_the_shift_fires_the_alert_and_fail_on_turns_it_into_exit_3(run: Run, folder: Path) -> None:
    assert backtest(run, folder)[0] == 0
    alerts = [AlertEvent.decode(line) for line in (folder / "out" / "alerts.ndjson").read_bytes().splitlines()]
    assert any(alert.state == "firing" and alert.labels.get("feature") == "income" for alert in alerts)
    assert backtest(run, folder, "--fail-on", "warning")[0] == 3
    assert backtest(run, folder, "--fail-on", "info")[0] == 3
    assert backtest(run, folder, "--fail-on", "critical")[0] == 0


def test_nothing_but_the_outputs_is_left_even_after_a_run_that_was_killed(run: Run, folder: Path) -> None:
    left = folder / "out" / ".join.partial" / "0"
    left.mkdir(parents=True)
    (left / "CURRENT").write_text("of another run")
    code, out, _ = backtest(run, folder)
    assert code == 0
    assert "2000 predictions, 2000 labels, 0 rejected" in out
    outputs = {"metrics.ndjson", "alerts.ndjson", "dead-letters.ndjson"}
    assert {path.name for path in (folder / "out").iterdir()} == outputs


def test_rejected_lines_are_counted_and_kept(run: Run, folder: Path) -> None:
    with (folder / "predictions.ndjson").open("a") as out:
        out.write('{"model_name": "credit"}\n\nnonsense\n')
    _, out_text, _ = backtest(run, folder)
    assert "2 rejected" in out_text
    assert str(folder / "out" / "dead-letters.ndjson") in out_text
    letters = [json.loads(line) for line in (folder / "out" / "dead-letters.ndjson").read_text().splitlines()]
    assert {letter["reason"] for letter in letters} == {"missing_field", "malformed_json"}


def test_labels_may_be_left_out(run: Run, folder: Path) -> None:
    result = run(
        "backtest", "-c", folder / "monitor.yaml", "--predictions", folder / "predictions.ndjson", "-o", folder / "out"
    )
    assert result.exit_code == 0
    assert not any(event.metric == "accuracy" for event in metrics(folder))


def test_a_missing_input_is_a_usage_error_and_leaves_no_output(run: Run, folder: Path) -> None:
    (folder / "labels.ndjson").unlink()
    code, _, said = backtest(run, folder)
    assert code == 2
    assert "labels.ndjson" in said
    assert not (folder / "out").exists()


def test_input_without_one_usable_event_is_no_success(run: Run, folder: Path) -> None:
    (folder / "predictions.ndjson").write_text("income,score\n1,0.5\n")
    result = run(
        "backtest", "-c", folder / "monitor.yaml", "--predictions", folder / "predictions.ndjson", "-o", folder / "out"
    )
    assert result.exit_code == 1
    assert "none of the 2 lines is a usable event" in result.stderr


def test_labels_that_nothing_joins_are_said_to_be_unused(run: Run, folder: Path) -> None:
    file = folder / "monitor.yaml"
    file.write_text(file.read_text().replace("    labels: {join_window: 1h}\n", ""))
    _, out, _ = backtest(run, folder)
    assert "labels were read, but model credit has no `labels:`; no performance figures" in out.splitlines()
    assert "registered" not in out


def test_models_that_the_config_does_not_list_are_named(run: Run, folder: Path) -> None:
    file = folder / "monitor.yaml"
    assert "registered" not in backtest(run, folder)[1]
    file.write_text("")
    _, out, _ = backtest(run, folder)
    assert "models that registered themselves, without a reference: credit" in out.splitlines()
