"""The way back: warm, cold, blocked, ordered by deletion; never onto what does not serve."""

from __future__ import annotations

import time

import outcomes
import rollout_cluster as rc
from rollout_load import Load

POLICY = "rollout-test-refuses"


def started(place, name, version="v1.1", **changes):
    uri = place.store.put(name, version, value=1.0)
    rc.apply(rc.rollout(name, uri, place.gateway, place.prometheus, **changes))


def test_aborted_then_another(place, operator, fresh):
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        rc.at_step(fresh, 1)
        aborted = rc.status(fresh)["canary"]
        rc.order(fresh, "abort")
        found = rc.ended(fresh)
        assert found["phase"] == "RolledBack", found
        since = time.time()
        started(place, fresh, "v1.2")
        found = rc.ended(fresh)
    outcomes.record("aborted canary, then a new one", "Succeeded, 0 to the aborted", found, load)
    assert found["phase"] == "Succeeded", found
    assert load.share(aborted, since)[0] == 0
    assert load.failed() == []


def test_rolled_back_after_100_percent(place, operator, fresh):
    with Load(place.gateway, fresh) as load:
        started(place, fresh, strategy={"watchWindow": "60s", "steps": [50]})
        rc.at(fresh, "Watching")
        rc.order(fresh, "abort")
        found = rc.ended(fresh)
        at_end = time.time()
        time.sleep(3)
    outcomes.record("rollback after 100 %, warm", "RolledBack", found, load)
    assert found["phase"] == "RolledBack", found
    assert load.failed() == []
    assert load.share(rc.revision(fresh, 2), at_end)[0] == 0


def test_undone_after_success(place, operator, fresh):
    with Load(place.gateway, fresh) as load:
        started(place, fresh, strategy={"steps": [50]})
        assert rc.ended(fresh)["phase"] == "Succeeded"
        rc.order(fresh, "undo")
        rc.at(fresh, "Aborting", "RolledBack")
        found = rc.ended(fresh)
    outcomes.record("undo after success", "old model serves", found, load)
    assert rc.model(fresh).endswith("/v1.0/")
    assert load.failed() == []


def test_rolled_back_after_the_old_revision_scaled_to_zero(place, operator, fresh):
    old = f"serving.knative.dev/revision={rc.revision(fresh, 1)}"

    def cold():
        pods = rc.get("pods", "-l", old)["items"]
        return all("deletionTimestamp" in pod["metadata"] for pod in pods)

    with Load(place.gateway, fresh) as load:
        started(place, fresh, strategy={"watchWindow": "400s", "steps": [50]})
        rc.at(fresh, "Watching")
        rc.until(cold, 240, "the old pods go")
        since = time.time()
        rc.order(fresh, "abort")
        found = rc.ended(fresh)
        at_end = time.time()
        time.sleep(3)
    note = f"slowest request {load.slowest(since):.1f} s, {at_end - since:.0f} s in all"
    outcomes.record(
        "rollback after 100 %, old scaled to zero", "RolledBack", found, load, note=note
    )
    assert found["phase"] == "RolledBack", found
    assert load.failed() == []
    assert load.share(rc.revision(fresh, 2), at_end)[0] == 0


def test_unhealthy_stable_is_not_rolled_back_to(place, operator, fresh):
    with Load(place.gateway, fresh) as load:
        started(place, fresh, strategy={"steps": [50], "watchWindow": "90s"})
        rc.at(fresh, "Watching")
        stable = rc.revision(fresh, 1)
        rc.kubectl("-n", rc.NAMESPACE, "delete", "revision.serving.knative.dev", stable)
        rc.order(fresh, "abort")
        found = rc.ended(fresh, 400)
    expected = "RolledBack by a new revision, or Halted"
    outcomes.record("rollback with the old revision gone", expected, found, load)
    assert found["phase"] in ("RolledBack", "Halted"), found
    assert sum(rc.split(fresh).values()) == 100
    assert load.failed() == []


def test_rollout_deleted(place, operator, fresh):
    bad = rc.revision(fresh, 2)
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        rc.at_step(fresh, 10)
        rc.kubectl("-n", rc.NAMESPACE, "delete", "modelrollout", fresh, "--wait=false")
        last = {}

        def gone():
            seen = rc.status(fresh)
            last.update(seen)
            return not seen and not rc.rollout_object(fresh)

        rc.until(gone, 300, "the rollout is gone")
        since = time.time()
        time.sleep(3)
    expected = "goes back, then the object is gone"
    outcomes.record("ModelRollout deleted at 10 %", expected, last, load, note="last status seen")
    assert rc.model(fresh).endswith("/v1.0/")
    assert load.share(bad, since)[0] == 0
    assert load.failed() == []
    assert rc.split(fresh).get(bad, 0) == 0


