"""Native models on disk without pickle, the same bytes for the same model."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.export import quiet
from dwcp_ml.files import sha256

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip file holds
SCHEMA = "schema.json"  # of skops
# Types of scikit-learn that skops does not trust by itself; nothing else is ever loaded.
TRUSTED = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)


def save_sklearn(estimator: Any, path: Path) -> None:
    """Write a scikit-learn estimator in skops' format.

    skops names things after their memory addresses; they are numbered in order of appearance.
    """
    import io

    from skops.io import dumps

    with zipfile.ZipFile(io.BytesIO(dumps(estimator))) as source:
        schema = json.loads(source.read(SCHEMA))
        names: dict[str, str] = {}
        _renumber(schema, names, {})
        with zipfile.ZipFile(path, "w") as target:
            _add(target, SCHEMA, json.dumps(schema).encode())
            for old, new in names.items():
                _add(target, new, source.read(old))


def load_sklearn(path: Path) -> Any:
    """Read what ``save_sklearn`` wrote; UnreadableFileError for anything else."""
    from skops.io import load
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return load(path, trusted=list(TRUSTED))
    except (
        OSError,
        KeyError,
        zipfile.BadZipFile,
        zlib.error,
        UntrustedTypesFoundException,
    ) as error:
        raise UnreadableFileError(f"{path} is not a model that can be loaded: {error}") from error


def save_keras(network: Any, folder: Path, name: str = "network") -> None:
    """Write NAME.json (the architecture) and NAME.weights.h5 into an existing folder.

    Weights carry no checksum of their own, so NAME.sha256 holds the digests of both files. Loss
    and optimiser are left out: they are code of the model, and not needed to answer.
    """
    architecture = json.loads(network.to_json())
    architecture.pop("compile_config", None)
    text = json.dumps(architecture, indent=1)
    bare = quiet.keras().models.model_from_json(text)
    bare.set_weights(network.get_weights())
    (folder / f"{name}.json").write_text(text, encoding="utf-8")
    bare.save_weights(folder / f"{name}.weights.h5")
    (folder / f"{name}.sha256").write_text(_digest(folder, name), encoding="utf-8")


def load_keras(folder: Path, name: str = "network") -> Any:
    """Read what ``save_keras`` wrote; layers come from Keras itself, no code from the file.

    Raises:
        UnreadableFileError: a file is missing, or is not what was written.
    """
    keras = quiet.keras()
    try:
        if (folder / f"{name}.sha256").read_text(encoding="utf-8") != _digest(folder, name):
            raise UnreadableFileError(f"the network in {folder} is damaged; train it again")
        text = (folder / f"{name}.json").read_text(encoding="utf-8")
        network = keras.models.model_from_json(text)
        network.load_weights(folder / f"{name}.weights.h5")
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UnreadableFileError(f"{folder} holds no readable network: {reason}") from error
    return network


def _digest(folder: Path, name: str) -> str:
    """Digests of the two files of a network."""
    return "".join(f"{sha256(folder / f'{name}{end}')}\n" for end in (".json", ".weights.h5"))


def _renumber(value: Any, names: dict[str, str], numbers: dict[int, int]) -> None:
    """Replace identities and file names by running numbers, in place."""
    if isinstance(value, list):
        for item in value:
            _renumber(item, names, numbers)
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "__id__" and isinstance(item, int):
                value[key] = numbers.setdefault(item, len(numbers))
            elif key == "file" and isinstance(item, str):
                value[key] = names.setdefault(item, f"{len(names)}{Path(item).suffix}")
            else:
                _renumber(item, names, numbers)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content)
