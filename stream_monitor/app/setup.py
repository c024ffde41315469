"""One file becomes everything a command needs: config, policies and the reference profiles it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stream_monitor.app.config import MonitorConfig, load_config
from stream_monitor.app.export_config import TlsConfig
from stream_monitor.app.kafka_properties import as_librdkafka, unknown_property_problems
from stream_monitor.app.memory_budget import Estimate, budget_problems, estimate
from stream_monitor.app.policies import decode_policy, policies_of
from stream_monitor.errors import ConfigError, Problem, ProfileError, SetupError
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.export.access import tls_context
from stream_monitor.export.policy import TlsPolicy
from stream_monitor.pipeline.policy import Policies
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.hashing import key_id

MAX_PROFILE_BYTES = 64 << 20  # some kB a feature, 20,000 features at most
_SAME_KEY = "one made with this config's privacy.hash_key"


@dataclass(frozen=True, slots=True)
class Setup:
    """Immutable; `client` holds the librdkafka properties as librdkafka spells them."""

    config: MonitorConfig
    policies: Policies
    decode: DecodePolicy
    profiles: Mapping[str, Profile]
    client: Mapping[str, object] = field(repr=False)
    memory: Estimate
    tls: TlsPolicy | None = None

    @property
    def joins_labels(self) -> bool:
        return any(model.joins_labels for model in self.policies.models.values())


def load_setup(path: Path, *, ask_librdkafka: bool = False) -> Setup:
    """Everything of one config file; ConfigError with all that is wrong with it and its profiles."""
    config = load_config(path)
    profiles, problems = _profiles(config, path.parent)
    tls, refused = _tls(config.prometheus.tls, path.parent)
    problems += refused
    memory = estimate(config, profiles)
    problems += budget_problems(config, memory)
    if ask_librdkafka:
        problems += unknown_property_problems(config.kafka)
    if problems:
        raise ConfigError(problems)
    client = {name: as_librdkafka(value) for name, value in config.kafka.items()}
    return Setup(config, policies_of(config), decode_policy(config), profiles, client, memory, tls)


def _tls(config: TlsConfig | None, folder: Path) -> tuple[TlsPolicy | None, list[Problem]]:
    """The endpoint's files, looked into now: a key that does not fit is better said before anything runs."""
    if config is None:
        return None, []
    authority = None if config.client_ca is None else folder / config.client_ca
    policy = TlsPolicy(folder / config.certificate, folder / config.key, authority)
    try:
        tls_context(policy)
    except SetupError as error:
        return None, [Problem("prometheus.tls", error.message, error.mend or "PEM files")]
    return policy, []


def _profiles(config: MonitorConfig, folder: Path) -> tuple[dict[str, Profile], list[Problem]]:
    found: dict[str, Profile] = {}
    problems: list[Problem] = []
    for index, model in enumerate(config.models):
        if model.reference.profile is None:
            continue
        where, file = f"models[{index}].reference.profile", folder / model.reference.profile
        try:
            profile = read_profile(file)
        except ProfileError as error:
            problems.append(Problem(where, f"{file}: {error.message}", error.mend or "a profile file"))
            continue
        for what, wanted, actual in (
            ("model", model.name, profile.model_name),
            ("task", model.kind_of_task, profile.task),
            ("positive class", model.positive_class, profile.positive_class),
        ):
            if wanted != actual:
                problems.append(Problem(where, f"a profile whose {what} is {actual}", f"one whose {what} is {wanted}"))
        if profile.hash_key_id not in (None, key_id(config.privacy.hash_key.encode())):
            problems.append(Problem(where, "a profile whose hashes were made with another key", _SAME_KEY))
        found[model.name] = profile
    return found, problems


def read_profile(file: Path) -> Profile:
    """A profile file; ProfileError says what is wrong with it."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_PROFILE_BYTES + 1)
    except OSError as error:
        mend = "make it: stream-monitor profile build DATA -c FILE --model NAME -o PROFILE"
        raise ProfileError(f"the profile cannot be read ({error.strerror})", mend=mend) from None
    if len(data) > MAX_PROFILE_BYTES:
        raise ProfileError(
            f"a profile has at most {MAX_PROFILE_BYTES} bytes; this file has more",
            mend="build it with fewer features: stream-monitor profile build DATA --features A,B,…",
        )
    return Profile.from_json(data)
