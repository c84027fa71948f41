"""A small valid telemetry table made from the schema, and ways to write it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from dwcp_ml.telemetry.dataset import Manifest, write_manifest
from dwcp_ml.telemetry.finish import derived
from dwcp_ml.telemetry.parquet import RowGroups
from dwcp_ml.telemetry.schema import Column, arrow_schema, load_schema

SCHEMA = load_schema()
STEP_S = 60
START = pd.Timestamp("2025-03-01T00:00:00Z")
INCIDENT = {
    "incident_id": "inc-1",
    "node_id": "node-001",
    "type": "crash",
    "severity": "high",
    "start": "2025-03-01T00:30:00Z",
    "end": "2025-03-01T01:00:00Z",
}


def telemetry(nodes: int = 3, steps: int = 200, seed: int = 0) -> pd.DataFrame:
    """Rows within the contract, sorted by key: each node talks to the next one."""
    rng = np.random.default_rng(seed)
    rows = nodes * steps
    frame = {c.name: _values(c, rows, rng) for c in SCHEMA.columns if c.role != "derived"}
    frame["node_id"] = np.repeat([f"node-{i:03d}" for i in range(nodes)], steps)
    frame["peer_id"] = np.repeat([f"node-{(i + 1) % nodes:03d}" for i in range(nodes)], steps)
    frame["cluster_id"] = np.repeat([f"cluster-{i % 2}" for i in range(nodes)], steps)
    frame["timestamp"] = np.tile(START + pd.to_timedelta(np.arange(steps) * STEP_S, "s"), nodes)
    for low, high in SCHEMA.ordered_columns:
        frame[high] = np.maximum(frame[low], frame[high])
    return pd.DataFrame(frame)


def _values(column: Column, rows: int, rng: np.random.Generator) -> np.ndarray:
    if column.enum:
        return rng.choice(column.enum, rows)
    if column.type == "string" or column.type == "timestamp":
        return np.full(rows, "eu-1")
    if column.role == "label":
        return rng.integers(0, 2, rows)
    values = float(column.neutral) * rng.uniform(0.9, 1.1, rows)
    values = np.clip(values, column.min, column.max)
    return values.astype(np.float32) if column.type == "float32" else np.rint(values).astype(int)


def write_source(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path


def write_map(folder: Path, **column_map) -> Path:
    path = folder / "columns.yaml"
    path.write_text(yaml.safe_dump({"step_s": STEP_S, **column_map}))
    return path


def write_raw(
    frame: pd.DataFrame, raw: Path, *, source="simulator", parts: int = 1, **facts
) -> Path:
    """A raw folder written directly, as the simulator does, without any check."""
    import pyarrow as pa

    (raw / "telemetry").mkdir(parents=True)
    frame = frame.copy()
    micros = frame["timestamp"].astype("int64").to_numpy() // 1000
    for name, values in derived(micros).items():
        if name not in frame:
            frame[name] = values
    labels = [c for c in SCHEMA.names() if c in frame]
    kinds = pa.schema([f for f in arrow_schema(SCHEMA) if f.name in labels])
    nodes = np.array_split(frame["node_id"].unique(), parts)
    for i, chosen in enumerate(nodes):
        table = pa.Table.from_pandas(
            frame[frame["node_id"].isin(chosen)][labels], preserve_index=False
        )
        with RowGroups(raw / "telemetry" / f"part-{i:05d}.parquet", kinds) as writer:
            columns = [
                table[f.name].dictionary_encode()
                if pa.types.is_dictionary(f.type)
                else table[f.name].cast(f.type, safe=False)
                for f in kinds
            ]
            writer.write(pa.table(columns, schema=kinds))
    (raw / "labeled_incidents.json").write_text(json.dumps([INCIDENT]))
    manifest = {
        "source": source,
        "schema_version": SCHEMA.version,
        "step_s": STEP_S,
        "rows": len(frame),
        "series": len(frame[["node_id", "peer_id"]].drop_duplicates()),
        "start": frame["timestamp"].min().isoformat(),
        "end": frame["timestamp"].max().isoformat(),
        **facts,
    }
    write_manifest(raw, Manifest(**manifest))
    return raw
