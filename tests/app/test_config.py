"""A right config becomes one checked value; a wrong one lists everything that is wrong with it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_monitor.app.config import MonitorConfig, load_config, parse_config
from stream_monitor.errors import ConfigError, Problem
from stream_monitor.events.policy import Task
from tests.app.examples import CONTRACT


def parse(text: str) -> MonitorConfig:
    return parse_config(yaml.safe_load(text) or {})


def problems(text: str) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.exit_code == 78
    return caught.value.problems


def model(text: str) -> str:
    return f"models: [{{name: m, {text}}}]"


def test_the_example_of_the_contract_is_accepted() -> None:
    config = parse(CONTRACT)
    assert config.models[0].windows[1].slide == 300_000
    assert config.models[0].max_past == 604_800_000


def test_the_examples_of_the_readme_are_accepted() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert examples
    for example in examples:
        assert parse(example).models


def test_an_empty_config_is_a_whole_one() -> None:
    config = parse("")
    assert config.kafka == {"bootstrap.servers": "localhost:9092"}
    assert config.topics.prefix == "streammonitor."
    assert (config.prometheus.host, config.prometheus.port) == ("127.0.0.1", 9108)
    assert (config.flush_interval, config.early_flush_gap) == (1_000, 250)
    assert (config.idle_timeout, config.live_horizon, config.revision_interval) == (30_000, 86_400_000, 10_000)


def test_a_model_needs_only_its_name() -> None:
    found = parse("models: [{name: m}]").models[0]
    assert (found.kind_of_task, found.positive_class) == (Task.BINARY, "1")
    assert (found.max_future, found.min_samples, found.labels) == (60_000, 30, None)


def test_other_properties_keep_the_default_broker() -> None:
    assert parse("kafka: {client.id: me}").kafka["bootstrap.servers"] == "localhost:9092"


@pytest.mark.parametrize(("written", "name"), [("1", "1"), ("1.0", "1"), ("true", "true"), ("'yes'", "yes")])
def test_classes_become_canonical_text(written: str, name: str) -> None:
    assert parse(model(f"task: binary, positive_class: {written}")).models[0].positive_class == name


def test_aliases_may_be_spelled_in_any_yaml_type() -> None:
    found = parse(model("class_aliases: {1: good, false: bad, 'no': bad}")).models[0]
    assert found.class_aliases == {"1": "good", "false": "bad", "no": "bad"}


WRONG = [
    ("topicz: {}", "topicz", "an unknown key", "did you mean 'topics'?"),
    ("topics: {predictoins: p}", "topics.predictoins", "an unknown key", "did you mean 'predictions'?"),
    ("topics: {predictions: a b}", "topics.predictions", "'a b'", "a topic name"),
    ("topics: {labels: predictions}", "topics.labels", "'predictions'", "another topic"),
    ("models: 5", "models", "5", "a list of models"),
    ("models: [{}]", "models[0].name", "nothing", "a model name"),
    ("models: [7]", "models[0]", "7", "a mapping with keys name"),
    ("models: [{name: a}, {name: a}]", "models[1].name", "'a'", "no other"),
    (model("task: binari"), "models[0].task", "'binari'", "binary, multiclass or regression"),
    (model("task: binary"), "models[0].positive_class", "null", "a binary model must name it"),
    (model("task: regression, positive_class: 1"), "models[0].positive_class", "1", "no positive class"),
    (model("classes: [a, a]"), "models[0].classes", "['a', 'a']", "without repetition"),
    (model("classes: [a, b]"), "models[0].classes", "['a', 'b']", "the positive class, '1'"),
    (model("decision_threshold: 2"), "models[0].decision_threshold", "2", "from 0 to 1"),
    (model("score_of: best"), "models[0].score_of", "'best'", "positive or predicted"),
    (model("windows: []"), "models[0].windows", "[]", "1 to 20"),
    (model("windows: [{size: 5x}]"), "models[0].windows[0].size", "'5x'", "a duration such as"),
    (model("windows: [{size: 0}]"), "models[0].windows[0].size", "0", "more than 0"),
    (model("windows: [{size: null}]"), "models[0].windows[0].size", "null", "a duration such as"),
    (model("windows: [{slide: 5m}]"), "models[0].windows[0].size", "nothing", "a duration such as"),
    (model("windows: [{size: 1h, slide: 7m}]"), "models[0].windows[0].slide", "'7m'", "size, 1h, is a multiple"),
    (model("windows: [{size: 5m}, {size: 300}]"), "models[0].windows", "[{", "differ"),
    (model("max_out_of_order: null"), "models[0].max_out_of_order", "null", "a duration such as"),
    (model("max_past: -1"), "models[0].max_past", "-1", "from 0 to"),
    (model("segments: [tags.country]"), "models[0].segments[0]", "'tags.country'", "a list of lists"),
    (model("segments: [[country]]"), "models[0].segments", "[['country']]", "tags.country instead of country"),
    (model("segments: [[features.x]]"), "models[0].segments", "[['features.x']]", "by tags only"),
    (model("segments: [[tags.a, tags.a]]"), "models[0].segments", "[['tags.a', 'tags.a']]", "repetition"),
    (model("reference: {previous: true}"), "models[0].reference.previous", "true", "not available yet"),
    (model("reference: {seasonal: week}"), "models[0].reference.seasonal", "'week'", "not available yet"),
    (model("reference: {version: 3}"), "models[0].reference.version", "3", "not available yet"),
    (model("reference: {profile: a, bootstrap: {}}"), "models[0].reference.bootstrap", "{}", "not both"),
    (model("reference: {bootstrap: {events: 5}}"), "models[0].reference.bootstrap.events", "5", "100 to"),
    (model("labels: 24h"), "models[0].labels", "'24h'", "a mapping with keys join_window"),
    (model("detectors: [{kind: ddm}]"), "models[0].detectors[0].kind", "'ddm'", "adwin or page_hinkley"),
    (model("detectors: [{parameters: {detla: 1}}]"), "models[0].detectors[0].parameters", "{", "'delta'"),
    (model("detectors: [{parameters: {delta: 0}}]"), "models[0].detectors[0].parameters", "{", "above 0"),
    (model("detectors: [{signal: score, direction: worse}]"), "models[0].detectors[0].direction", "'worse'", "only"),
    ("rules: [{metric: csi, above: 1}]", "rules[0].name", "nothing", "a rule name"),
    ("rules: [{name: r, metric: csy, above: 1}]", "rules[0].metric", "'csy'", "did you mean 'csi'?"),
    ("rules: [{name: r, metric: brier, above: 1}]", "rules[0].metric", "'brier'", "not yet"),
    ("rules: [{name: r, metric: csi}]", "rules[0].below", "null", "exactly one"),
    ("rules: [{name: r, metric: csi, above: 1, below: 0}]", "rules[0].below", "0", "exactly one"),
    ("rules: [{name: r, metric: csi, above: 1, clear: 2}]", "rules[0].clear", "2", "not greater than above, 1"),
    ("rules: [{name: r, metric: f1, below: 1, clear: 0}]", "rules[0].clear", "0", "not smaller than below, 1"),
    ("rules: [{name: r, metric: csi, above: .nan}]", "rules[0].above", "nan", "a number"),
    ("rules: [{name: r, metric: csi, above: 1, for: 0}]", "rules[0].for", "0", "1 or more"),
    ("rules: [{name: r, metric: csi, above: 1, severity: bad}]", "rules[0].severity", "'bad'", "info, warning or"),
    ("rules: [{name: r, metric: csi, above: 1, segment: DE}]", "rules[0].segment", "'DE'", "key=value"),
    ("rules: [{name: r, metric: csi, above: 1, window: 7m}]", "rules[0].window", "'7m'", "1h/5m, 5m"),
    ("alerts: {target_false_alarms_per_day: 0}", "alerts.target_false_alarms_per_day", "0", "above 0"),
    ("prometheus: {port: 99999}", "prometheus.port", "99999", "0 (any free one) to 65535"),
    ("prometheus: {metrics: [cis]}", "prometheus.metrics[0]", "'cis'", "did you mean 'csi'?"),
    ("prometheus: {windows: [9m]}", "prometheus.windows[0]", "'9m'", "a window of the models"),
    ("react: {webhook: {}}", "react.webhook.url", "nothing", "an address"),
    ("react: {webhook: {url: 'ftp://x'}}", "react.webhook.url", "a value that is not shown", "http://"),
    ("privacy: {expose_values: true}", "privacy.expose_values", "true", "not available yet"),
    ("mapping: {model: m}", "mapping", "{'model': 'm'}", "one of model_name"),
    ("mapping: {model_name: a..b}", "mapping", "{", "a dotted path"),
    ("timestamp_unit: min", "timestamp_unit", "'min'", "s, ms, us or ns"),
    ("kafka: [a]", "kafka", "['a']", "a mapping of librdkafka properties"),
    ("kafka: {1: a}", "kafka[1].[key]", "1", "a mapping of librdkafka properties"),
    ("_env_file: x", "_env_file", "an unknown key", "one of kafka"),
    ("1: x", "1", "an unknown key", "one of kafka"),
]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("models: [{name: m, detectors: [{kind: adwin}]}]", "models[0].detectors"),
        ("{models: [{name: m}], rules: [{name: r, metric: accuracy, below: 1}]}", "rules[0].metric"),
        ("{models: [{name: m}], rules: [{name: r, metric: change_detected, above: 0}]}", "rules[0].metric"),
        (
            "{models: [{name: m}, {name: l, labels: {}}], rules: [{name: r, model: m, metric: accuracy, below: 1}]}",
            "rules[0].metric",
        ),
    ],
)
def test_what_waits_for_labels_that_nothing_reads_is_a_mistake(text: str, path: str) -> None:
    (problem,) = problems(text)
    assert (problem.path, "labels: {join_window" in problem.accepted) == (path, True)


@pytest.mark.parametrize(
    "text",
    [
        "models: [{name: m}]",
        "models: [{name: m, detectors: []}]",
        "rules: [{name: r, metric: accuracy, below: 1}]",
        "{models: [{name: m}, {name: l, labels: {}}], rules: [{name: r, metric: accuracy, below: 1}]}",
        "{models: [{name: m}], rules: [{name: r, metric: csi, above: 1}]}",
    ],
)
def test_what_may_have_labels_or_needs_none_passes(text: str) -> None:
    parse(text)


@pytest.mark.parametrize(("text", "path", "found", "accepted"), WRONG, ids=[case[0] for case in WRONG])
def test_each_mistake_is_named_with_its_path_its_value_and_what_is_accepted(
    text: str, path: str, found: str, accepted: str
) -> None:
    (problem,) = problems(text)
    assert problem.path == path
    assert problem.found.startswith(found)
    assert accepted in problem.accepted


@pytest.mark.parametrize("text", ["kafka: &a {x: *a}", "models: &a [*a]", "rules: &a [{name: *a}]"])
def test_a_value_that_holds_itself_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match="recursive"):
        load_config(tmp_path / "c.yaml")


def test_an_anchor_may_be_used_again(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("models: [{name: a, windows: &w [{size: 1h}]}, {name: b, windows: *w}]")
    assert [model.windows[0].size for model in load_config(tmp_path / "c.yaml").models] == [3_600_000] * 2


REFUSED = """
    plugin.library.paths ssl.engine.location ssl.providers sasl.kerberos.kinit.cmd test.mock.num.brokers
    Plugin.Library.Paths enable.auto.commit isolation.level group.id transactional.id auto.offset.reset
    partition.assignment.strategy group.instance.id enable.idempotence error_cb
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", REFUSED)
def test_dangerous_and_owned_kafka_properties_are_refused(name: str) -> None:
    (problem,) = problems(f"kafka: {{{name}: x}}")
    assert problem.path == f"kafka.{name}"
    assert problem.accepted.startswith("nothing: ")


