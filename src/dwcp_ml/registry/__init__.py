"""Registered versions: models/NAME/vMAJOR.MINOR/{model.onnx,metadata.json,card.md} and latest."""

from dwcp_ml.registry.lineage import lineage, lineage_lines
from dwcp_ml.registry.register import Registered, register
from dwcp_ml.registry.store import Entry, entries, entry_table, show
from dwcp_ml.registry.verify import verify

__all__ = [
    "Entry",
    "Registered",
    "entries",
    "entry_table",
    "lineage",
    "lineage_lines",
    "register",
    "show",
    "verify",
]
