"""profile build and show, from NDJSON and from CSV."""

import csv
import json
import random
from pathlib import Path

import pytest

from stream_monitor.reference.features import CategoricalFeature, NumericFeature
from stream_monitor.reference.profile import Profile
from tests.cli.conftest import Run
from tests.cli.files import label, prediction, write_config, write_inputs, write_ndjson


def build(run: Run, folder: Path, data: Path, *more: object, config: str = "{}") -> Profile:
    file = write_config(folder, reference=config)
    result = run("profile", "build", data, "-c", file, "--model", "credit", "-o", folder / "credit.json", *more)
    assert result.exit_code == 0, result.stderr
    return Profile.from_json((folder / "credit.json").read_bytes())


def test_events_with_actuals_become_a_profile_that_the_config_accepts(run: Run, tmp_path: Path) -> None:
    reference, _, _ = write_inputs(tmp_path)
    profile = build(run, tmp_path, reference)
    assert (profile.model_name, profile.n, profile.positive_class) == ("credit", 1_000, "1")
    assert isinstance(profile.feature("income"), NumericFeature)
    assert isinstance(profile.feature("region"), CategoricalFeature)
    assert profile.output is not None
    assert profile.output.n == 1_000
    assert list(profile.score_edges) == ["1"]
    assert run("validate", "-c", write_config(tmp_path)).exit_code == 0


def test_a_profile_is_for_its_owner_alone_and_a_file_without_end_is_none(run: Run, tmp_path: Path) -> None:
    reference, _, _ = write_inputs(tmp_path)
    config, profile = write_config(tmp_path, reference="{}"), tmp_path / "credit.json"
    assert run("profile", "build", reference, "-c", config, "--model", "credit", "-o", profile).exit_code == 0
    assert profile.stat().st_mode & 0o777 == 0o600
    said = run("profile", "show", "/dev/zero")
    assert said.exit_code == 1
    assert "a profile has at most 67108864 bytes" in said.stderr


def test_the_build_prints_the_types_it_guessed(run: Run, tmp_path: Path) -> None:
    reference, _, _ = write_inputs(tmp_path)
    file = write_config(tmp_path, reference="{}")
    text = run(
        "profile", "build", reference, "-c", file, "--model", "credit", "-o", tmp_path / "credit.json"
    ).stdout.splitlines()
    assert any(line.startswith("income") and "numeric" in line for line in text)
    assert any(line.startswith("region") and "categorical" in line for line in text)
    assert text[-2:] == ["", f"written to {tmp_path / 'credit.json'}"]
    assert run("profile", "show", tmp_path / "credit.json").stdout.splitlines() == text[:-2]


def test_a_guess_can_be_overruled(run: Run, tmp_path: Path) -> None:
    rng = random.Random(1)
    events = [{**prediction(i, rng), "features": {"grade": i % 3}} for i in range(100)]
    profile = build(run, tmp_path, write_ndjson(tmp_path / "d.ndjson", events), "--categorical", "grade")
    feature = profile.feature("grade")
    assert isinstance(feature, CategoricalFeature)
    assert sorted(feature.categories) == ["0", "1", "2"]