def test_all_mistakes_are_listed_at_once_across_sections_and_within_one() -> None:
    found = problems("""
        kafka: {group.id: a}
        topicz: {}
        models:
          - {name: a, task: binary, windows: [{size: 5x}], segments: [[x]]}
          - {name: a, labels: {join_windw: 5m}}
        rules: [{name: r, metric: csy, for: 0}]
        prometheus: {port: -1}
    """)
    assert {problem.path for problem in found} == {
        "kafka.group.id",
        "topicz",
        "models[0].positive_class",
        "models[0].windows[0].size",
        "models[0].segments",
        "models[1].name",
        "models[1].labels.join_windw",
        "rules[0].metric",
        "rules[0].below",
        "rules[0].for",
        "prometheus.port",
    }


def test_secrets_are_not_shown() -> None:
    (first, second) = problems("{kafka: {sasl.password: [hunter2]}, privacy: {hash_key: [hunter2]}}")
    assert "hunter2" not in str(first) + str(second)


def test_a_long_value_is_cut() -> None:
    (problem,) = problems(f"timestamp_unit: {'x' * 500}")
    assert len(problem.found) <= 80


class TestEnvironment:
    def test_variables_override_the_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STREAM_MONITOR_KAFKA__BOOTSTRAP_SERVERS", "broker:1")
        monkeypatch.setenv("STREAM_MONITOR_PROMETHEUS__PORT", "9200")
        monkeypatch.setenv("STREAM_MONITOR_LIVE_HORIZON", "null")
        monkeypatch.setenv("STREAM_MONITOR_MODELS__0__MAX_PAST", "1d")
        monkeypatch.setenv("STREAM_MONITOR_MODELS__1__NAME", "second")
        config = parse(CONTRACT)
        assert config.kafka == {"bootstrap.servers": "broker:1"}
        assert config.prometheus.port == 9200
        assert config.live_horizon is None
        assert config.models[0].max_past == 86_400_000
        assert config.models[0].windows[1].slide == 300_000
        assert config.models[1].name == "second"

    def test_a_whole_section_may_be_given_as_yaml(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STREAM_MONITOR_MODELS", "[{name: a}]")
        assert [found.name for found in parse("").models] == ["a"]

    @pytest.mark.parametrize("name", ["STREAM_MONITOR_PORT", "STREAM_MONITOR_TEST_BOOTSTRAP", "STREAM_MONITOR_CONFIG"])
    def test_names_that_others_set_are_left_alone(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, "tcp://10.0.0.1:9108")
        assert parse("").prometheus.port == 9108

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("STREAM_MONITOR_PROMETHEUS__PORTT", "prometheus.portt"),
            ("STREAM_MONITOR_KAFKAA__X", "kafkaa"),
            ("STREAM_MONITOR_KAFKA__GROUP_ID", "kafka.group.id"),
            ("STREAM_MONITOR_MODELS__7__NAME", "STREAM_MONITOR_MODELS__7__NAME"),
            ("STREAM_MONITOR_STATE_DIR__X", "STREAM_MONITOR_STATE_DIR__X"),
        ],
    )
    def test_a_wrong_variable_is_a_problem_like_any_other(
        self, name: str, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, "x")
        (problem,) = problems(CONTRACT)
        assert problem.path == path


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))


