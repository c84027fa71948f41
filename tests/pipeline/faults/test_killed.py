"""kill -9 in the middle of every stage: whole outputs only, and the next run ends equal."""

import random
import signal

import pytest
import small

KILLS = 4  # at changes on disk, drawn for each stage; the last change always
FRACTIONS = (0.5, 0.85)  # of the stage's own time, where code other than Python writes


def plant(at, stage):
    """Outputs of an earlier run, unlike any that the stage makes."""
    for output in stage.outputs:
        path = at / output
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('"earlier"')
        else:
            path.mkdir(parents=True)
            (path / "earlier").write_text("earlier")


def in_outputs(found):
    """Digests by output rather than by file."""
    return {name: frozenset(files.items()) for name, files in found.items()}


def by_output(at, stage):
    """Output -> its files and their digests; nothing for one that is not there."""
    files = small.snapshot(at, stage)
    return {
        output: {f: d for f, d in files.items() if f == output or f.startswith(f"{output}/")}
        for output in stage.outputs
    }


@pytest.mark.parametrize("stage", small.STAGES[:-1], ids=lambda stage: stage.name)
def test_killed_stage_leaves_whole_outputs_and_runs_again_to_the_same_end(forks, place, stage):
    at, undisturbed = place(stage), place(stage, "undisturbed")
    done = forks.run(stage.name, undisturbed)
    assert done["error"] is None
    wanted = by_output(undisturbed, stage)
    whole = [in_outputs(wanted), in_outputs(by_output(at, stage))]
    plant(at, stage)
    whole.append(in_outputs(by_output(at, stage)))
    draw = random.Random(stage.name)  # noqa: S311 - the same moments every time
    steps = sorted({*draw.sample(range(1, done["steps"]), k=min(KILLS, done["steps"] - 1))})
    orders = [{"kill_step": step} for step in [*steps, done["steps"]]]
    orders += [{"kill_after_s": done["seconds"] * fraction} for fraction in FRACTIONS]
    killed = 0
    for order in orders:
        killed += forks.run(stage.name, at, **order)["signal"] == signal.SIGKILL
        now = in_outputs(by_output(at, stage))
        for output, files in now.items():
            assert files in [state[output] for state in whole], (order, output)
    assert killed >= len(orders) - len(FRACTIONS)
    assert forks.run(stage.name, at)["error"] is None
    assert by_output(at, stage) == wanted
    assert small.litter(at) == []