def test_a_csv_gives_the_same_profile_as_the_events(run: Run, tmp_path: Path) -> None:
    reference, _, _ = write_inputs(tmp_path)
    from_events = build(run, tmp_path, reference)
    rows = [json.loads(line) for line in reference.read_text().splitlines()]
    with (tmp_path / "reference.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["income", "region", "p", "truth"])
        for row in rows:
            features = row["features"]
            writer.writerow(
                [features["income"], features["region"], row["prediction"]["score"], row["actual"]["label"]]
            )
    from_csv = build(run, tmp_path, tmp_path / "reference.csv", "--score", "p", "--actual", "truth")
    assert from_csv.id == from_events.id


def test_csv_features_can_be_chosen_and_empty_cells_are_missing(run: Run, tmp_path: Path) -> None:
    lines = ["a,b,c,p", *(f"{i},{'' if i % 4 else 'x'},9,0.{i % 10}" for i in range(100))]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    profile = build(run, tmp_path, tmp_path / "d.csv", "--features", "b,a", "--score", "p")
    assert [feature.name for feature in profile.features] == ["b", "a"]
    assert profile.features[0].missing == 75


def test_lines_that_are_no_events_and_other_models_are_counted(run: Run, tmp_path: Path) -> None:
    rng = random.Random(1)
    events = [prediction(i, rng) for i in range(60)] + [{**prediction(99, rng), "model_name": "other"}]
    data = write_ndjson(tmp_path / "d.ndjson", events)
    data.write_text(data.read_text() + "{nonsense\n\n")
    result = run(
        "profile", "build", data, "-c", write_config(tmp_path, reference="{}"),
        "--model", "credit", "-o", tmp_path / "credit.json",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "1 lines were no events" in result.stderr
    assert "1 events of other models" in result.stderr


def test_label_events_among_the_predictions_are_named_as_such(run: Run, tmp_path: Path) -> None:
    rng = random.Random(1)
    events = [prediction(i, rng) for i in range(60)]
    data = write_ndjson(tmp_path / "d.ndjson", [*events, *(label(event, rng) for event in events)])
    words = ("profile", "build", data, "-c", write_config(tmp_path, reference="{}"), "-o", tmp_path / "out.json")
    result = run(*words, "--model", "credit")
    assert result.exit_code == 0
    assert "60 label events were left out" in result.stderr
    assert "no events" not in result.stderr


@pytest.mark.parametrize(
    ("columns", "row", "options", "said"),
    [
        ("a,p,y", "1,0.5,0", [], "no row has a prediction"),
        ("a,p,y", "1,high,0", ["--score", "p"], "no row has a prediction of its kind"),
        ("a,p,y", "1,0.5,no", ["--score", "p", "--actual", "y"], "none of 40 true classes is the positive_class '1'"),
        ("a,p,y", "1,50,1", ["--score", "p", "--actual", "y"], "scores reach from 50 to 50"),
        ("a,p,y", "1 EUR,0.5,1", ["--score", "p", "--numeric", "a"], "feature a has no value of its kind"),
        ("a,p,y", "1,0.5,1", ["--score", "p", "--actual", "y"], None),
    ],
)
def test_a_doubtful_profile_is_written_and_said_to_be_doubtful(
    run: Run, tmp_path: Path, columns: str, row: str, options: list[str], said: str | None
) -> None:
    data = tmp_path / "d.csv"
    data.write_text("\n".join([columns, *[row] * 40]))
    words = ("profile", "build", data, "-c", write_config(tmp_path, reference="{}"), "-o", tmp_path / "out.json")
    result = run(*words, "--model", "credit", *options)
    assert result.exit_code == 0
    assert (f"Look again: {said}" in result.stderr) if said else (result.stderr == "")


def test_a_feature_of_ever_new_texts_is_said_to_be_unmeasured(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "d.csv"
    data.write_text("a,p\n" + "".join(f"id{i},0.5\n" for i in range(2_000)))
    words = ("profile", "build", data, "-c", write_config(tmp_path, reference="{}"), "-o", tmp_path / "out.json")
    result = run(*words, "--model", "credit", "--score", "p")
    assert "nearly all texts of feature a differ" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["d.ndjson", "--model", "other"], 2, "accepted: credit"),
        (["none.ndjson", "--model", "credit"], 2, "There is no file"),
        (["d.ndjson", "--model", "credit", "--score", "p"], 2, "does not end in .csv"),
        (["d.ndjson", "--model", "credit", "--numeric", "nope"], 2, "There is no feature nope"),
        (["d.csv", "--model", "credit", "--score", "nope"], 2, "no column nope"),
        (["few.csv", "--model", "credit"], 1, "at least 30 rows"),
        (["ragged.csv", "--model", "credit"], 1, "line 2 has 1 cells"),
        (["twice.csv", "--model", "credit"], 1, "same name: a"),
        (["empty.csv", "--model", "credit"], 1, "is empty"),
        (["latin.csv", "--model", "credit"], 1, "not UTF-8"),
        (["mac.csv", "--model", "credit"], 1, "line 1 is no line of a CSV"),
        (["huge.csv", "--model", "credit"], 1, "line 2 is no line of a CSV: field larger than"),
        (["garbage.ndjson", "--model", "credit"], 1, "no usable event"),
    ],
)
def test_data_that_cannot_make_a_profile_is_one_sentence(
    run: Run, tmp_path: Path, words: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(1)
    write_ndjson(tmp_path / "d.ndjson", [prediction(i, rng) for i in range(40)])
    (tmp_path / "d.csv").write_text("a,p\n" + "1,0.5\n" * 40)
    (tmp_path / "few.csv").write_text("a,p\n1,0.5\n")
    (tmp_path / "ragged.csv").write_text("a,p\n1\n")
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "latin.csv").write_bytes(b"a,p\n\xe9,1\n")
    (tmp_path / "mac.csv").write_bytes(b"a,p\r" + b"1,0.5\r" * 40)
    (tmp_path / "huge.csv").write_text(f"a,p\n{'x' * 200_000},1\n")
    (tmp_path / "garbage.ndjson").write_text("nonsense\n")
    monkeypatch.chdir(tmp_path)
    result = run("profile", "build", *words, "-c", write_config(tmp_path, reference="{}"), "-o", "out.json")
    assert result.exit_code == code
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [("name: credit", "a profile whose model is credit"), ("task: binary", "whose task is binary")],
)
def test_a_profile_of_another_model_is_refused(run: Run, tmp_path: Path, change: str, said: str) -> None:
    reference, _, _ = write_inputs(tmp_path)
    build(run, tmp_path, reference)
    file = write_config(tmp_path)
    other = {"name: credit": "name: other", "task: binary": "task: regression"}[change]
    text = file.read_text().replace(change, other)
    file.write_text(text.replace('    positive_class: "1"\n', "") if "regression" in other else text)
    result = run("validate", "-c", file)
    assert result.exit_code == 78
    assert said in result.stderr