class TestFile:
    def written(self, folder: Path, content: str | bytes) -> Path:
        path = folder / "monitor.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def test_relative_paths_start_at_the_files_folder(self, tmp_path: Path) -> None:
        assert load_config(self.written(tmp_path, CONTRACT)).state_dir == tmp_path / "state"
        assert load_config(self.written(tmp_path, "state_dir: /var/x")).state_dir == Path("/var/x")

    @pytest.mark.parametrize(
        ("content", "found"),
        [
            ("a: [", "line 1"),
            ("models: []\nmodels: []\n", "key 'models' twice (line 2)"),
            ("models:\n - {name: a, name: b}\n", "key 'name' twice (line 2)"),
            ("a: {1: x, true: y}", "key 'true' twice (line 1)"),
            ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
            ("- a", "a list"),
            (b"\xff\xfe\x00", "not UTF-8"),
            ("a: \x07", "something that is not YAML"),
            ("x: 1\n" * 300_000, "bytes"),
            ("[" * 5_000, ""),
            ("a: " + "9" * 5_000, "a value that is no"),
            ("a: 2026-99-99", "a value that is no"),
            (BOMB, "aliases that unfold to more than"),
            (f"a: &a {[0] * 500}\nb: [{', '.join(['*a'] * 500)}]", "aliases that unfold"),
        ],
    )
    def test_what_is_no_yaml_mapping_is_one_problem(self, tmp_path: Path, content: Any, found: str) -> None:
        with pytest.raises(ConfigError) as caught:
            load_config(self.written(tmp_path, content))
        (problem,) = caught.value.problems
        assert found in problem.found

    def test_a_file_without_an_end_is_read_up_to_its_limit(self) -> None:
        with pytest.raises(ConfigError, match="more than 1048576 bytes"):
            load_config(Path("/dev/zero"))

    def test_a_missing_file_says_how_to_make_one(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="stream-monitor init"):
            load_config(tmp_path / "none.yaml")

    def test_merge_keys_are_allowed(self, tmp_path: Path) -> None:
        text = "models:\n - &a {name: a, max_past: null}\n - {<<: *a, name: b}\n"
        assert load_config(self.written(tmp_path, text)).models[1].max_past is None


