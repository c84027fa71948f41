"""KServe V1, which is TensorFlow Serving's REST form: rows ("instances") or columns ("inputs")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.serving.answers import Answer, parsed, to_json
from dwcp_ml.serving.refusals import Refusal, WrongTensorError
from dwcp_ml.serving.tensors import checked, from_json

if TYPE_CHECKING:
    from dwcp_ml.serving.model import ServedModel
    from dwcp_ml.serving.tensors import Array


def predict(model: ServedModel, body: bytes, *, counted: bool = True) -> Answer:
    """Answer a ``:predict`` request.

    Rows are answered by {"predictions": [row, ...]}, columns by {"outputs": ...}. Where a model
    has several outputs a row is an object by output name, else the bare value.

    Raises:
        Refusal: the body is not such a request, or its values are refused.
    """
    request = parsed(body)
    rows, columns = request.get("instances"), request.get("inputs")
    if (rows is None) == (columns is None):
        raise Refusal('the body must hold either "instances" or "inputs"')
    by_column = columns if rows is None else _columns(model, rows)
    names = [spec.name for spec in model.manifest.inputs]
    if not isinstance(by_column, dict):
        if len(names) > 1:
            raise WrongTensorError(f"inputs must be named: {', '.join(names)}")
        by_column = {names[0]: by_column}
    feeds = {}
    for name, data in by_column.items():
        spec = model.input(name)
        feeds[name] = checked(from_json(data, spec), spec, model.max_rows)
    outputs = model.run(feeds, counted=counted)
    if rows is None:
        return to_json({"outputs": _named(model, outputs)}, headers=model.headers)
    return to_json({"predictions": _rows(model, outputs)}, headers=model.headers)


def status(model: ServedModel) -> dict[str, Any]:
    """What both KServe and TensorFlow Serving say of a model that answers."""
    state = {
        "version": model.version.removeprefix("v"),
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    return {"name": model.name, "ready": True, "model_version_status": [state]}


def _columns(model: ServedModel, rows: Any) -> Any:
    """Rows as objects by input name become one list a name."""
    if not isinstance(rows, list) or not rows or type(rows[0]) is not dict:
        return rows
    names = {spec.name for spec in model.manifest.inputs}
    if any(type(row) is not dict or set(row) != names for row in rows):
        raise WrongTensorError(f"each instance must hold {', '.join(sorted(names))} and no more")
    return {name: [row[name] for row in rows] for name in names}


def _named(model: ServedModel, outputs: list[Array]) -> Any:
    if len(outputs) == 1:
        return outputs[0]
    return dict(zip(model.output_names, outputs, strict=True))


def _rows(model: ServedModel, outputs: list[Array]) -> Any:
    if len(outputs) == 1:
        return outputs[0]
    names = model.output_names
    # Rows of float32 keep its short digits; the JSON writer does not know the runtime's integers.
    columns = [output.tolist() if output.dtype.kind == "i" else output for output in outputs]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
