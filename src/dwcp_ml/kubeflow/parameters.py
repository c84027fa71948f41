"""params.yaml as parameters of a pipeline, one a section, and back.

A step receives only the sections that it reads, so that a change of one model's section trains
that model alone: the cache knows a step by the content of what it is given.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dwcp_ml import models
from dwcp_ml.errors import ParamsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwcp_ml.params import Params

SECTIONS = ("simulate", "fresh", "split", "evaluate")
SOURCE = "pipeline parameters"


def pipeline_parameters(params: Params) -> dict[str, Any]:
    """Seed, gap and every section as the parameter file gives them.

    ``gap_steps`` follows from the models' windows; a step that reads none of their sections gets
    the number.
    """
    common = params.model_dump(mode="json", exclude_unset=True, include=set(SECTIONS))
    return {
        "seed": params.seed,
        "gap_steps": models.gap_steps(params),
        **{name: common.get(name, {}) for name in SECTIONS},
        **{name: params.sections.get(name, {}) for name in params.models},
    }


def read_parameters(**sections: Any) -> Params:
    """Params of some sections; those that are left out keep their defaults.

    Raises:
        ParamsError: an unknown key or an impossible value.
    """
    import yaml

    with TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_text(yaml.safe_dump(whole(sections)), encoding="utf-8")
        try:
            params = models.read_params(path)
        except ParamsError as error:
            raise ParamsError(str(error).replace(str(path), SOURCE)) from error
    return params.model_copy(update={"source": SOURCE})


def model_parameters(name: str, seed: int, section: Mapping[str, Any], **more: Any) -> Params:
    """Params for the steps of one model."""
    models.get(name)
    return read_parameters(seed=seed, models=[name], **{name: dict(section)}, **more)


def whole(value: Any) -> Any:
    """Numbers as they were written: the pipeline's structs know no integers, 8 arrives as 8.0."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
