#!/usr/bin/env bash
# Lints openapi.yaml with Spectral. First checks that each of our own rules reports the fault that broken.yaml has for it,
# because a rule that never reports anything would pass too.
# Needs Node.js and npm. Installs what package-lock.json pins outside the repository, once for each lock file.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
pinned="$(sha256sum "$here/package-lock.json" | cut -c1-16)"
tools="${SIDEDOOR_LINT:-${XDG_CACHE_HOME:-$HOME/.cache}/sidedoor/lint-$pinned}"
if [ ! -f "$tools/.complete" ]; then
    echo "Installing Spectral into $tools"
    rm -rf "$tools"
    mkdir -p "$tools"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$tools/"
    # Installation scripts stay off, because one dependency's script sends usage data to its vendor.
    (cd "$tools" && npm ci --ignore-scripts --silent)
    touch "$tools/.complete"
fi
spectral=("$tools/node_modules/.bin/spectral" lint --quiet --ruleset "$here/spectral.yaml")

findings="$("${spectral[@]}" --format text "$here/broken.yaml" || true)"
grep -oE '^  sidedoor-[a-z-]+' "$here/spectral.yaml" | while read -r rule; do
    grep -qE "\b$rule\b" <<<"$findings" || { echo "the rule $rule does not report its fault in broken.yaml" >&2; exit 1; }
done
"${spectral[@]}" --fail-severity=warn "$here/../../openapi.yaml"
echo "openapi.yaml: no problem found"
