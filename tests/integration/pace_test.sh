#!/bin/bash
# --pace: never faster than asked for, whoever reads; a slow pace is progress, and ends at once when it
# is to; a node's is changed while a backup runs; auto gives way to pressure, and not below its floor.
#
#   pace_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/nodes.sh"

# expect_least SECONDS COMMAND…: it succeeds, and takes so long at least. The first 0.1 s are free, and
# a piece for each thread.
expect_least() {
    local least=$1 began elapsed
    began=$(date +%s%N)
    expect_exit 0 "${@:2}"
    elapsed=$((($(date +%s%N) - began) / 1000000))
    [ "$elapsed" -ge "$((least * 1000 - 500))" ] || fail "${*:2}: only $elapsed ms, not $least s"
}

mkdir "$disk/tree"
for i in 1 2 3; do random_bytes 8000000 >"$disk/tree/$i"; done
mkdir "$disk/one"
random_bytes 12000000 >"$disk/one/1"

a_rate_is_kept() {
    expect_least 3 "$penstock" backup --source "dir:$disk/tree" --to "$disk/to" --pace 7M --json
    expect_json '.[-1].pace.mode == "rate" and .[-1].pace.rate == 7340032 and .[-1].pace.held_ns == 0'
    expect_least 3 "$penstock" backup --source "dir:$disk/tree" --to "$disk/to" --pace 7M --ldms 2 --verify
    expect_output 'paced at 7.0 MiB/s'
    expect_least 3 "$penstock" verify --from "$disk/to" --pace 7M --ldms 2
    expect_least 3 "$penstock" restore --from "$disk/to" --pace 7M --ldms 2 --target "$disk/target"
    cmp "$disk/tree/2" "$disk/target/2"
    expect_least 3 "$penstock" backup --source synthetic:rows=24000,row-bytes=1000 --to "$disk/to" --pace 7M
}

# A chunk takes longer than a scan may stand still, and that longer than a busy machine does.
a_slow_pace_is_progress() {
    expect_exit 0 "$penstock" backup --source "dir:$disk/one" --to "$disk/to" --pace 1M --chunk 16M --stall-limit 6s
}

# Nor does what is read back, by whole buffers, take the time of the request that it is part of.
a_slow_read_back_is_progress() {
    expect_exit 0 "$penstock" backup --source "dir:$disk/one" --to "$disk/to" --pace 1M --chunk 8M --ldms 1 --verify \
        --freeze-wait 1s --freeze-hold 1s --request-limit 6s
}

# Minutes of budget are missing.
an_interrupt_does_not_wait() {
    local began
    random_bytes 100000000 >"$disk/tree/large"
    began=$(date +%s)
    "$penstock" backup --source "dir:$disk/tree" --to "$disk/to" --pace 1M 2>"$memory/err" &
    wait_until grep -q 'LDM' "$memory/err"
    sleep 0.5
    kill -TERM $!
    status=0
    wait $! || status=$?
    [ "$status" -eq 130 ] || fail "an interrupted backup exits with $status"
    [ $(($(date +%s) - began)) -lt 60 ] || fail 'an interrupt waits for the budget'
}

a_node_changes_its_pace() {
    local client node
    "$penstock" node --cluster "pace-$$" --id 1 --socket "$memory/1.socket" --source "dir:$disk/tree" --to "$disk/node" \
        --fabric-dir "$memory/fabric" --pace 1M --ldms 2 2>"$memory/1.log" &
    node=$!
    wait_until sees_live 1 1
    expect_exit 0 "$penstock" status --node "$memory/1.socket" --json
    expect_json '.[0].pace | .mode == "rate" and .rate == 1048576 and .limit == .rate and .reason == "set"'
    "$penstock" backup --node "$memory/1.socket" >"$memory/client" 2>&1 &
    client=$!
    wait_until sees 1 '.ldms[0].source_bytes > 0'
    expect_exit 0 "$penstock" pace --node "$memory/1.socket" auto --min-rate 5M --json
    # less than 8: an LDM was quicker than the answer, and others used a disk of late
    expect_json '.[0] | .mode == "auto" and .min_rate == 5242880 and .rate == 0 and .depth >= 1 and .depth <= 8'
    expect_exit 0 "$penstock" pace --node "$memory/1.socket" 1M
    expect_exit 0 "$penstock" pace --node "$memory/1.socket" max
    expect_output '^pace: max$'
    wait_until grep -q 'is complete' "$memory/client"
    wait "$client"
    expect_exit 0 "$penstock" status --node "$memory/1.socket"
    expect_output '^pace: max$'
    for wrong in 0 500K 3x 2T automatic; do
        expect_exit 2 "$penstock" pace --node "$memory/1.socket" "$wrong"
        expect_message "pace $wrong: give max, auto, or bytes a second"
    done
    expect_exit 2 "$penstock" pace --node "$memory/1.socket"
    kill -TERM "$node"
    wait "$node"
}

what_is_no_pace_is_refused() {
    expect_exit 2 "$penstock" backup --source "dir:$disk/tree" --to "$disk/to" --pace fast
    expect_message 'pace fast: give max, auto, or bytes a second'
    expect_exit 2 "$penstock" restore --from "$disk/to" --target "$disk/none" --pace 1K
    expect_exit 2 "$penstock" verify --from "$disk/to" --min-rate 1K
}

# Files in the place of the kernel's, by which some thread of another waits for a disk all the time.
auto_gives_way() { # in a mount namespace of its own
    local name
    for name in io cpu; do
        echo 'some avg10=0.00 avg60=0.00 avg300=0.00 total=0' >"$memory/$name"
        mount --bind "$memory/$name" "/proc/pressure/$name"
    done
    (
        while sleep 0.01; do
            printf 'some avg10=50.00 avg60=0.00 avg300=0.00 total=%016d\n' "$(($(date +%s%N) / 1000))" 1<>"$memory/io"
        done
    ) &
    expect_exit 0 "$penstock" backup --source synthetic:rows=3000000,row-bytes=1000 --to null: --pace auto --min-rate 400M --json
    expect_json '.[-1].pace | .mode == "auto" and .io_ns > 0 and .held_ns >= .io_ns and .cpu_ns == 0'
    # 0: it was over while only its depth was held back
    expect_json '.[-1].pace.lowest_limit | . == 0 or . >= 419430400'
    kill $!
}

if [ "${3:-}" = under ]; then
    auto_gives_way
    exit
fi
a_rate_is_kept
a_slow_pace_is_progress
a_slow_read_back_is_progress
an_interrupt_does_not_wait
a_node_changes_its_pace
what_is_no_pace_is_refused
if [ "$(id -u)" -eq 0 ] && [ -e /proc/pressure/io ] && unshare -m true 2>/dev/null; then
    unshare -m "$0" "$penstock" "$2" under
else
    echo 'not root, or no pressure files: auto is left to its unit test'
fi