class TestTheDoor:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "monitor.internal", "127.1", "::ffff:10.0.0.5", "*"])
    def test_listening_beyond_this_machine_needs_credentials_or_a_plain_word(self, host: str) -> None:
        said = "open to other machines without credentials"
        (problem,) = problems(f"prometheus: {{host: '{host}'}}")
        assert (problem.path, said in problem.found) == ("prometheus.host", True)
        (problem,) = problems(f"prometheus: {{host: '{host}', tls: {{certificate: c, key: k}}}}")
        assert said in problem.found
        for door in (
            "bearer_token: 0123456789abcdef",
            "basic_auth: {username: prometheus, password: 12345678a}",
            "tls: {certificate: c, key: k, client_ca: a}",
            "allow_unauthenticated: true",
        ):
            assert parse(f"prometheus: {{host: '{host}', {door}}}").prometheus.host == host

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "::ffff:127.0.0.1"])
    def test_this_machine_needs_none(self, host: str) -> None:
        assert parse(f"prometheus: {{host: '{host}'}}").prometheus.host == host

    @pytest.mark.parametrize(
        ("door", "path"),
        [
            ("bearer_token: short", "bearer_token"),
            ("bearer_token: 'with a blank in its midst'", "bearer_token"),
            ("basic_auth: {username: 'a:b', password: 12345678a}", "basic_auth.username"),
            ("basic_auth: {username: a, password: short}", "basic_auth.password"),
            ("basic_auth: {username: a}", "basic_auth.password"),
            ("tls: {certificate: c}", "tls.key"),
        ],
    )
    def test_what_is_no_credential_is_refused_unseen(self, door: str, path: str) -> None:
        (problem,) = problems(f"prometheus: {{{door}}}")
        assert problem.path == f"prometheus.{path}"
        assert problem.found in ("a value that is not shown", "nothing")

    @pytest.mark.parametrize("text", ["http://[x", "http://x:y/", "http://a b/", "http://x/\\n", "gopher://x"])
    def test_a_webhooks_address_that_cannot_be_one_is_a_problem(self, text: str) -> None:
        (problem,) = problems(f'react: {{webhook: {{url: "{text}"}}}}')
        assert problem.accepted.startswith("an address that starts with")

    @pytest.mark.parametrize("headers", ["{'a b': x}", '{a: "x\\r\\nb: y"}', "{'': x}"])
    def test_no_header_smuggles_another(self, headers: str) -> None:
        (problem,) = problems(f"react: {{webhook: {{url: http://x, headers: {headers}}}}}")
        assert "one line each" in problem.accepted
