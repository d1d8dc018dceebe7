#!/usr/bin/env bash
# Tests the JavaScript for Salesforce: ESLint, jest, and headless Chromium with a real sidedoor; then the checks of Apex and metadata.
# Needs SIDEDOOR_BIN, Node 20 or later, npm and Chromium (set CHROMIUM if it is not in the PATH).
# Installs the packages pinned in package-lock.json, once for each version of that file.
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
: "${SIDEDOOR_BIN:?set it to the path of the sidedoor binary}"
export CHROMIUM="${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}"
[ -x "$CHROMIUM" ] || { echo "Chromium not found: install it (apt-get install chromium) or set CHROMIUM to its path" >&2; exit 1; }
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' ||
    { echo "Node 20 or later is required; found $(node --version)" >&2; exit 1; }

cd "$here"
pinned="$(sha256sum package-lock.json | cut -c1-16)"
if [ ! -f "node_modules/.complete-$pinned" ]; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    touch "node_modules/.complete-$pinned"
fi
npm run --silent lint
npm run --silent test:unit
npm run --silent test:browser
if [ -f tools-apex/package.json ]; then
    cd tools-apex
    npm ci --no-audit --no-fund --loglevel=error
    npm test
fi
