"""Studies of a small real model in this process, in a SQLite file."""

import optuna
import pytest
from toy_model import NAME
from tunable import Tunable, make_splits, make_task

from dwcp_ml import models
from dwcp_ml.errors import ParamsError, StudyError
from dwcp_ml.tuning.examples import TuningData
from dwcp_ml.tuning.objective import Pruning, score
from dwcp_ml.tuning.result import result
from dwcp_ml.tuning.study import ERROR, VALUES, Place, finished
from dwcp_ml.tuning.work import tune

STATE = optuna.trial.TrialState


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    yield make_splits(tmp_path_factory.mktemp("toy"))
    models.available().pop(NAME, None)


def run(task):
    return tune(task, 1, lambda done, total: None)


def values(study):
    return [t.user_attrs[VALUES]["gain"] for t in study.trials]


def test_the_first_trial_has_the_present_values_and_the_best_beats_them(tmp_path, data):
    task = make_task(tmp_path, data, 12, gain=1.5)
    study = run(task)
    assert values(study)[0] == 1.5
    found = result(study, task)
    assert abs(found.values["gain"] - 1) < 0.3
    assert any("gates" in line for line in found.lines)


def test_no_better_trial_than_the_present_changes_nothing(tmp_path, data):
    task = make_task(tmp_path, data, 3, gain=1.0)
    found = result(run(task), task)
    assert found.values == {}
    assert "no trial is better" in found.lines


def test_a_study_goes_on_and_its_trials_stay(tmp_path, data):
    first = run(make_task(tmp_path, data, 4))
    before = [(t.number, t.value, t.params) for t in first.trials]
    model = Tunable()
    second = run(make_task(tmp_path, data, 7, model=model))
    assert [(t.number, t.value, t.params) for t in second.trials][:4] == before
    assert len(finished(second)) == 7
    assert len(model.told) == 3  # no trial was repeated
    assert len(set(values(second))) == 7  # and none was drawn twice


def test_a_resumed_study_draws_what_an_uninterrupted_one_draws(tmp_path, data):
    run(make_task(tmp_path, data, 3, early=None, study="halves"))
    halves = run(make_task(tmp_path, data, 6, early=None, study="halves"))
    whole = run(make_task(tmp_path, data, 6, early=None, study="whole"))
    assert values(halves) == values(whole)


def test_pruned_trials_stop_early(tmp_path, data):
    task = make_task(tmp_path, data, 14, gain=1.1)
    study = run(task)
    pruned = {t.number for t in study.trials if t.state == STATE.PRUNED}
    assert pruned
    lengths = [len(epochs) for epochs in task.model.told]
    assert all(lengths[n] < 8 for n in pruned)
    assert all(lengths[t.number] == 8 for t in study.trials if t.number not in pruned)


@pytest.mark.parametrize("primary", ["mape_pct", "recall"])
def test_trials_that_lag_are_pruned_whichever_way_the_metric_goes(tmp_path, data, primary):
    task = make_task(tmp_path, data, 14, gain=1.1, model=Tunable(primary))
    study = run(task)
    ends = {state: [abs(t.user_attrs[VALUES]["gain"] - 1) for t in study.trials if t.state == state]
            for state in (STATE.COMPLETE, STATE.PRUNED)}  # fmt: skip
    assert min(ends[STATE.PRUNED]) > min(ends[STATE.COMPLETE])
    assert sum(ends[STATE.PRUNED]) / len(ends[STATE.PRUNED]) > 0.1


def test_a_keras_training_ends_with_the_epoch_that_is_pruned(splits):
    model = models.get("compression_selector")
    section = model.params_type(train_rows=1000, validation_rows=300, epochs=6)
    trial = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=0.0)).ask()
    with pytest.raises(optuna.TrialPruned, match="behind at epoch 1 of 6"):
        score(model, TuningData(model, splits), section, Pruning(trial, "val_loss", 1.0))


def test_without_a_figure_to_stop_by_every_trial_runs_to_its_end(tmp_path, data):
    task = make_task(tmp_path, data, 8, early=None)
    assert {t.state for t in run(task).trials} == {STATE.COMPLETE}


