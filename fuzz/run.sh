#!/usr/bin/env bash
# Fuzzes every target, or those named, for FUZZ_SECONDS (10) each, starting from the seeds in corpus/.
# Inputs that reach new code are kept outside the repository, and the next run continues from them. Inputs that crash a target or
# make it hang are written to fuzz/artifacts. Needs a C++ compiler for libFuzzer; the stable toolchain is enough.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
found="${SIDEDOOR_FUZZ:-${XDG_CACHE_HOME:-$HOME/.cache}/sidedoor/fuzz}"
target_dir="${CARGO_TARGET_DIR:-$here/../target}"
export CARGO_TARGET_DIR="$target_dir"
RUSTC_WRAPPER="$here/instrument.sh" cargo build --manifest-path "$here/Cargo.toml"

mapfile -t targets < <(find "$here/corpus" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort)
[ "$#" -eq 0 ] || targets=("$@")
passed=0
for target in "${targets[@]}"; do
    mkdir -p "$found/$target" "$here/artifacts/$target"
    echo "fuzz: $target"
    FUZZ_TARGET="$target" "$target_dir/debug/fuzz" -max_total_time="${FUZZ_SECONDS:-10}" -timeout=5 -rss_limit_mb=2048 \
        -max_len=16384 -artifact_prefix="$here/artifacts/$target/" -print_final_stats=1 -verbosity=0 \
        "$found/$target" "$here/corpus/$target" 2>&1 | grep -vE '^(stat::(average|new_units|slowest|peak)|WARNING: Failed to find function|INFO:|#####|"|$)' || exit 1
    passed=$((passed + 1))
done
echo "fuzz: $passed targets, no fault found"
