#!/usr/bin/env bash
# The JavaScript for Salesforce: lints, jest, then headless Chromium against a real sidedoor; then the checks of the Apex side, where
# they are. Needs SIDEDOOR_BIN, Node 20 or later, npm, and Chromium (CHROMIUM names another than /usr/bin/chromium).
# Installs what package-lock.json pins, once for each lock file.
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
: "${SIDEDOOR_BIN:?the path of the sidedoor binary}"
export CHROMIUM="${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}"
[ -x "$CHROMIUM" ] || { echo "Chromium is needed: apt-get install chromium, or name one in CHROMIUM" >&2; exit 1; }
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' ||
    { echo "Node 20 or later is needed, and this is $(node --version)" >&2; exit 1; }

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
