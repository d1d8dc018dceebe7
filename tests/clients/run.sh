#!/usr/bin/env bash
# boto3, simple-salesforce and jsforce against the fakes and the service: clients we did not write hold them to the vendors' shapes.
# Needs SIDEDOOR_BIN. Makes a virtual environment outside the repository, once for each set of pinned requirements.
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
# jsforce, beside its script: a module is found there only. npm's own marker tells whether it is what the lock file says.
marker="$here/node/node_modules/.package-lock.json"
if [ ! -f "$marker" ] || [ "$here/node/package-lock.json" -nt "$marker" ]; then
    npm ci --silent --prefix "$here/node"
fi
cd "$here"
exec "$venv/bin/python" -m pytest --quiet -p no:cacheprovider "$@" .
