"""KServe's generated protocol buffers, without what importing the SDK brings along.

``import kserve`` takes seconds and hundreds of MB (pandas, the Kubernetes client), so the
generated module is loaded from the installed SDK by its file.
"""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

_MODULE = "protocol/grpc/grpc_predict_v2_pb2.py"
SERVICE = "inference.GRPCInferenceService"


def _generated() -> Any:
    package = find_spec("kserve")  # finds it, does not run it
    places = package.submodule_search_locations if package else None
    if not places:
        raise ModuleNotFoundError("the kserve package is not installed")
    spec = spec_from_file_location("grpc_predict_v2_pb2", Path(places[0]) / _MODULE)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"the kserve package holds no {_MODULE}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pb = _generated()
