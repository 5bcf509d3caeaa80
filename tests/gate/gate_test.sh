#!/bin/bash
# Compares the instructions that a unit of work of each hot path takes with those on record, in
# tests/gate/instructions. More than TOLERANCE percent of them, or less, fails: less means that the record
# is to be made anew, with --record, in the commit that explains why.
#
#   gate_test.sh HOT_PATHS RECORD [--record]
#
# Exit 77: no valgrind here, another compiler than that of the record, or a processor without AVX2, for which
# checksums are computed in another way.
set -euo pipefail

TOLERANCE=4

hot_paths=$1
record=$2
mode=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v valgrind >/dev/null || { echo 'skipped: valgrind is not installed (scripts/install-deps test)'; exit 77; }
grep -qw avx2 /proc/cpuinfo || { echo 'skipped: the record is of a processor with AVX2'; exit 77; }
# glibc chooses its copies by the processor, so it is given the plainest.
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX,-AVX512F,-ERMS,-FSRM,-Prefer_No_VZEROUPPER
valgrind --tool=callgrind --callgrind-out-file="$work/out" "$hot_paths" >"$work/stdout" 2>"$work/stderr" ||
    { cat "$work/stderr" >&2; exit 1; }

# A file for each path: "desc: Trigger: Client Request: NAME UNITS", and "totals: INSTRUCTIONS".
for file in "$work"/out.*; do
    awk '/^desc: Trigger: Client Request:/ { name = $5; units = $6 }
         /^(totals|summary):/ { total = $2 }
         END { if (units > 0) printf "%s %.1f\n", name, total / units }' "$file"
done | sort >"$work/now"
compiler=$(cat "$work/stdout")

if [ "$mode" = --record ]; then
    { echo "# Instructions of a unit of work, by tests/gate/gate_test.sh --record"; echo "# $compiler"; cat "$work/now"; } >"$record"
    cat "$record"
    exit 0
fi
grep -qxF "# $compiler" "$record" || { echo "skipped: the record is of $(sed -n 2p "$record"), this is $compiler"; exit 77; }
grep -v '^#' "$record" | sort >"$work/record"

status=0
join -a 1 -a 2 -e missing -o 0,1.2,2.2 "$work/record" "$work/now" | awk -v tolerance=$TOLERANCE '
    BEGIN { printf "%-22s %10s %10s  %s\n", "path", "on record", "now", "change" }
    $2 == "missing" || $3 == "missing" { printf "%-22s %10s %10s  FAILED\n", $1, $2, $3; failed = 1; next }
    { change = 100 * ($3 - $2) / $2
      failed += out = change > tolerance || change < -tolerance
      printf "%-22s %10.1f %10.1f  %+.1f %%%s\n", $1, $2, $3, change, out ? "  FAILED" : "" }
    END { exit failed > 0 }' || status=1
[ $status = 0 ] || echo "more than $TOLERANCE % off: a slow-down, or a record to be made anew: $0 $hot_paths $record --record" >&2
exit $status
