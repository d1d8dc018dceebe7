#!/usr/bin/env bash
# Installs the modules of a peer service if they are missing, then becomes that service: run.sh python|node.
# The service reads PORT, STORE, CONNECT_URL, SALESFORCE_URL, KEY and EVENTS_KEY. `run.sh install` only installs both.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
pinned="$(sha256sum "$here/python/requirements.txt" | cut -c1-16)"
venv="${XDG_CACHE_HOME:-$HOME/.cache}/sidedoor/peer-venv-$pinned"

install_python() {
    [ ! -f "$venv/.complete" ] || return 0
    echo "Installing FastAPI, boto3 and simple-salesforce into $venv" >&2
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement "$here/python/requirements.txt" >&2
    touch "$venv/.complete"
}

# The modules go beside the program, because Node.js looks for them only there and in the folders above. npm writes the marker
# after a complete installation.
install_node() {
    local marker="$here/node/node_modules/.package-lock.json"
    if [ -f "$marker" ] && [ ! "$here/node/package-lock.json" -nt "$marker" ]; then return 0; fi
    echo "Installing Fastify, the AWS SDK, jsforce and better-sqlite3" >&2
    npm ci --silent --prefix "$here/node" >&2
}

case "${1:-}" in
install)
    install_python
    install_node
    ;;
python)
    install_python
    cd "$here/python"
    exec "$venv/bin/python" service.py
    ;;
node)
    install_node
    cd "$here/node"
    # better-sqlite3 needs Node.js 22, so package.json brings its own. The system's is used where it has none.
    program="$(find node_modules -maxdepth 3 -path '*/node-linux-*/bin/node' | head -1)"
    exec "${program:-node}" service.mjs
    ;;
*)
    echo "run.sh: expected install, python or node" >&2
    exit 2
    ;;
esac
