#!/usr/bin/env bash
# Runs schemathesis against the service: it generates valid and invalid requests and checks every response against openapi.yaml.
# Needs SIDEDOOR_BIN, the path of the sidedoor binary. `make test-contract` sets it.
# Keeps its virtual environment outside the repository, one for each set of pinned requirements.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
: "${SIDEDOOR_BIN:?the path of the sidedoor binary}"
pinned="$(sha256sum "$here/requirements.txt" | cut -c1-16)"
venv="${SIDEDOOR_CONTRACT_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/sidedoor/contract-venv-$pinned}"
if [ ! -f "$venv/.complete" ]; then
    echo "Installing schemathesis into $venv"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
    touch "$venv/.complete"
fi
# -B: otherwise Python writes __pycache__ into the repository.
exec "$venv/bin/python" -B "$here/run.py" "$@"
