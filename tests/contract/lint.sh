#!/usr/bin/env bash
# Lints openapi.yaml with Spectral, after a check that each of our own rules reports a violation.
# Needs node and npm. Installs what package-lock.json lists outside the repository, once for each lock file.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
pinned="$(sha256sum "$here/package-lock.json" | cut -c1-16)"
tools="${SIDEDOOR_LINT:-${XDG_CACHE_HOME:-$HOME/.cache}/sidedoor/lint-$pinned}"
if [ ! -f "$tools/.complete" ]; then
    rm -rf "$tools"
    mkdir -p "$tools"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$tools/"
    # Without install scripts, because a linter needs none and one of its dependencies would send telemetry.
    (cd "$tools" && npm ci --ignore-scripts --silent)
    touch "$tools/.complete"
fi
spectral=("$tools/node_modules/.bin/spectral" lint --quiet --ruleset "$here/spectral.yaml")

said="$("${spectral[@]}" --format text "$here/broken.yaml" || true)"
grep -oE '^  sidedoor-[a-z-]+' "$here/spectral.yaml" | while read -r rule; do
    grep -qE "\b$rule\b" <<<"$said" || { echo "the rule $rule reports nothing for broken.yaml" >&2; exit 1; }
done
"${spectral[@]}" --fail-severity=warn "$here/../../openapi.yaml"
echo "openapi.yaml: no problem found"
