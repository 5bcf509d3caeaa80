#!/bin/bash
# A bench that is terminated leaves neither files, nor the database that it had started, nor programs that these have started.
#
#   terminated_test.sh BENCH_FOLDER PENSTOCK
set -euo pipefail

benches=$1 penstock=$2
work=$(mktemp -d /dev/shm/penstock-terminated.XXXXXX)
chmod 755 "$work"
trap 'rm -rf "$work" "$work.err"' EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# terminate FILE COMMAND…: as soon as there is such a FILE (a pattern) below the place.
terminate() {
    local file=$1 status=0
    "${@:2}" >/dev/null 2>"$work.err" &
    for _ in $(seq 600); do
        [ -z "$(find "$work" -path "$file" -print -quit)" ] || break
        kill -0 $! 2>/dev/null || break
        sleep 0.1
    done
    kill -TERM $! 2>/dev/null || true
    wait $! || status=$?
    [ "$status" = 77 ] && return
    [ "$status" = 143 ] || fail "$2: exit $status, not 143: $(cat "$work.err")"
    [ -z "$(ls -A "$work")" ] || fail "$2 leaves $(find "$work" | head -n 3)"
    rm -f "$work.err"
}

terminate '*/source/0/0/*' "$benches/small_files_vs_tar" --penstock "$penstock" --place "$work" --pairs 1
terminate '*/.s.PGSQL.55433' "$benches/pgbench_beside" --penstock "$penstock" --place "$work" --cluster --scale 1
! pgrep -f "$work" || fail 'PostgreSQL still runs'
# What writes the first copy is a grandchild, or further: a shell's, that penstock-bench runs.
export PENSTOCK_BENCH_ANY_BUILD=1
terminate '*/copy/*' "$benches/peers" --penstock "$penstock" --place "$work" --kinds small --rounds 1
! pgrep -f "$work" || fail 'a program still runs'