def refusing(rule, message):
    """An admission policy of somebody else, for our namespace; returns when it is in force."""
    kind = "admissionregistration.k8s.io/v1"
    name = f"{POLICY}-{rc.NAMESPACE}"
    where = {"apiGroups": ["serving.kserve.io"], "apiVersions": ["*"], "operations": ["UPDATE"]}
    rules = [{**where, "resources": ["inferenceservices"]}]
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules},
        "validations": [{"expression": rule, "message": message}],
    }
    policy = {"apiVersion": kind, "kind": "ValidatingAdmissionPolicy", "spec": spec}
    rc.apply({**policy, "metadata": {"name": name}})
    only = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": rc.NAMESPACE}}}
    bound = {"policyName": name, "validationActions": ["Deny"], "matchResources": only}
    binding = {"apiVersion": kind, "kind": "ValidatingAdmissionPolicyBinding", "spec": bound}
    rc.apply({**binding, "metadata": {"name": name}})


def allowed():
    name = f"{POLICY}-{rc.NAMESPACE}"
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        rc.kubectl("delete", kind, name, "--ignore-not-found")


# Nobody may put the old model back; the percent may change.
NOT_BACK = (
    "!object.spec.predictor.model.storageUri.endsWith('/v1.0/') || "
    "oldObject.spec.predictor.model.storageUri.endsWith('/v1.0/')"
)
# Nobody may touch the percent.
NO_PERCENT = (
    "object.spec.predictor.?canaryTrafficPercent == oldObject.spec.predictor.?canaryTrafficPercent"
)


def test_admission_rejects_the_old_model(place, operator, fresh):
    bad, good = rc.revision(fresh, 2), rc.revision(fresh, 1)
    with Load(place.gateway, fresh) as load:
        started(place, fresh, strategy={"readyDeadline": "30s"})
        rc.at_step(fresh, 10)
        refusing(NOT_BACK, "refused by a test")
        try:
            old = {"storageUri": f"s3://models/rollout/{fresh}/v1.0/"}
            rc.denied("isvc", fresh, {"spec": {"predictor": {"model": old}}})
            rc.order(fresh, "abort")
            halted = rc.ended(fresh)
            at_end = time.time()
            time.sleep(5)
            outcomes.record("admission refuses the old model", "Halted, 0 % to it", halted, load)
            assert halted["phase"] == "Halted", halted
            assert "refused by a test" in halted["why"]
            assert load.share(bad, at_end)[0] == 0
            assert rc.split(fresh) == {good: 100}
        finally:
            allowed()
        rc.order(fresh, "abort", 2)
        found = rc.ended(fresh)
    outcomes.record("... allowed again, and `abort`", "RolledBack", found, load)
    assert found["phase"] == "RolledBack", found
    assert load.failed() == []


def test_admission_rejects_the_percent(place, operator, fresh):
    bad = rc.revision(fresh, 2)
    with Load(place.gateway, fresh) as load:
        started(place, fresh, strategy={"applyDeadline": "15s"})
        rc.at_step(fresh, 10)
        fresh.witness.forced = True  # the 10 % stay until they may be taken away
        refusing(NO_PERCENT, "refused by a test")
        try:
            rc.denied("isvc", fresh, {"spec": {"predictor": {"canaryTrafficPercent": 11}}})
            rc.order(fresh, "abort")
            rc.until(lambda: rc.status(fresh).get("stuck"), 60, "a person is called")
            stuck = rc.status(fresh)
        finally:
            allowed()
        found = rc.ended(fresh)
        at_end = time.time()
        time.sleep(3)
    expected = "calls a person, tries on; RolledBack when allowed"
    outcomes.record("admission refuses 0 %, for a while", expected, found, load)
    assert "refused by a test" in stuck["why"], stuck
    assert "NeedsPerson" in fresh.witness.conditions()
    assert found["phase"] == "RolledBack", found
    assert load.share(bad, at_end)[0] == 0
    assert load.failed() == []
