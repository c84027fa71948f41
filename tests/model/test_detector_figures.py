"""Plots of detectors show what the examples say."""

import numpy as np

from dwcp_ml.models.detector_figures import calibration


def test_calibration_sets_the_share_of_positives_against_the_mean_score_of_each_tenth():
    score = np.array([0.02, 0.04, 0.33, 0.35, 0.37, 0.39, 1.0, 0.97, 0.5])
    label = np.array([0, 0, 1, 0, 0, 0, 1, 1, 1])
    counted = np.arange(9) < 8  # the last one does not count
    figure = calibration(label, score, counted)
    means, shares = figure.series["model"]
    np.testing.assert_allclose(means, [0.03, 0.36, 0.985])
    np.testing.assert_allclose(shares, [0, 0.25, 1])


def test_a_score_that_says_what_happens_lies_on_the_diagonal():
    rng = np.random.default_rng(0)
    score = rng.uniform(size=50_000)
    figure = calibration(rng.uniform(size=50_000) < score, score, np.ones(50_000, bool))
    means, shares = figure.series["model"]
    assert figure.diagonal
    np.testing.assert_allclose(shares, means, atol=0.03)
