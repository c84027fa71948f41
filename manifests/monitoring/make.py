"""Write the dashboards from panels.py and prometheus-rule.yaml from rules.yaml.

python manifests/monitoring/make.py            write the files
python manifests/monitoring/make.py --check    exit 1 where one is out of date
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parent))
from panels import MODELS, ROLLOUTS, Panel

HERE = Path(__file__).parent
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA = 39  # of Grafana 10.4 and newer, which migrates it upwards by itself
HEIGHT = 8  # rows of the grid
OPTIONS: dict[str, dict[str, Any]] = {
    "table": {"showHeader": True},
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "value_and_name"},
    "state-timeline": {"mergeValues": True, "showValue": "never"},
    "heatmap": {"calculate": False, "yAxis": {"unit": "short"}},
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}},
}


def _target(index: int, query: str, legend: str, kind: str) -> dict[str, Any]:
    forms = {"table": "table", "heatmap": "heatmap"}
    at_once = kind in ("table", "stat")
    return {
        "refId": chr(ord("A") + index),
        "datasource": SOURCE,
        "expr": query,
        "legendFormat": legend,
        "format": forms.get(kind, "time_series"),
        "instant": at_once,
        "range": not at_once,
    }


def _panel(number: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.why,
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": panel.width, "x": x, "y": y},
        "targets": [
            _target(i, q, legend, panel.kind) for i, (q, legend) in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": OPTIONS[panel.kind],
    }
    if panel.kind == "table":
        hidden = {"excludeByName": {"Time": True, "Value": True}}
        made["transformations"] = [{"id": "organize", "options": hidden}]
    return made


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,  # whenever the time range changes
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "sort": 1,
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard(
    uid: str, title: str, panels: tuple[Panel, ...], variables: dict[str, str]
) -> dict[str, Any]:
    """A dashboard as Grafana imports it, its panels from left to right, top to bottom."""
    placed, x, y = [], 0, 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > 24:
            x, y = 0, y + HEIGHT
        placed.append(_panel(number, panel, x, y))
        x += panel.width
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource",
              "query": "prometheus", "current": {}}  # fmt: skip
    return {
        "uid": uid,
        "title": title,
        "tags": ["dwcp"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one crosshair for all panels
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "templating": {"list": [source, *(_variable(n, q) for n, q in variables.items())]},
        "annotations": {"list": []},
        "panels": placed,
    }


def prometheus_rule(rules: str) -> str:
    """The rules for Prometheus' operator."""
    body = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "dwcp-models", "labels": {"app.kubernetes.io/part-of": "dwcp-models"}},
        "spec": yaml.safe_load(rules),
    }
    text: str = yaml.safe_dump(body, sort_keys=False, width=120, allow_unicode=True)
    return "# Made by make.py from rules.yaml; edit that.\n" + text


def files() -> dict[Path, str]:
    """Every file and what it must hold."""
    namespace = "label_values(dwcp_model_ready, namespace)"
    models = dashboard(
        "dwcp-models",
        "DWCP models",
        MODELS,
        {
            "namespace": namespace,
            "model": 'label_values(dwcp_requests_total{namespace=~"$namespace"}, model)',
        },
    )
    rollouts = dashboard(
        "dwcp-rollouts",
        "DWCP rollouts",
        ROLLOUTS,
        {
            "namespace": "label_values(model_rollout_phase, namespace)",
            "rollout": 'label_values(model_rollout_phase{namespace=~"$namespace"}, rollout)',
        },
    )
    return {
        HERE / "dashboards" / "models.json": json.dumps(models, indent=1) + "\n",
        HERE / "dashboards" / "rollouts.json": json.dumps(rollouts, indent=1) + "\n",
        HERE / "prometheus-rule.yaml": prometheus_rule((HERE / "rules.yaml").read_text()),
    }


def main() -> None:
    """Write or check."""
    made = files()
    stale = [file for file, text in made.items() if not file.exists() or file.read_text() != text]
    if "--check" in sys.argv[1:]:
        sys.exit(f"out of date: {', '.join(file.name for file in stale)}" if stale else 0)
    for file in stale:
        file.write_text(made[file])


if __name__ == "__main__":
    main()
