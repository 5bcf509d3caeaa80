#!/bin/bash
# run_fuzz.sh SOURCE BUILD SECONDS TARGET…: builds the fuzz targets with clang and libFuzzer in BUILD
# and runs them for SECONDS in all, from their corpora. What they find is kept in BUILD/crashes.
set -euo pipefail
source=$1 build=$2 seconds=$3 targets=("${@:4}")

if ! command -v clang >/dev/null; then
    echo 'skipped: fuzzing needs clang: run scripts/install-deps full'
    exit 77
fi
cmake -S "$source" -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug \
    -DPENSTOCK_FUZZ=ON >/dev/null
ninja -C "$build" "${targets[@]/#/fuzz_}"

passed=0 failed=0
for target in "${targets[@]}"; do
    mkdir -p "$build/crashes" "$build/found/$target"
    if "$build/bin/fuzz_$target" -max_total_time=$((seconds / ${#targets[@]})) -max_len=70000 \
        -artifact_prefix="$build/crashes/$target-" "$build/found/$target" \
        "$source/tests/fuzz/corpus/$target" 2>"$build/$target.log"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        tail -n 40 "$build/$target.log"
    fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
