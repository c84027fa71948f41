"""What rollouts of a namespace ask unless they say otherwise: the ConfigMap ``rollout-policy``.

Its key ``all.yaml`` holds a part of a ModelRollout's spec (gates, metrics, prober, strategy,
template); the key ``SERVICE.yaml`` is laid over it for one service. A gate list replaces the other
as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import RolloutError

if TYPE_CHECKING:
    from dwcp_ml.rollout.cluster import Cluster, Object

CONFIG_MAP, EVERY = "rollout-policy", "all.yaml"


def policy(cluster: Cluster, service: str) -> Object:
    """The part of the spec that the namespace gives for a service; empty where it gives none.

    Raises:
        RolloutError: a key of the ConfigMap is no YAML mapping.
    """
    data = cluster.config(CONFIG_MAP) or {}
    found: Object = {}
    for key in (EVERY, f"{service}.yaml"):
        found = merged(found, _part(data, key))
    return found


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> Object:
    """``over`` laid over ``under``: mappings are joined, anything else is replaced."""
    joined = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(joined.get(key), dict)
        joined[key] = merged(joined[key], value) if both else value
    return joined


def _part(data: Mapping[str, str], key: str) -> Object:
    import yaml

    try:
        found = yaml.safe_load(data.get(key) or "") or {}
    except yaml.YAMLError as error:
        raise RolloutError(f"ConfigMap {CONFIG_MAP}, {key}: no YAML: {error}") from error
    if not isinstance(found, dict):
        raise RolloutError(f"ConfigMap {CONFIG_MAP}, {key}: holds no keys of a spec")
    return found
