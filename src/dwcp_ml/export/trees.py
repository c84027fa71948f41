"""scikit-learn's tree ensembles as a single ONNX operator, written down directly.

A converter that follows the estimators node by node makes thousands of operators of an isolation
forest; one TreeEnsembleRegressor answers a hundred times faster. Thresholds are rounded down to
float32: for every float32 x, ``x <= threshold`` then says the same as in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import ModelProto, NodeProto, TensorProto

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
BATCH = "batch"


@dataclass(frozen=True)
class Tree:
    """One binary tree, its nodes in arrays of the same length, the root first.

    Attributes:
        feature: column that a node reads; ignored at leaves.
        threshold: a row goes left if its value is at most this.
        left: position of the left child; ignored at leaves.
        right: position of the right child; ignored at leaves.
        leaf: whether the node is a leaf.
        weight: what a leaf adds to the sum; ignored elsewhere.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    leaf: NDArray[np.bool_]
    weight: NDArray[np.float64]


def from_isolation_forest(
    forest: Any, threshold: float, *, score: str = "anomaly_score", label: str = "is_anomaly"
) -> ModelProto:
    """The graph of an ``IsolationForest``: features to score in 0..1 and label.

    The score is ``-forest.score_samples(features)`` = 2 ** (-mean path length / c), where c is the
    average path length of a search that fails in a tree of max_samples points (Liu, Ting and Zhou,
    "Isolation Forest", ICDM 2008). A leaf's weight is its depth plus the average path length of
    the points that training left in it, over the number of trees.

    Args:
        forest: fitted on float32 or float64 numbers without missing values.
        threshold: the label is 1 where the score exceeds it; see ``threshold.settled``.
        score: name of the (batch,) float32 output.
        label: name of the (batch,) int64 output.
    """
    trees = [
        _isolation_tree(estimator.tree_, columns, len(forest.estimators_))
        for estimator, columns in zip(forest.estimators_, forest.estimators_features_, strict=True)
    ]
    expected = float(_average_path_length(np.array([forest.max_samples_]))[0])
    if expected <= 0:
        raise ExportError("the isolation forest was fitted on a single row per tree")
    tail = [
        _node("Mul", ["sum", "scale"], ["exponent"]),
        _node("Pow", ["two", "exponent"], ["power"]),
    ]
    tensors = [_scalar("scale", -1 / expected), _scalar("two", 2.0)]
    return _decision(_ensemble(trees, 0.0), tail, tensors, forest, threshold, (score, label))


def from_gradient_boosting(
    classifier: Any, threshold: float, *, score: str = "anomaly_score", label: str = "is_anomaly"
) -> ModelProto:
    """The graph of a two-class ``HistGradientBoostingClassifier`` on numeric features.

    The score is ``predict_proba(features)[:, 1]``: the logistic function of the sum of the leaves.

    Args:
        classifier: fitted on two classes, without categorical features.
        threshold: the label is 1 where the score exceeds it; see ``threshold.settled``.
        score: name of the (batch,) float32 output.
        label: name of the (batch,) int64 output.
    """
    if len(classifier.classes_) != 2 or classifier.is_categorical_ is not None:
        raise ExportError("only two-class boosting on numeric features can be exported")
    trees = [_boosted_tree(stage[0].nodes) for stage in classifier._predictors]
    base = float(np.ravel(classifier._baseline_prediction)[0])
    tail = [_node("Sigmoid", ["sum"], ["power"])]
    return _decision(_ensemble(trees, base), tail, [], classifier, threshold, (score, label))


def float32_below(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is at most each value."""
    nearest = values.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > values, below, nearest).astype(np.float32)


def _isolation_tree(tree: Any, columns: NDArray[np.int64], trees: int) -> Tree:
    leaf = tree.children_left < 0
    depth = np.zeros(tree.node_count)
    for node in np.flatnonzero(~leaf):  # parents come before their children
        depth[tree.children_left[node]] = depth[tree.children_right[node]] = depth[node] + 1
    length = depth + _average_path_length(tree.n_node_samples)
    feature = np.asarray(columns)[np.where(leaf, 0, tree.feature)]
    return Tree(
        feature, tree.threshold, tree.children_left, tree.children_right, leaf, length / trees
    )


def _average_path_length(points: NDArray[np.int64]) -> NDArray[np.float64]:
    """c(n) = 2 H(n - 1) - 2 (n - 1) / n; equation 1 of the same paper, H as there: ln + gamma."""
    n = np.asarray(points, np.float64)
    many = np.maximum(n, 3)
    path = 2 * (np.log(many - 1) + np.euler_gamma) - 2 * (many - 1) / many
    return np.where(n > 2, path, np.where(n == 2, 1.0, 0.0))


def _boosted_tree(nodes: NDArray[np.void]) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    return Tree(
        nodes["feature_idx"],
        nodes["num_threshold"],
        nodes["left"].astype(np.int64),
        nodes["right"].astype(np.int64),
        leaf,
        nodes["value"],
    )


def _ensemble(trees: Sequence[Tree], base: float) -> NodeProto:
    """One TreeEnsembleRegressor: (batch, features) to the sum of the leaves, (batch, 1)."""
    size = [len(tree.leaf) for tree in trees]
    tree_id = np.repeat(np.arange(len(trees)), size)
    node_id = np.concatenate([np.arange(n) for n in size])
    leaf = np.concatenate([tree.leaf for tree in trees])

    def inner(name: str) -> NDArray[Any]:
        return np.where(leaf, 0, np.concatenate([getattr(tree, name) for tree in trees]))

    weight = np.concatenate([tree.weight for tree in trees])[leaf]
    return _node(
        "TreeEnsembleRegressor",
        ["features"],
        ["sum"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=[base],
        nodes_treeids=tree_id.tolist(),
        nodes_nodeids=node_id.tolist(),
        nodes_featureids=inner("feature").tolist(),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_values=float32_below(inner("threshold")).tolist(),
        nodes_truenodeids=inner("left").tolist(),
        nodes_falsenodeids=inner("right").tolist(),
        target_treeids=tree_id[leaf].tolist(),
        target_nodeids=node_id[leaf].tolist(),
        target_ids=np.zeros(len(weight), int).tolist(),
        target_weights=weight.tolist(),
    )


def _decision(
    ensemble: NodeProto,
    tail: Sequence[NodeProto],
    tensors: Sequence[TensorProto],
    estimator: Any,
    threshold: float,
    names: tuple[str, str],
) -> ModelProto:
    """Ensemble, its score in ``power`` (batch, 1), and the label where it exceeds the threshold."""
    from onnx import TensorProto, helper, numpy_helper

    score, label = names
    nodes = [
        ensemble,
        *tail,
        _node("Squeeze", ["power", "last"], [score]),
        _node("Greater", [score, "threshold"], ["above"]),
        _node("Cast", ["above"], [label], to=TensorProto.INT64),
    ]
    axis = numpy_helper.from_array(np.array([1], np.int64), "last")
    shape = [BATCH, int(estimator.n_features_in_)]
    graph = helper.make_graph(
        nodes,
        "trees",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(score, TensorProto.FLOAT, [BATCH]),
            helper.make_tensor_value_info(label, TensorProto.INT64, [BATCH]),
        ],
        [*tensors, axis, _scalar("threshold", threshold)],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _node(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> NodeProto:
    from onnx import helper

    return helper.make_node(operator, inputs, outputs, **attributes)


def _scalar(name: str, value: float) -> TensorProto:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(value, np.float32), name)
