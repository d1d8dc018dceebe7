#!/usr/bin/env bash
# Runs boto3, simple-salesforce and jsforce against the fakes and the service, so that clients which we did not write check the
# vendors' shapes. SIDEDOOR_BIN names the sidedoor executable; sidedoor-fakes must be in the same folder. Makes a virtual
# environment outside the repository, once for each set of pinned requirements.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
: "${SIDEDOOR_BIN:?set it to the path of the sidedoor executable}"
pinned="$(sha256sum "$here/requirements.txt" | cut -c1-16)"
venv="${SIDEDOOR_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/sidedoor/venv-$pinned}"
if [ ! -f "$venv/.complete" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
    touch "$venv/.complete"
fi
# jsforce is installed beside its script, because Node finds modules only there. npm writes the marker file, which is older than
# the lock file when the installed versions may differ from it.
marker="$here/node/node_modules/.package-lock.json"
if [ ! -f "$marker" ] || [ "$here/node/package-lock.json" -nt "$marker" ]; then
    npm ci --silent --prefix "$here/node"
fi
cd "$here"
exec "$venv/bin/python" -m pytest --quiet -p no:cacheprovider "$@" .
