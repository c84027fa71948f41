"""Every alert fires when it should, and on nothing else, by promtool on the rules as they are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from alert_scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
RULES = ROOT / "manifests" / "monitoring" / "rules.yaml"
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="needs promtool of Debian's package prometheus"
)


@needs_promtool
def test_promtool_takes_the_rules():
    done = subprocess.run([PROMTOOL, "check", "rules", RULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name.replace(" ", "-"))
def test_these_alerts_fire_and_no_others(scenario, tmp_path):
    expected = [
        {"labels": f'{{alertname="{alert}", about="{about}"}}' if about else
         f'{{alertname="{alert}"}}', "value": 1}
        for alert, about in scenario.fires.items()
    ]  # fmt: skip
    about = "max by (alertname, about) (label_replace(label_replace("
    firing = 'ALERTS{alertstate="firing"}, "about", "$1", "model", "(.+)"),'
    query = f'{about}{firing} "about", "$1", "rollout", "(.+)"))'
    test = {
        "interval": f"{scenario.every_min}m",
        "input_series": [{"series": s, "values": v} for s, v in scenario.written().items()],
        "promql_expr_test": [
            {"expr": query, "eval_time": f"{scenario.minute}m", "exp_samples": expected}
        ],
    }
    whole = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{scenario.judged_every_min}m",
        "tests": [test],
    }
    file = tmp_path / "alerts.yaml"
    file.write_text(yaml.safe_dump(whole))
    done = subprocess.run([PROMTOOL, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_a_scenario_and_only_just_does_not_in_another():
    assert {alert for scenario in SCENARIOS for alert in scenario.fires} == set(ALERTS)
    assert {scenario.quiet for scenario in SCENARIOS} - {""} == set(ALERTS)


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_says_how_urgent_it_is_and_leads_to_its_section(alert):
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    page, anchor = rule["annotations"]["runbook"].split("#")
    headings = re.findall(r"^### (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor == alert.lower()
    assert headings.count(alert) == 1


def test_no_section_is_about_an_alert_that_is_not_there():
    text = (ROOT / "docs" / "monitoring.md").read_text()
    assert set(re.findall(r"^### ((?:Model|Rollout)\w+)$", text, re.MULTILINE)) == set(ALERTS)
