"""The operator's own assembly and metrics endpoint, driven by the real state machine.

python operator_story.py PORT: one rollout succeeds, one goes back, one gives up. The first round is
made at once, the others after a line on standard input. The cluster is the model of KServe's
controllers that tests/rollout uses; everything from ``decide`` on is the operator's.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "rollout"))
from driver import Driver, served

from dwcp_ml.rollout.assembly import make_operator
from dwcp_ml.rollout.cluster import Cluster as Api
from dwcp_ml.rollout.observation import Observation
from dwcp_ml.rollout.state import Phase
from dwcp_ml.rollout.store import ObjectStore, Record

NAMESPACE = "dwcp-models"
ENDS = {
    "linear": Phase.SUCCEEDED,
    "recurrent": Phase.ROLLED_BACK,
    "series": Phase.HALTED,
}


def drivers() -> dict[str, Driver]:
    """A rollout for each end."""
    good, bad, blocked = (Driver(served()) for _ in range(3))
    bad.gate = lambda window: "fail"
    blocked.cluster.quota = True
    return dict(zip(ENDS, (good, bad, blocked), strict=True))


def main(port: int) -> None:
    """Serve the metrics, make rounds until all have ended, and stay."""
    operator = make_operator(NAMESPACE, "dwcp-system", "", port)
    rollouts = drivers()
    api = Api(NAMESPACE)
    told = {name: operator.make_loop(api, ObjectStore(api, name)) for name in rollouts}

    def rounds() -> None:
        for name, driver in rollouts.items():
            driver.round()
            told[name].watch.round(Record(driver.spec, driver.state, {}), Observation(None))

    rounds()
    sys.stdin.readline()  # once the zeros were scraped, or no increase would be seen
    while any(driver.state.phase is not ENDS[name] for name, driver in rollouts.items()):
        rounds()
    print("ended", flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(int(sys.argv[1]))
