"""Which process of a training over several this one is, and where the others listen."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import ParamsError

if TYPE_CHECKING:
    from collections.abc import Mapping

TENSORFLOW = "TF_CONFIG"
# What Kubeflow Trainer 2 hands every node of a runtime whose policy is `jax`. It has no policy for
# TensorFlow, and of the others this is the one that gives three facts and starts no launcher.
COUNT, INDEX, FIRST = "JAX_NUM_PROCESSES", "JAX_PROCESS_ID", "JAX_COORDINATOR_ADDRESS"
_ADDRESS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?:(?P<port>[0-9]{1,5})")
_FIRST = re.compile(r"(?P<job>[a-z0-9-]+)-0(?P<rest>(\.[a-z0-9.-]+)?:[0-9]+)")


@dataclass(frozen=True)
class Team:
    """All workers and which of them this process is.

    Attributes:
        addresses: HOST:PORT of every worker; the first one is the chief.
        index: of this worker in ``addresses``.
    """

    addresses: tuple[str, ...]
    index: int

    def __len__(self) -> int:
        """Number of workers."""
        return len(self.addresses)

    @property
    def chief(self) -> bool:
        """Whether this worker writes the artifacts."""
        return self.index == 0

    @property
    def config(self) -> str:
        """The same as TF_CONFIG says it."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": task})


def team(environment: Mapping[str, str]) -> Team | None:
    """This process's place by TF_CONFIG or by Kubeflow Trainer; None outside of a team.

    Raises:
        ParamsError: the variables are there, but say nothing that can be worked with.
    """
    if TENSORFLOW in environment:
        return _from_tensorflow(environment[TENSORFLOW])
    if FIRST in environment:
        return _from_trainer(environment)
    return None


def _from_tensorflow(text: str) -> Team:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ParamsError(f"{TENSORFLOW} is not JSON: {error}") from error
    config = config if isinstance(config, dict) else {}
    cluster, task = (_mapping(config.get(key)) for key in ("cluster", "task"))
    if not cluster or not task:
        raise ParamsError(
            f'{TENSORFLOW} needs {{"cluster": {{"worker": ["HOST:PORT", ...]}}, '
            '"task": {"type": "worker", "index": 0}}'
        )
    strange = sorted(set(cluster) - {"chief", "worker"})
    if strange:
        raise ParamsError(
            f"{TENSORFLOW} lists tasks of type '{strange[0]}'; this training has workers, and "
            "perhaps a chief, that all do the same work"
        )
    kinds = {kind: cluster.get(kind, []) for kind in ("chief", "worker")}
    if not all(isinstance(hosts, list) for hosts in kinds.values()):
        raise ParamsError(f"{TENSORFLOW}: every entry of its cluster is a list of HOST:PORT")
    kind, index = task.get("type"), task.get("index")
    if kind not in kinds or type(index) is not int or not 0 <= index < len(kinds[kind]):
        raise ParamsError(f"{TENSORFLOW}: its cluster has no task {kind!r} number {index!r}")
    place = index if kind == "chief" else len(kinds["chief"]) + index
    return _team([*kinds["chief"], *kinds["worker"]], place, TENSORFLOW)


def _from_trainer(environment: Mapping[str, str]) -> Team:
    """Of NAME-node-0-0.NAME:PORT node i differs in the last digit of the first label only."""
    first = _FIRST.fullmatch(environment[FIRST])
    count, index = (_number(environment.get(name, "")) for name in (COUNT, INDEX))
    if first is None or count is None or index is None or not index < count:
        told = ", ".join(f"{n}={environment.get(n, '')!r}" for n in (FIRST, COUNT, INDEX))
        raise ParamsError(
            f"{told} do not describe a node of a Kubeflow TrainJob; set {TENSORFLOW} instead"
        )
    names = [f"{first['job']}-{i}{first['rest']}" for i in range(count)]
    return _team(names, index, FIRST)


def _team(addresses: list[Any], index: int, source: str) -> Team:
    for address in addresses:
        match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if match is None or not 0 < int(match["port"]) < 65536:
            raise ParamsError(f"{source}: {address!r} is no HOST:PORT")
    if len(set(addresses)) < len(addresses):
        raise ParamsError(f"{source} names one address twice")
    return Team(tuple(addresses), index)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
