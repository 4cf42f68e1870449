#!/usr/bin/env bash
# Runs `mckd run CONFIG` of this checkout as a job of a Ray cluster, follows its log, and ends with 1 if it fails.
# Start: RAY_ADDRESS=http://HEAD:8265 cluster/submit.sh configs/demo.yaml [-o key=value ...]
# Stop: ray job stop ID (the id is printed); a run that is submitted again does only what is left.
set -euo pipefail

[[ $# -gt 0 ]] || { echo "usage: cluster/submit.sh CONFIG [-o key=value ...]" >&2; exit 2; }
: "${RAY_ADDRESS:?set it to the address of the cluster, such as http://127.0.0.1:8265}"
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token} # `disabled` for a cluster that asks for no token

root=$(cd "$(dirname "$0")/.." && pwd)
ray=${RAY:-$root/.venv/bin/ray}
runtime_env='{"excludes": [".venv", ".git", "runs", "data"]}'
exec "$ray" job submit --working-dir "$root" --runtime-env-json "$runtime_env" -- python -m mckd_ray.cli run "$@"
