"""Any history of any rule obeys the laws of the life cycle."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stream_monitor.alerts.lifecycle import AlertState, Observation, Step, Transition, retire, step
from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.events.names import Status

UNUSABLE = (Status.INSUFFICIENT_DATA, Status.NO_REFERENCE)

policies = st.builds(
    RulePolicy,
    name=st.just("r"),
    metric=st.just("csi"),
    above=st.just(0.2),
    clear=st.none() | st.just(0.1),
    for_windows=st.integers(1, 4),
    cooldown_ms=st.sampled_from([0, 15, 40]),
    keep_firing_for_ms=st.sampled_from([0, 25]),
    stale_after_ms=st.sampled_from([None, 0, 35]),
)


class AlertLife(RuleBasedStateMachine):
    @initialize(policy=policies, overlap=st.integers(1, 4))
    def begin(self, policy: RulePolicy, overlap: int) -> None:
        self.policy = policy
        self.size = 10 * overlap
        self.now = 0
        self.state: AlertState | None = None
        self.history: list[Observation | int] = []
        self.published: list[Transition] = []

    @rule(
        value=st.sampled_from([0.05, 0.15, 0.3]),
        significant=st.none() | st.booleans(),
        skipped=st.integers(0, 2),
    )
    def a_window_closes(self, value: float, significant: bool | None, skipped: int) -> None:
        before = self.firing
        done = self.see(value, Status.OK, significant, skipped)
        if not before and done.reason == "fired":
            assert value > 0.2
            assert significant is not False

    @rule(status=st.sampled_from(UNUSABLE), skipped=st.integers(0, 2))
    def a_window_closes_without_enough_data(self, status: Status, skipped: int) -> None:
        done = self.see(0.9, status, None, skipped)
        assert [t.reason for t in done.transitions] in ([], ["stale"])

    @rule()
    def an_old_window_comes_again(self) -> None:
        if self.state is not None:
            done = step(self.policy, self.state, self.at(0.9, Status.OK, None))
            assert (done.state, done.transitions, done.reason) == (self.state, (), "repeated")

    @rule()
    def the_version_is_retired(self) -> None:
        self.history.append(self.now)
        self.take(retire(self.state, self.now, "version_retired"))
        assert self.state is None

    @invariant()
    def firings_and_resolves_alternate(self) -> None:
        loud = [t.state for t in self.published if t.state != "pending"]
        assert loud == (["firing", "resolved"] * len(loud))[: len(loud)]
        assert self.firing == (bool(loud) and loud[-1] == "firing")

    @invariant()
    def an_alert_ends_no_earlier_than_it_starts(self) -> None:
        for transition in self.published:
            assert (transition.ends_ms is not None) == (transition.state == "resolved")
            assert transition.ends_ms is None or transition.ends_ms >= transition.starts_ms

    @invariant()
    def cooldown_lies_between_two_alerts_unless_a_version_was_retired(self) -> None:
        loud = [t for t in self.published if t.state != "pending"]
        for ended, fired in zip(loud[1::2], loud[2::2], strict=False):
            if ended.reason != "version_retired":
                assert fired.starts_ms - (ended.ends_ms or 0) >= self.policy.cooldown_ms

    def teardown(self) -> None:
        """A replay of the history gives the same transitions."""
        state, published = None, []
        for event in self.history:
            if isinstance(event, int):
                done = retire(state, event, "version_retired")
            else:
                done = step(self.policy, state, event)
            state = done.state
            published += done.transitions
        assert published == self.published

    @property
    def firing(self) -> bool:
        return self.state is not None and self.state.phase == "firing"

    def at(self, value: float, status: Status, significant: bool | None) -> Observation:
        return Observation(self.now - self.size, self.now, value, status, significant)

    def see(self, value: float, status: Status, significant: bool | None, skipped: int) -> Step:
        self.now += 10 * (1 + skipped)
        observation = self.at(value, status, significant)
        self.history.append(observation)
        done = step(self.policy, self.state, observation)
        self.take(done)
        return done

    def take(self, done: Step) -> None:
        self.published += done.transitions
        self.state = None if done.state is None else AlertState.from_bytes(done.state.to_bytes())


AlertLife.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAlertLife = AlertLife.TestCase
