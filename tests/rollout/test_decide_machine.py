"""No sequence of crashes, faults, edits and verdicts breaks the promises of a rollout.

``DWCP_ROLLOUT_EXAMPLES`` sets how many sequences are tried, for a long search by hand.
"""

from __future__ import annotations

import os
from random import Random

from controllers import Cluster
from driver import NEW, OLD, OLDEST, OTHER, Driver, a_spec, served
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dwcp_ml.rollout.actions import Deploy, SetPercent
from dwcp_ml.rollout.spec import Target
from dwcp_ml.rollout.state import TERMINAL, Phase

EXAMPLES = int(os.environ.get("DWCP_ROLLOUT_EXAMPLES", "60"))
VERDICTS = st.sampled_from(["pass", "pass", "pass", "inconclusive", "fail"])
CRASHES = st.sampled_from(["unsaved", "undone"])


class Rollouts(RuleBasedStateMachine):
    """One service, one rollout, people and a world that interfere."""

    @initialize(
        seed=st.integers(0, 10_000),
        race=st.booleans(),
        first=st.sampled_from([False, False, False, True]),
        meddling=st.booleans(),
    )
    def begin(self, seed, race, first, meddling):
        cluster = Cluster() if first else served()
        cluster.random, cluster.race = Random(seed), race  # noqa: S311
        self.driver = Driver(cluster)
        self.first, self.meddling = first, meddling
        self.verdict = "pass"
        self.driver.gate = lambda window: self.verdict
        self.meddled = False
        self.edits = 0
        self.driver.good |= {NEW["storageUri"]} if first else set()
        self.theirs = False  # somebody changed the service while it was not in our hands

    # The loop ----------------------------------------------------------------------------------

    @rule(count=st.integers(1, 12), wait=st.sampled_from([0.2, 1.0, 1.0, 3.0]))
    def rounds(self, count, wait):
        for _ in range(count):
            self.driver.round(wait_s=wait)
            self.check_flow()

    @rule(crash=CRASHES)
    def crash(self, crash):
        self.driver.round(crash=crash)

    @rule(crashes=st.lists(CRASHES, min_size=2, max_size=5))
    def crash_loop(self, crashes):
        for crash in crashes:
            self.driver.round(crash=crash, wait_s=0.4)

    @rule(seconds=st.sampled_from([0.3, 2.0, 10.0, 40.0]))
    def operator_away(self, seconds):
        self.driver.cluster.run(seconds)

    @precondition(lambda self: self.meddled and not self.theirs)
    @rule()
    def calm(self):
        """However somebody meddled: left alone for a while, nothing unearned has traffic."""
        self.heal()
        for _ in range(25):
            self.driver.round()
        if self.driver.state.phase not in (*TERMINAL, Phase.PENDING) and not self.theirs:
            assert self.driver.state.stable_model == {} or not self.driver.excess()

    def heal(self):
        driver, cluster = self.driver, self.driver.cluster
        driver.api_up = cluster.kserve_up = cluster.knative_up = True
        driver.refused, cluster.quota = frozenset(), False
        cluster.race = False
        if cluster.isvc is not None and cluster.isvc.stop:
            cluster.patch(stop=False)
        for revision in cluster.revisions.values():
            revision.sick = False

    # What it is told ---------------------------------------------------------------------------

    @rule(verdict=VERDICTS)
    def judge(self, verdict):
        self.verdict = verdict

    @rule(said=st.sampled_from([True, True, True, None, False]))
    def verify(self, said):
        self.driver.verified = said

    @rule(paused=st.booleans())
    def pause(self, paused):
        self.driver.spec = self.driver.spec.model_copy(update={"paused": paused})

    @rule(name=st.sampled_from(["abort", "promote", "undo", "retry"]))
    def order(self, name):
        self.driver.order(name)

    @precondition(lambda self: self.edits < 3)
    @rule(model=st.sampled_from([NEW, OTHER, OLD]))
    def edit_target(self, model):
        self.edits += 1
        target = Target(storage_uri=model["storageUri"])
        self.driver.spec = self.driver.spec.model_copy(update={"target": target})

    # Faults ------------------------------------------------------------------------------------

    @rule(up=st.booleans())
    def api(self, up):
        self.driver.api_up = up

    @rule(kinds=st.sampled_from([(), (), (Deploy,), (Deploy, SetPercent)]))
    def admission(self, kinds):
        self.driver.refused = frozenset(kinds)

    @rule(up=st.booleans())
    def kserve(self, up):
        self.driver.cluster.kserve_up = up

    @rule(up=st.booleans())
    def knative(self, up):
        self.driver.cluster.knative_up = up

    @rule(on=st.booleans())
    def quota(self, on):
        self.driver.cluster.quota = on

    @rule(model=st.sampled_from([NEW, OTHER]), broken=st.booleans())
    def break_model(self, model, broken):
        broke = self.driver.cluster.broken
        (broke.add if broken else broke.discard)(model["storageUri"])

    @rule(sick=st.booleans())
    def stable_sick(self, sick):
        found = self.driver.cluster.revisions.get(self.driver.state.stable or "")
        if found is not None:
            found.sick = sick

    # Other people ------------------------------------------------------------------------------

    def meddle(self, late_s=0.0):
        self.meddled = self.driver.meddled = True
        idle = (*TERMINAL, Phase.PENDING, Phase.PREFLIGHT)
        self.theirs |= self.driver.state.phase in idle or late_s > 0

    def may_meddle(self):
        return self.meddling and self.driver.cluster.isvc is not None

    @precondition(may_meddle)
    @rule(value=st.integers(0, 3), key=st.sampled_from(["label", "minReplicas"]))
    def edit_extras(self, key, value):
        self.meddle()
        self.driver.cluster.patch(extras={key: value})

    @precondition(may_meddle)
    @rule(content=st.integers(1, 3), broken=st.booleans())
    def edit_runtime(self, content, broken):
        self.meddle(late_s=22)
        if broken:
            self.driver.cluster.broken_content.add(content)
        self.driver.cluster.edit_runtime(content)

    @precondition(may_meddle)
    @rule(percent=st.sampled_from([0, 1, 20, 100, None, 150]))
    def edit_percent(self, percent):
        self.meddle()
        self.driver.cluster.patch(percent=percent)

    @precondition(may_meddle)
    @rule(model=st.sampled_from([OLDEST, OLD, NEW, OTHER]), percent=st.sampled_from([None, 0, 10]))
    def edit_model(self, model, percent):
        self.meddle()
        self.driver.cluster.patch(model, percent=percent)

    @precondition(may_meddle)
    @rule(stop=st.booleans())
    def stop(self, stop):
        self.meddle()
        self.driver.cluster.patch(stop=stop)

    @precondition(may_meddle)
    @rule(model=st.sampled_from([OLD, NEW]), gone_s=st.sampled_from([0.0, 2.0]))
    def delete_and_make(self, model, gone_s):
        self.meddle()
        self.driver.cluster.delete()
        self.driver.cluster.run(gone_s)
        self.driver.cluster.create(model)

    # Promises ----------------------------------------------------------------------------------

    def check_flow(self):
        """Without meddling, no moment gives a revision more than it has earned."""
        if not self.meddled and not self.first:
            assert not self.driver.excess()

    @invariant()
    def nothing_unearned(self):
        if hasattr(self, "driver"):
            self.check_flow()
            assert self.driver.state.why or not self.driver.saved

    def teardown(self):
        """When the faults stop, it ends in a bounded time, in a safe place."""
        if not hasattr(self, "driver"):
            return
        driver, cluster = self.driver, self.driver.cluster
        self.heal()
        driver.spec = driver.spec.model_copy(update={"paused": False})
        self.verdict = "pass" if self.verdict == "inconclusive" else self.verdict
        self.settle()
        self.check_end()
        cluster.run(40)
        count, phase = len(driver.changes), driver.state.phase
        driver.rounds(5)
        assert len(driver.changes) == count
        assert driver.state.phase is phase

    def settle(self):
        """Rounds until a terminal phase is kept: a target that was edited starts anew."""
        kept = 0
        for _ in range(900):
            self.driver.round()
            self.check_flow()
            kept = kept + 1 if self.driver.state.phase in TERMINAL else 0
            if kept == 3:
                return
        raise AssertionError(f"no end: {self.driver.state.phase}: {self.driver.state.why}")

    def check_end(self):
        driver, cluster = self.driver, self.driver.cluster
        phase, flow = driver.state.phase, cluster.flow()
        if phase is Phase.HALTED:
            assert driver.pages()
        if self.theirs:
            return
        if phase is Phase.SUCCEEDED:
            (name,) = flow
            assert cluster.revisions[name].template.uri == driver.spec.target.storage_uri
        if phase is not Phase.HALTED and driver.state.stable_model:
            assert not driver.excess()
            assert len(flow) == 1


Rollouts.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestRollouts = Rollouts.TestCase


def test_the_machine_reaches_both_ends():
    """The machine is worth nothing if the rollouts in it never get anywhere."""
    for gate, end in (("pass", Phase.SUCCEEDED), ("fail", Phase.ROLLED_BACK)):
        driver = Driver(served(), a_spec(), gate=lambda window, gate=gate: gate)
        assert driver.until().phase is end
