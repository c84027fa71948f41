"""Write the Katib experiments from tuning/spaces.yaml, params.yaml and the components' resources.

python manifests/tuning/make.py            write katib-MODEL.yaml, images by their local tags
python manifests/tuning/make.py OUT        the same into OUT, with the images of build/images.json
python manifests/tuning/make.py --check    exit 1 where a file here is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from dwcp_ml import models
from dwcp_ml.files import write_text
from dwcp_ml.kubeflow.settings import IMAGES, Settings, read_images, read_metadata
from dwcp_ml.tuning.katib import Pod, experiment
from dwcp_ml.tuning.space import read_space

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HEAD = "# Written by manifests/tuning/make.py from tuning/spaces.yaml; edit that.\n"


def manifests(images: Settings) -> dict[str, str]:
    """File name and text of every model's experiment."""
    params = models.read_params(ROOT / "params.yaml")
    found = {}
    for name in params.models:
        section = models.section(params, name)
        space = read_space(ROOT / "tuning" / "spaces.yaml", name, section)
        needs = read_metadata(ROOT / "components" / f"train_{name}")
        pod = Pod(
            images.image(needs.image),
            (needs.cpu.request, needs.cpu.limit),
            (needs.memory.request, needs.memory.limit),
            needs.deadline_minutes * 60,
        )
        manifest = experiment(models.get(name), space, pod, seed=section.seed)
        text = yaml.safe_dump(manifest, sort_keys=False, width=110)
        found[f"katib-{name.replace('_', '-')}.yaml"] = HEAD + text
    return found


def main(arguments: list[str]) -> int:
    """Write or check; the exit code."""
    if arguments == ["--check"]:
        old = [n for n, text in manifests(Settings()).items() if _read(HERE / n) != text]
        if old:
            print(f"out of date: {', '.join(old)}; run {sys.argv[0]}", file=sys.stderr)
        return int(bool(old))
    out = Path(arguments[0]) if arguments else HERE
    settings = Settings(images=read_images(ROOT / IMAGES)) if arguments else Settings()
    for name, text in manifests(settings).items():
        write_text(out / name, text)
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
