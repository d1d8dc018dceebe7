#!/usr/bin/env bash
# Tests the fakes and the service with boto3, simple-salesforce and jsforce, because independent clients check the vendors' formats.
# Needs SIDEDOOR_BIN. Creates a virtual environment outside the repository, one for each set of pinned requirements.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
: "${SIDEDOOR_BIN:?the path of the sidedoor binary}"
pinned="$(sha256sum "$here/requirements.txt" | cut -c1-16)"
venv="${SIDEDOOR_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/sidedoor/venv-$pinned}"
if [ ! -f "$venv/.complete" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
    touch "$venv/.complete"
fi
# Installs jsforce beside its script, because Node finds modules only there. npm's marker file is newer than the lock file if it is current.
marker="$here/node/node_modules/.package-lock.json"
if [ ! -f "$marker" ] || [ "$here/node/package-lock.json" -nt "$marker" ]; then
    npm ci --silent --prefix "$here/node"
fi
cd "$here"
exec "$venv/bin/python" -m pytest --quiet -p no:cacheprovider "$@" .
