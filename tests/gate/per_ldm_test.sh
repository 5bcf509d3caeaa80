#!/bin/bash
# per_ldm_test.sh: whether a signal to an LDM and a chunk of one cost as many instructions, and miss
# the caches as often, however many LDMs there are, and whether a backup costs its proxy as much for
# each of many LDMs as of few, and its master for each node. Caches are callgrind's, of fixed sizes.
#
#   per_ldm_test.sh PER_LDM
#
# Exit 77: no valgrind here, or a processor without AVX2, for which checksums are computed in another way.
set -euo pipefail

TOLERANCE=5 # percent

per_ldm=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v valgrind >/dev/null || { echo 'skipped: valgrind is not installed (scripts/install-deps test)'; exit 77; }
grep -qw avx2 /proc/cpuinfo || { echo 'skipped: the checksums are those of a processor with AVX2'; exit 77; }
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX,-AVX512F,-ERMS,-FSRM,-Prefer_No_VZEROUPPER
valgrind --tool=callgrind --callgrind-out-file="$work/out" --collect-atstart=no --cache-sim=yes \
    --I1=32768,8,64 --D1=32768,8,64 --LL=33554432,16,64 "$per_ldm" >"$work/stdout" 2>"$work/stderr" ||
    { cat "$work/stderr" >&2; exit 1; }

# A file for each count: "desc: Trigger: Client Request: PATH SIZE UNITS SIGNALS", "events: Ir Dr …".
for file in "$work"/out.*; do
    awk '/^desc: Trigger: Client Request:/ { path = $5; size = $6; units = $7; signals = $8 }
         /^events:/ { for (i = 2; i <= NF; i++) at[$i] = i }
         /^(totals|summary):/ { for (name in at) n[name] = $at[name] }
         END { if (units > 0)
             printf "%s %d %.1f %.2f %.3f %.1f\n", path, size, n["Ir"] / units, (n["D1mr"] + n["D1mw"]) / units,
                    (n["DLmr"] + n["DLmw"]) / units, signals / units }' "$file"
done | sort -k1,1 -k2,2n >"$work/now"

printf '%-8s %5s %13s %10s %10s %8s\n' path size instructions 'D1 misses' 'LL misses' signals
awk '{ printf "%-8s %5d %13.1f %10.2f %10.3f %8s\n", $1, $2, $3, $4, $5, ($6 > 0 ? $6 : "") }' "$work/now"

# No size may cost more than the least of the sizes before it. A machine of one or two LDMs or nodes has
# the fixed cost of a backup in each share.
awk -v tolerance=$TOLERANCE '
    function expect(what, now, most) {
        if (now <= most * (1 + tolerance / 100))
            return
        printf "%s, %d: %s of a unit: %.1f, more than %.1f\n", $1, $2, what, now, most
        failed = 1
    }
    {
        if (!($1 in least) || $3 < least[$1]) least[$1] = $3
        expect("instructions", $3, least[$1])
    }
    $1 == "chunk" || $1 == "signal" { expect("misses of the last cache", $5, 0) }
    $1 == "chunk" { expect("misses of the first cache", $4, 1190) }
    $1 == "signal" { expect("misses of the first cache", $4, 34) }
    END { if (NR != 17) print NR, "counts, not 17"; exit failed || NR != 17 }' "$work/now" >&2
