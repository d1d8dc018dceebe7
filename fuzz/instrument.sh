#!/usr/bin/env bash
# A rustc wrapper that gives libFuzzer's coverage counters to our own crates. It leaves the dependencies as they are, so that they are
# not compiled again. The stable compiler has all of these flags.
set -euo pipefail
name=""
previous=""
for word in "$@"; do
    [ "$previous" = "--crate-name" ] && name="$word"
    previous="$word"
done
case "$name" in
sidedoor | sidedoor_domain | clock_calibration | fuzz)
    exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=16
    ;;
*) exec "$@" ;;
esac