@pytest.mark.filterwarnings("ignore:Heartbeat")
def test_a_trial_cut_off_before_it_said_who_runs_it_is_run_again(tmp_path, data, monkeypatch):
    run(make_task(tmp_path, data, 2)).ask()  # as a worker does that is killed then
    monkeypatch.setattr("dwcp_ml.tuning.study.NAMELESS_S", 0.1)
    study = run(make_task(tmp_path, data, 4))
    assert [t.state for t in study.trials].count(STATE.FAIL) == 1
    assert len(finished(study)) == 4


def test_a_failed_trial_is_recorded_and_the_study_goes_on(tmp_path, data):
    task = make_task(tmp_path, data, 10, early=None, gain=1.2, breaks_above=1.4)
    study = run(task)
    failed = [t for t in study.trials if t.state == STATE.FAIL]
    assert failed
    assert all(t.user_attrs[ERROR] == "TrainingError: gain is too large" for t in failed)
    assert len(finished(study)) == 10
    assert f"{len(failed)} failed" in result(study, task).lines[0]


def test_a_study_without_a_complete_trial_says_why(tmp_path, data):
    task = make_task(tmp_path, data, 2, breaks_above=0.1)
    with pytest.raises(StudyError, match=r"none of 2 trials.*gain is too large"):
        result(run(task), task)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"rounds": 9}, "parameters beside the space"),
        ({"vary": {"gain": {"low": 0.6, "high": 2.0}}}, "space"),
        ({"model": Tunable("recall")}, "metric"),
        ({"lag": 5}, "validation data"),
    ],
)
def test_a_study_of_something_else_is_refused(tmp_path, data, other, what):
    run(make_task(tmp_path, data, 1))
    with pytest.raises(StudyError, match=f"another .*{what}.*--study another name"):
        run(make_task(tmp_path, data, 2, **other))


def test_a_study_of_another_model_is_refused(tmp_path, data):
    task = make_task(tmp_path, data, 1)
    run(task)
    other = Tunable()
    other.name = "toy_two"
    with pytest.raises(StudyError, match=r"\(of toy\).*another model"):
        run(make_task(tmp_path, data, 1, model=other))


def test_a_key_that_changes_the_validation_examples_is_refused_before_any_trial(tmp_path, data):
    task = make_task(tmp_path, data, 3, vary={"lag": {"low": 1, "high": 9}})
    with pytest.raises(ParamsError, match="changes which examples are validated on"):
        run(task)
    assert not (tmp_path / "studies.db").exists()


def test_a_wrong_figure_to_stop_by_names_the_nearest(tmp_path, data):
    with pytest.raises(ParamsError, match="'val_los'; did you mean 'val_loss'"):
        run(make_task(tmp_path, data, 3, early="val_los"))


def test_examples_are_read_once_while_no_parameter_of_theirs_differs(tmp_path, data):
    task = make_task(tmp_path, data, 1)
    kept = TuningData(task.model, data)
    one = kept.examples("train", task.section)
    assert kept.examples("train", task.section.model_copy(update={"gain": 1.7})) is one
    assert len(kept.examples("train", task.section.model_copy(update={"lag": 3}))) == len(one) - 2


@pytest.mark.parametrize(
    ("storage", "says"),
    [
        (
            "postgresql://me:secret@localhost:1/x",
            "cannot use the storage postgresql://me:\\*\\*\\*@",
        ),
        ("nonsense://x", "cannot use the storage nonsense://x"),
        ("sqlite:////proc/none/x.db", "unable to open database file"),
    ],
)
def test_a_storage_that_cannot_be_reached_is_named_without_its_password(
    tmp_path, data, storage, says
):
    task = make_task(tmp_path, data, 1)
    with pytest.raises(StudyError, match=says) as caught:
        run(type(task)(**vars(task) | {"place": Place(storage, "x")}))
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path, data):
    (tmp_path / "studies.db").write_text("my notes, which are long enough to be no header" * 9)
    with pytest.raises(StudyError, match="file is not a database"):
        run(make_task(tmp_path, data, 1))
    assert (tmp_path / "studies.db").read_text().startswith("my notes")
