"""Parameters of the consensus detector."""

from __future__ import annotations

from pydantic import Field

from dwcp_ml.models.base import ModelParams
from dwcp_ml.models.consensus_features import WINDOW


class ConsensusLatencyParams(ModelParams):
    """Section ``consensus_latency`` of params.yaml."""

    baseline_steps: int = Field(
        900, ge=WINDOW, description="history before the window; its median is the baseline"
    )
    holdout: float = Field(0.5, ge=0, lt=1, description="share of clusters kept for the test")
    train_stride: int = Field(40, ge=1, description="steps between two windows of a cluster")
    validation_stride: int = Field(4, ge=1)
    test_stride: int = Field(4, ge=1)
    fresh_stride: int = Field(8, ge=1)
    train_windows: int = Field(20_000, ge=100, description="at most; more are thinned evenly")
    validation_windows: int = Field(25_000, ge=100)
    test_windows: int = Field(42_000, ge=100, description="of the test part and of a fresh fleet")
    lstm_units: tuple[int, int] = (64, 32)
    dropout: float = Field(0.5, ge=0, lt=1, description="of the code, in training")
    window: int = Field(WINDOW, ge=8, description="newest steps, which are judged")
    context: bool = Field(False, description="read what else the leader reports, not latency alone")
    attention: bool = Field(False, description="let the steps of the encoder look at each other")
    spread_floor: float = Field(
        0.0,
        ge=0,
        description="least own spread that a cluster's log ratios are divided by; 0: none",
    )
    level_weight: float = Field(2.0, ge=0, description="weight of |median| in the score")
    threshold_percentile: float = Field(
        99.0, gt=50, lt=100, description="of the scores of normal validation windows"
    )
    epochs: int = Field(4, ge=1)
    batch_size: int = Field(256, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    patience: int = Field(2, ge=1)
    min_episode_recall: float = 0.95
    max_spike_alarms: float = 0.02
    slice_min_balanced_accuracy: float = 0.93
