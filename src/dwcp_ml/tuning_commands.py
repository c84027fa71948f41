"""`dwcp tune`: better parameters by trials on train and validation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dwcp_ml.console import FOLDER, PATH, params_option

if TYPE_CHECKING:
    from dwcp_ml.models.base import ModelParams


@click.command("tune")
@params_option
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="Trials that the study holds at the end; those it has already count.",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Trials at a time."
)
@click.option("--splits", type=FOLDER, default="data/splits", show_default=True)
@click.option("--spaces", type=PATH, default="tuning/spaces.yaml", show_default=True,
              help="What is varied.")  # fmt: skip
@click.option(
    "--storage",
    default="tuning/studies.db",
    show_default=True,
    help="A file, or the URL of a database that several machines share.",
)
@click.option("--study", help="Name of the study.  [default: MODEL]")
@click.option("--prune/--no-prune", default=True, show_default=True,
              help="End trials early that lag behind.")  # fmt: skip
@click.option("--write", "write_back", is_flag=True, help="Write the best values to the file.")
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="No study: train once with this value and print METRIC=FIGURE.",
)
@click.argument("model")
def tune_command(
    model: str, params_path: Path, settings: tuple[str, ...], write_back: bool, **options: Any
) -> None:
    """Search better parameters for MODEL.

    Every trial trains on the train part with other values and is scored by the model's primary
    metric on the validation part. The test part is never read. The first trial takes the values
    of the parameter file. A study goes on where it stopped, even after a kill; processes that
    name one --storage and --study share the work.

    \b
    What to do with the answer:
      dwcp tune MODEL                  look
      dwcp tune MODEL > tuned.patch    keep the diff for `git apply`
      dwcp tune MODEL --write          write it; then dvc repro
    """  # noqa: D301  click wants the character itself  # noqa: D301 (click reads the backspace)
    from dwcp_ml import models

    params = models.read_params(params_path)
    models.get(model)
    section = models.section(params, model)
    if settings:
        _once(model, section, settings, options["splits"])
    else:
        _study(model, section, params_path, write_back, options)


def _once(name: str, section: ModelParams, settings: tuple[str, ...], splits: Path) -> None:
    import yaml

    from dwcp_ml import models
    from dwcp_ml.errors import ParamsError
    from dwcp_ml.progress import EpochBar, bar
    from dwcp_ml.tuning.examples import TuningData
    from dwcp_ml.tuning.objective import score
    from dwcp_ml.tuning.space import with_values

    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            equals = ""
        if not (equals and text):
            raise ParamsError(f"--set {setting}: write KEY=VALUE, for example learning_rate=0.002")
    model, changed = models.get(name), with_values(section, values, "--set")
    data = TuningData(model, splits)
    data.check(changed, data.digest(section))
    with bar(f"train {name}") as tick:
        found = score(model, data, changed, EpochBar(tick))
    # Without an exponent, which Katib's collector did not always understand.
    click.echo(f"{model.primary_metric}={found:.10f}")


def _study(
    name: str, section: ModelParams, params_path: Path, write_back: bool, options: dict[str, Any]
) -> None:
    from dwcp_ml.progress import bar
    from dwcp_ml.tuning import writeback
    from dwcp_ml.tuning.result import result
    from dwcp_ml.tuning.space import read_space
    from dwcp_ml.tuning.study import Place
    from dwcp_ml.tuning.work import Task, tune

    place = Place(options["storage"], options["study"] or name)
    space = read_space(options["spaces"], name, section)
    task = Task(name, section, space, options["splits"], place, options["trials"], options["prune"])
    with bar(f"tune {name}") as tick:
        study = tune(task, options["jobs"], tick)
    if os.environ.get("MLFLOW_TRACKING_URI"):
        from dwcp_ml.tracking.after import after_study

        for line in after_study(study, name, os.environ):
            click.echo(line, err=True)
    found = result(study, task)
    for line in found.lines:
        click.echo(line, err=True)
    if not found.values:
        return
    before = writeback.read_text(params_path)
    after = writeback.edited(before, name, found.values, str(params_path))
    click.echo(writeback.diff(params_path, before, after), nl=False)
    if write_back:
        writeback.write(params_path, after)
        click.echo(f"written to {params_path}; 'dvc repro' trains with it", err=True)
