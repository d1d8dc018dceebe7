#!/usr/bin/env bash
# Tests the Salesforce side: run.sh [unit|browser|apex …]; without an argument, all three.
#   unit     lints the JavaScript and runs jest
#   browser  runs the components in headless Chromium against a running sidedoor; needs SIDEDOOR_BIN
#   apex     parses, type-checks and lints the Apex classes and checks the metadata; some of its tests need Java
# Needs Node.js 20 or later and npm. Installs what each package-lock.json pins, once for each lock file.
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
# shellcheck source=scripts/programs.sh
. "$here/../../scripts/programs.sh"
has node || { echo "Node.js 20 or later with npm is missing; run scripts/bootstrap test" >&2; exit 1; }

install_pinned() {
    local pinned
    pinned="$(sha256sum package-lock.json | cut -c1-16)"
    [ ! -f "node_modules/.complete-$pinned" ] || return 0
    echo "Installing the npm packages of $PWD"
    npm ci --no-audit --no-fund --loglevel=error "$@"
    touch "node_modules/.complete-$pinned"
}

[ "$#" -gt 0 ] || set -- unit browser apex
for part in "$@"; do
    cd "$here"
    case "$part" in
    unit)
        install_pinned --ignore-scripts
        npm run --silent lint
        npm run --silent test:unit
        ;;
    browser)
        : "${SIDEDOOR_BIN:?the path of the sidedoor binary}"
        CHROMIUM="$(find_chromium)" || { echo "Chromium is missing; run scripts/bootstrap test, or set CHROMIUM to its path" >&2; exit 1; }
        export CHROMIUM
        install_pinned --ignore-scripts
        npm run --silent test:browser
        ;;
    apex)
        cd tools-apex
        install_pinned
        npm test
        ;;
    *)
        echo "unknown part \`$part\`; expected unit, browser or apex" >&2
        exit 2
        ;;
    esac
done
