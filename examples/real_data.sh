#!/usr/bin/env bash
# Real measurements through the same path as simulated ones: ingest, validate, split, train, export,
# evaluate, report. The verdict is what it is; a failed gate does not fail this script.
#
#   examples/real_data.sh FOLDER_OF_MEASUREMENTS OUTPUT_FOLDER
set -euo pipefail
data=$1 out=$2
here=$(dirname "$0")
if [ ! -d "$data" ]; then
  echo "error: no measurements in $data; set SHARED to the folder that holds data/" >&2
  exit 10
fi
mkdir -p "$out"

through() { # NAME FILE: one source through every stage
  local name=$1 file=$2 to=$out/$1
  echo "== $name: $(basename "$file")"
  dwcp ingest --map "$here/$name/columns.yaml" --out "$to/raw" "$file"
  dwcp validate --raw "$to/raw" --out "$to/reports"
  dwcp split --params "$here/$name/params.yaml" --raw "$to/raw" --out "$to/splits"
  dwcp train all --params "$here/$name/params.yaml" --data-path "$to/splits" --output-dir "$to/reports"
}

through etcd "$data/latency/etcd_v3_write_load.csv.gz"
python "$here/traffic/to_csv.py" "$data/nodes/jumpstarter_d2_services_0_7.npz" "$out/traffic.csv"
through traffic "$out/traffic.csv"
