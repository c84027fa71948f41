"""`dwcp tune` as a person runs it, on a real model and telemetry without a test part."""

import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from dwcp_ml.models import read_params

MODEL = "node_reliability"


def rows(desk, query):
    try:
        with closing(sqlite3.connect(desk / "tuning" / "studies.db", timeout=1)) as database:
            return database.execute(query).fetchall()
    except sqlite3.OperationalError:  # not made yet
        return []


def states(desk):
    return [state for (state,) in rows(desk, "SELECT state FROM trials ORDER BY number")]


def until(happened, process=None):
    for _ in range(2400):
        if happened():
            return
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)
    pytest.fail("it did not happen")


def stop_within_a_trial(desk, process):
    """Halt the process while it trains the third trial or a later one."""
    for _ in range(1200):
        assert process.poll() is None, process.communicate()
        os.kill(process.pid, signal.SIGSTOP)
        under_way = rows(desk, "SELECT number FROM trial_user_attributes JOIN trials "
                         "USING (trial_id) WHERE key = 'worker' AND state = 'RUNNING'")  # fmt: skip
        if under_way and states(desk).count("COMPLETE") >= 2:
            return
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.15)
    pytest.fail(f"still {states(desk)}")


def test_a_killed_study_goes_on_and_repeats_no_finished_trial(desk, begin, tune):
    process = begin(MODEL, "--trials", 500)
    stop_within_a_trial(desk, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found = rows(desk, "SELECT trial_id, datetime_complete FROM trials WHERE state = 'COMPLETE'")
    wanted = len(found) + 2
    _, err = tune(MODEL, "--trials", wanted)
    after = rows(desk, "SELECT trial_id, datetime_complete FROM trials WHERE state = 'COMPLETE'")
    assert set(found) <= set(after)
    assert len(after) == wanted
    assert states(desk).count("FAIL") == 1  # the one under way, which was run again
    assert "RUNNING" not in states(desk)
    assert f"{wanted} trials, {wanted} complete" in err
    values = rows(desk, "SELECT value_json FROM trial_user_attributes JOIN trials USING (trial_id) "
                  "WHERE key = 'values' AND state = 'COMPLETE'")  # fmt: skip
    assert len(set(values)) == wanted


def workers(desk):
    """Names of those who have completed a trial."""
    query = ("SELECT DISTINCT value_json FROM trial_user_attributes JOIN trials USING (trial_id) "
             "WHERE key = 'worker' AND state = 'COMPLETE'")  # fmt: skip
    return [json.loads(name) for (name,) in rows(desk, query)]


def alive(name):
    return Path("/proc", name.rpartition(":")[2]).exists()


def test_two_workers_share_a_study_and_end_with_their_parent(desk, begin, tune):
    process = begin(MODEL, "--trials", 2000, "--jobs", 2)
    until(lambda: len(workers(desk)) == 2, process)
    process.kill()
    process.wait()
    until(lambda: not any(alive(name) for name in workers(desk)))
    numbers = rows(desk, "SELECT number FROM trials")
    assert len(set(numbers)) == len(numbers)  # nobody took another's trial
    done = states(desk).count("COMPLETE")
    out, err = tune(MODEL, "--trials", done + 1, "--write")
    assert f"{done + 1} trials, {done + 1} complete, 0 ended early, 0 failed" in err
    assert "written to params.yaml" in err
    text = (desk / "params.yaml").read_text()
    assert "seed: 42  # of everything" in text
    assert "train_rows: 3000   # few" in text
    params = read_params(desk / "params.yaml")
    added = [line[3:].split(":")[0] for line in out.splitlines() if line.startswith("+  ")]
    assert added
    assert set(added) <= set(params.sections[MODEL])
    from dvc.utils.serialize import load_yaml

    assert load_yaml(str(desk / "params.yaml")) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["node_reliabilty"], 4, "unknown model 'node_reliabilty'; did you mean"),
        ([MODEL, "--splits", "nowhere"], 10, "nowhere holds no split.json; run 'dwcp split' first"),
        ([MODEL, "--spaces", "none.yaml"], 10, "cannot read none.yaml"),
        ([MODEL, "--set", "boosting_leafs=7"], 4, "did you mean 'boosting_leaves'"),
        ([MODEL, "--set", "boosting_leaves"], 4, "write KEY=VALUE"),
        ([MODEL, "--set", "validation_rows=200"], 4, "changes which examples are validated on"),
        ([MODEL, "--storage", "mysql://x/y"], 34, "cannot use the storage"),
    ],
)
def test_a_wrong_command_is_told_in_one_sentence(desk, monkeypatch, arguments, code, says):
    from click.testing import CliRunner

    from dwcp_ml.cli import main

    monkeypatch.chdir(desk)
    done = CliRunner().invoke(main, ["tune", *arguments])
    assert done.exit_code == code, done.output
    assert says in done.output
    assert "Traceback" not in done.output
