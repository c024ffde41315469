"""What `python -m benches` runs, prints and exits with; the benches here measure nothing."""

from __future__ import annotations

import json

import pytest

from benches import __main__ as command_line
from benches import reference
from benches.harness import Options, interleaved, ratio, result

REFERENCE = {"short": {"speed": {"value": 1.0, "better": "higher"}}}


class FakeBench:
    def __init__(self, name: str, *, long: bool = False, speed: float = 1.0, fails: bool = False) -> None:
        self.name, self.about, self.long = name, f"about {name}", long
        self._speed, self._fails = speed, fails

    def run(self, options: Options) -> dict[str, object]:
        if self._fails:
            raise RuntimeError("no measurement")
        return result(
            figures={"n": options.count(10, quick=1)}, ratios={"speed": ratio(self._speed, "higher", must=0.5)}
        )


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    file = tmp_path / "reference.json"
    reference.write(REFERENCE, file)
    monkeypatch.setattr(command_line.reference, "read", lambda: json.loads(file.read_text()))
    monkeypatch.setattr(command_line.reference, "write", lambda found: file.write_text(json.dumps(found)))

    def run(*arguments: str, benches: list[FakeBench]):
        monkeypatch.setattr(command_line, "benches", lambda: {bench.name: bench for bench in benches})
        monkeypatch.setattr("sys.argv", ["benches", *arguments])
        code = command_line.main()
        captured = capsys.readouterr()
        return (
            code,
            [json.loads(line) for line in captured.out.splitlines()],
            captured.err,
            json.loads(file.read_text()),
        )

    return run


def test_all_but_the_long_ones_one_json_line_each(run):
    code, lines, _, _ = run(benches=[FakeBench("long", long=True), FakeBench("other"), FakeBench("short")])
    assert code == 0
    assert [line["bench"] for line in lines] == ["other", "short"]
    assert lines[0]["figures"] == {"n": 10}
    assert lines[0]["rounds"] == 5


def test_a_long_one_by_name(run):
    _, lines, _, _ = run("long", benches=[FakeBench("long", long=True), FakeBench("short")])
    assert [line["bench"] for line in lines] == ["long"]


def test_a_fall_is_said_and_exits_with_1(run):
    code, lines, said, _ = run("short", benches=[FakeBench("short", speed=0.84)])
    assert code == 1
    assert len(lines) == 1
    assert "short: speed is 0.84, -16% of the reference's 1" in said


def test_a_trial_run_compares_nothing(run):
    for trial in (["--quick"], ["--events", "5"]):
        code, _, _, _ = run("short", *trial, benches=[FakeBench("short", speed=0.1)])
        assert code == 0


def test_a_trial_run_judges_no_goal(run):
    _, _, said, _ = run("short", benches=[FakeBench("short")])
    assert "must ≥ 0.5: yes" in said
    _, _, said, _ = run("short", "--quick", benches=[FakeBench("short")])
    assert "must" not in said


def test_the_reference_is_renewed_on_request_only(run):
    _, _, _, kept = run("short", benches=[FakeBench("short", speed=2.0)])
    assert kept == REFERENCE
    code, _, _, renewed = run("short", "--write-reference", benches=[FakeBench("short", speed=0.5)])
    assert code == 0
    assert renewed == {"short": {"speed": {"value": 0.5, "better": "higher"}}}


def test_one_that_fails_does_not_keep_the_others_from_running(run):
    code, lines, said, _ = run(benches=[FakeBench("broken", fails=True), FakeBench("short")])
    assert code == 1
    assert [line["bench"] for line in lines] == ["short"]
    assert "broken: failed" in said


@pytest.mark.parametrize("arguments", [["nosuch"], ["--rounds", "0"], ["--quick", "--write-reference"]])
def test_usage_errors(run, arguments):
    with pytest.raises(SystemExit) as ended:
        run(*arguments, benches=[FakeBench("short")])
    assert ended.value.code == 2


def test_a_bench_is_a_file_with_run_and_is_not_imported(tmp_path):
    (tmp_path / "very_slow.py").write_text('"""Slow.\n\nMore."""\nimport nosuch\nLONG = True\ndef run(options): ...\n')
    (tmp_path / "quick.py").write_text('"""Quick."""\ndef run(options): ...\n')
    (tmp_path / "helper.py").write_text('"""No bench."""\ndef walk(): ...\n')
    found = command_line.benches(tmp_path)
    assert [(bench.name, bench.about, bench.long) for bench in found.values()] == [
        ("quick", "Quick.", False),
        ("very-slow", "Slow.", True),
    ]


def test_rounds_are_interleaved_and_every_second_goes_backwards():
    order: list[str] = []
    stages = {name: lambda number, name=name: order.append(f"{name}{number}") or number for name in "ab"}
    found = interleaved(Options(rounds=3), stages)
    assert order == ["a0", "b0", "b1", "a1", "a2", "b2"]
    assert found == {"a": [0, 1, 2], "b": [0, 1, 2]}
