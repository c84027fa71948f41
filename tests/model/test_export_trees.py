"""Tree ensembles of the real size against scikit-learn."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest

from dwcp_ml.errors import ExportError
from dwcp_ml.export.canonical import canonical
from dwcp_ml.export.parity import check_parity
from dwcp_ml.export.session import open_session, row_latency, score
from dwcp_ml.export.threshold import settled
from dwcp_ml.export.trees import float32_below, from_gradient_boosting, from_isolation_forest

RNG = np.random.default_rng(3)
ROWS = RNG.normal(size=(6000, 6)).astype(np.float32)
ROWS[:300] += 4
LABEL = (np.arange(6000) < 300).astype(int)


@pytest.fixture(scope="module")
def forest():
    return IsolationForest(n_estimators=100, random_state=42).fit(ROWS)


@pytest.fixture(scope="module")
def boosting():
    model = HistGradientBoostingClassifier(max_iter=100, random_state=42)
    flipped = LABEL ^ (RNG.random(6000) < 0.02)  # noise, so that all 100 stages are used
    return model.fit(ROWS, flipped)


def test_isolation_forest_is_one_tree_operator_and_equals_score_samples(forest):
    threshold = settled(-forest.score_samples(ROWS), 0.95)

    def native(rows):
        anomaly = -forest.score_samples(rows)
        return {"anomaly_score": anomaly, "is_anomaly": (anomaly > threshold).astype(np.int64)}

    model = canonical(from_isolation_forest(forest, threshold))
    assert [n.op_type for n in model.graph.node].count("TreeEnsembleRegressor") == 1
    assert len(model.graph.node) < 8
    session = open_session(model.SerializeToString())
    parity = check_parity(session, native, ROWS, relative=0, absolute=1e-5)
    assert parity.boundary_labels == {"is_anomaly": 0}
    assert 0.02 < native(ROWS)["is_anomaly"].mean() <= 0.05
    assert row_latency(session, ROWS, runs=300).p50_ms < 1


def test_isolation_forest_on_some_of_the_columns_reads_the_right_ones():
    forest = IsolationForest(n_estimators=20, max_features=0.5, random_state=1).fit(ROWS)
    session = open_session(from_isolation_forest(forest, 0.5).SerializeToString())
    got = score(session, ROWS)["anomaly_score"]
    np.testing.assert_allclose(got, -forest.score_samples(ROWS), atol=1e-5)


def test_gradient_boosting_equals_predict_proba(boosting):
    threshold = settled(boosting.predict_proba(ROWS)[:, 1], 0.95)

    def native(rows):
        anomaly = boosting.predict_proba(rows)[:, 1]
        return {"anomaly_score": anomaly, "is_anomaly": (anomaly > threshold).astype(np.int64)}

    model = canonical(from_gradient_boosting(boosting, threshold))
    session = open_session(model.SerializeToString())
    assert check_parity(session, native, ROWS).boundary_labels == {"is_anomaly": 0}
    assert row_latency(session, ROWS, runs=300).p50_ms < 1


def test_rows_that_sit_on_a_split_go_the_same_way(boosting, forest):
    """Values equal to a threshold rounded to float32, and the two float32 beside it."""
    splits = np.concatenate([p[0].nodes["num_threshold"] for p in boosting._predictors])
    splits = np.concatenate([splits, *(e.tree_.threshold for e in forest.estimators_)])
    near = splits.astype(np.float32)
    near = np.concatenate([near, np.nextafter(near, 9, dtype="f4"), np.nextafter(near, -9)])
    rows = np.repeat(near[:, None], 6, axis=1).astype(np.float32)
    got = score(open_session(from_gradient_boosting(boosting, 0.5).SerializeToString()), rows)
    expected = boosting.predict_proba(rows)[:, 1]
    np.testing.assert_allclose(got["anomaly_score"], expected, atol=1e-5)
    got = score(open_session(from_isolation_forest(forest, 0.5).SerializeToString()), rows)
    np.testing.assert_allclose(got["anomaly_score"], -forest.score_samples(rows), atol=1e-5)


def test_three_classes_are_refused():
    model = HistGradientBoostingClassifier(max_iter=2).fit(ROWS, np.arange(6000) % 3)
    with pytest.raises(ExportError, match="two-class"):
        from_gradient_boosting(model, 0.5)


def test_float32_below_never_rounds_up():
    values = RNG.normal(size=10000) * 10.0 ** RNG.integers(-30, 30, 10000)
    below = float32_below(values)
    assert (below.astype(np.float64) <= values).all()
    assert (np.nextafter(below, np.float32(np.inf)).astype(np.float64) > values).all()


def test_settled_threshold_lies_between_scores_and_keeps_the_quantile():
    scores = np.repeat([0.1, 0.2, 0.2000001, 0.3, 0.9], 20)
    assert settled(scores, 0.5) == pytest.approx(0.25)  # the near twins are not parted
    assert settled(scores, 0.99) > 0.9
    fine = RNG.random(5000)
    assert 0.95 <= (fine <= settled(fine, 0.95)).mean() < 0.96
