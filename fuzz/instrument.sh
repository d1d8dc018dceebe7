#!/usr/bin/env bash
# A rustc wrapper: this project's own code gets libFuzzer's coverage counters, its dependencies are built as ever (and so are not
# built again). All of these are flags of the stable compiler.
set -euo pipefail
name=""
previous=""
for word in "$@"; do
    [ "$previous" = "--crate-name" ] && name="$word"
    previous="$word"
done
case "$name" in
sidedoor | fuzz)
    exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=16
    ;;
*) exec "$@" ;;
esac
