#!/usr/bin/env bash
# Runs boto3, simple-salesforce and jsforce against the fakes and the service, so that clients written by others check that both
# behave as the vendors do. Needs SIDEDOOR_BIN, the path of the sidedoor binary. `make test-clients` sets it.
# Keeps its virtual environment outside the repository, one for each set of pinned requirements.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
: "${SIDEDOOR_BIN:?the path of the sidedoor binary}"
pinned="$(sha256sum "$here/requirements.txt" | cut -c1-16)"
venv="${SIDEDOOR_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/sidedoor/venv-$pinned}"
if [ ! -f "$venv/.complete" ]; then
    echo "Installing the Python clients into $venv"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
    touch "$venv/.complete"
fi
# jsforce goes beside its script, because Node.js looks for modules only there and in the folders above. npm writes the marker
# after a complete installation.
marker="$here/node/node_modules/.package-lock.json"
if [ ! -f "$marker" ] || [ "$here/node/package-lock.json" -nt "$marker" ]; then
    echo "Installing jsforce"
    npm ci --silent --prefix "$here/node"
fi
cd "$here"
exec "$venv/bin/python" -m pytest --quiet -p no:cacheprovider "$@" .
