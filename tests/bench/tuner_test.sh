#!/bin/bash
# The commands of penstock-bench that measure whole runs, with sizes that take moments: that they run, and
# that what they print can be read; not what they measure.
#
#   tuner_test.sh PENSTOCK_BENCH
set -euo pipefail

bench=$1
work=$(mktemp -d /dev/shm/penstock-tuner.XXXXXX)
trap 'rm -rf "$work"' EXIT
export PENSTOCK_BENCH_ANY_BUILD=1

fail() {
    echo "FAILED: $*" >&2
    for file in "$work"/*.out "$work"/*.err; do [ -s "$file" ] && { echo "-- $file" >&2; tail -n 20 "$file" >&2; }; done
    exit 1
}

expect() { # exit code, name of the outputs, command…
    local code=$1 name=$2 status=0
    shift 2
    "$@" >"$work/$name.out" 2>"$work/$name.err" </dev/null || status=$?
    [ "$status" = "$code" ] || fail "$*: exit $status, not $code"
}

mkdir "$work/source" "$work/to"
for name in a b c; do head -c 300000 /dev/urandom >"$work/source/$name"; done

common='--repeat --runtime --ramp --seed --cpus --json'

# What every result begins with: the machine, the build, where files lay, and each option, given or not.
has_environment() { # FILE PLACES
    jq -es ".[0] | .message_type == \"environment\" and all(.host, .kernel, .cpu, .cpus, .numa_nodes, .memory, .load, .commit, .build, .command;
        type == \"string\" and . != \"\") and (.places | length == $2 and all(test(\": [a-z0-9.]+ on .* [(].+; .+[)]$\"))) and
        (.configuration | has($(sed 's/[^ ]*/"&"/g; s/ /, /g' <<<"$common")) and .\"--json\" == true)" "$1" >/dev/null ||
        fail "$1: the environment: $(head -n 1 "$1")"
}

echo '-- options that all have'
for name in sweep write scan restore verify run live fan-out forward empty-backup codec quic-cpu copy-hash listing small-files; do
    expect 0 options "$bench" "$name" --help
    for option in $common; do
        grep -q "^  $option " "$work/options.out" || fail "$name has no $option"
    done
done
[ "$("$bench" --help | grep -c '^  [a-z]')" = 16 ] || fail 'a subcommand that this test does not know'

echo '-- what prints JSON'
prints_json() { # NAME RESULTS OPTION...
    expect 0 json "$bench" "$1" "${@:3}" --json
    jq -se "(.[0].message_type == \"environment\") and ([.[1:][] | .message_type == \"result\" and .median_s > 0 and (.seconds | length) >= 2] | length == $2 and all)" \
        "$work/json.out" >/dev/null || fail "$1 prints other JSON"
    [ "$(jq -r .key "$work/json.out" | sort -u | wc -l)" -ge "$2" ] || fail "$1: two results of one key"
    has_environment "$work/json.out" "$places"
    expect 0 compare "$bench" compare "$work/json.out" "$work/json.out"
}
head -c 3M /dev/urandom >"$work/data"
places=0
prints_json copy-hash 1 --mib 2 --rounds 3
prints_json quic-cpu 3 --rounds 40
prints_json fan-out 8 --rounds 20 --threads 2 --cpus 0 --seed 3
prints_json copy-hash 1 --mib 1 --repeat 2 --runtime 1000 --ramp 0.05
jq -es '.[0].configuration["--runtime"] == 1000 and .[0].configuration["--mib"] == 1 and .[0].configuration["--file"] == null and
    (.[1].seconds | length) == 512' "$work/json.out" >/dev/null || fail 'copy-hash: until a time is over'
places=1
prints_json forward 8 --rounds 20 --signals 2000 --fetches 2 --over shm,udp
prints_json listing 2 --ldms 2 --rounds 3 "$work/source"
prints_json codec 12 --rounds 2 "$work/data"
prints_json empty-backup 5 --repeat 20
prints_json scan 1 --source "dir:$work/source" --repeat 2
mkdir "$work/small"
for name in a b c; do echo "$name" >"$work/small/$name"; done
prints_json small-files 10 --rounds 3 "$work/small"

echo '-- sweep'
sweep=("$bench" sweep --source "dir:$work/source" --to "$work/to" --ldms "1,2" --chunk "64K,1M" --depth 2 --direct off --compress "none,lz4")
expect 0 sweep "${sweep[@]}" --repeat 6
grep -q '^    penstock backup --ldms [12] --chunk \(64K\|1M\) --depth 2 --direct off --compress \(none\|lz4\)$' "$work/sweep.out" || fail 'no flags to copy'
# What it prints for --config is a file that penstock takes.
sed -n '/^\[backup\]$/,$p' "$work/sweep.out" | grep -v rounds >"$work/chosen.ini"
"$(dirname "$bench")/penstock" backup --config "$work/chosen.ini" --source "dir:$work/source" --to "$work/chosen" --quiet
expect 0 sweep-json "${sweep[@]}" --repeat 6 --json --cold
has_environment "$work/sweep-json.out" 2
jq -es '.[0] | (.command | contains("--chunk 64K,1M")) and .configuration["--chunk"] == "64K,1M" and .configuration["--cold"] == true and
    .configuration["--repeat"] == 6' "$work/sweep-json.out" >/dev/null || fail 'sweep: its configuration'
jq -es 'map(select(.message_type == "result")) | length == 8 and all(.[]; .rounds == 6 and (.seconds | length == 6) and .bytes == 900000 and
    .low_s <= .median_s and .median_s <= .high_s and (.key | startswith("backup cold --ldms ")))' "$work/sweep-json.out" >/dev/null || fail 'sweep: results'
jq -es 'map(select(.message_type == "choice") | .which) == ["fastest", "knee"]' "$work/sweep-json.out" >/dev/null || fail 'sweep: choices'
[ -z "$(ls "$work/to")" ] || fail 'sweep left something behind'
expect 2 sweep-bad "$bench" sweep --source "dir:$work/source" --to "$work/to" --ldms 1,x
expect 2 sweep-none "$bench" sweep --to "$work/to"
expect 2 sweep-extra "${sweep[@]}" more
grep -q "sweep takes no 'more'" "$work/sweep-extra.err" || fail 'sweep: what was wrong'
expect 2 sweep-many "${sweep[@]}" --repeat 513
expect 2 sweep-empty "$bench" sweep --source "dir:$work/source" --to '' # of a variable that is not set
expect 2 sweep-cpus "${sweep[@]}" --cpus 0-
expect 0 sweep-twice "$bench" sweep --source "dir:$work/source" --to "$work/to" --ldms 1,1 --chunk 1M --depth 2 --repeat 1 --json
[ "$(grep -c '"key"' "$work/sweep-twice.out")" = 1 ] || fail 'sweep: a value that a list has twice'
expect 1 sweep-fails "${sweep[@]}" --repeat 1 --penstock /bin/false
expect 1 sweep-cold "$bench" sweep --source synthetic:rows=10 --to "$work/to" --ldms 1 --repeat 1 --cold # there is nothing to read from a disk
[ -z "$(ls "$work/to")" ] || fail 'sweep: failed, it left something behind'
expect 0 sweep-other "$bench" sweep --source "dir:$work/source" --to "$work/to" --ldms 1 --chunk 1M --depth 2 --repeat 1 --json \
    --penstock "$(dirname "$bench")/penstock"
jq -es '.[0].penstock | test("/penstock: penstock [0-9.]+,commit: ")' "$work/sweep-other.out" >/dev/null || fail 'sweep: which program was measured'

echo '-- interrupted'
interrupt() { # signal, command…: as soon as it has made something
    local status=0
    "$bench" "${@:2}" >"$work/interrupted.out" 2>&1 &
    while [ -z "$(ls "$work/to")" ]; do
        kill -0 $! 2>/dev/null || fail "$2: ended before it was interrupted"
        sleep 0.1
    done
    kill "-$1" $!
    wait $! || status=$?
    [ $status = 1 ] || fail "$2: interrupted: exit $status"
    [ -z "$(ls "$work/to")" ] || fail "$2: interrupted, it left something behind"
}
interrupt TERM sweep --to "$work/to" --repeat 512 --source "dir:$work/source" --ldms 1
interrupt TERM live --to "$work/to" --repeat 512
interrupt HUP restore --from "$work/chosen" --to "$work/to" --repeat 512
interrupt TERM write --dir "$work/to" --bytes-per-file 16M --repeat 512
interrupt TERM empty-backup --dir "$work/to" --rounds 1000000
TMPDIR=$work/to interrupt TERM forward --rounds 1000000
"$bench" sweep --to "$work/to" --repeat 512 --source "dir:$work/source" --ldms 1 --json 2>"$work/interrupted.err" | true || :
[ -z "$(ls "$work/to")" ] || fail 'sweep: its reader has gone, and it left something behind'
# Killed, it can remove nothing: the next one does, but nothing of one that still runs.
"$bench" sweep --to "$work/to" --repeat 512 --source "dir:$work/source" --ldms 1 >/dev/null 2>&1 &
while [ -z "$(ls "$work/to")" ]; do sleep 0.1; done
kill -KILL $!
wait $! 2>/dev/null || true
flock "$work"/to/penstock-bench-*.lock true # what it had started has ended
mkdir "$work/to/penstock-bench-living" "$work/to/penstock-bench-other1"
exec 8>"$work/to/penstock-bench-living.lock"
flock 8
expect 0 sweep-next "$bench" sweep --source "dir:$work/source" --to "$work/to" --ldms 1 --chunk 1M --depth 2 --repeat 1
[ "$(ls "$work/to")" = $'penstock-bench-living\npenstock-bench-living.lock\npenstock-bench-other1' ] || fail "left: $(ls "$work/to")"
exec 8<&-
rm -r "$work/to"/penstock-bench-*
"$bench" write --dir "$work/to" --bytes-per-file 1M --repeat 512 >/dev/null 2>&1 &
while [ -z "$(ls "$work/to")" ]; do sleep 0.1; done
kill -KILL $!
wait $! 2>/dev/null || true
: >"$work/to/penstock-bench-killed.lock" # between two rounds
expect 0 write "$bench" write --dir "$work/to" --bytes-per-file 64K --repeat 1
[ -z "$(ls "$work/to")" ] || fail "write: what a killed one left is there: $(ls "$work/to")"
for place in full closed; do
    status=0
    if [ $place = full ]; then "$bench" write --dir "$work/to" --bytes-per-file 64K --repeat 1 >/dev/full 2>"$work/full.err" || status=$?
    else "$bench" write --dir "$work/to" --bytes-per-file 64K --repeat 1 >&- 2>"$work/full.err" || status=$?; fi
    [ $status = 1 ] || fail "write: standard output is $place: exit $status"
    grep -q 'standard output' "$work/full.err" || fail "write: standard output is $place, and it does not say so"
done

echo '-- compare'
sed 's/"seconds":\[[^]]*\]/"seconds":[1.1,1.2,1.3,1.2,1.1,1.2]/' "$work/sweep-json.out" >"$work/a"
sed 's/"seconds":\[[^]]*\]/"seconds":[0.9,0.8,0.7,0.8,0.9,0.8]/' "$work/sweep-json.out" >"$work/b"
expect 0 compare "$bench" compare --json "$work/a" "$work/b"
jq -es 'length == 8 and all(.[]; .verdict == "better" and .high < 1)' "$work/compare.out" >/dev/null || fail 'compare: better'
expect 0 compare "$bench" compare --json "$work/b" "$work/a"
jq -es 'all(.[]; .verdict == "worse" and .low > 1)' "$work/compare.out" >/dev/null || fail 'compare: worse'
expect 0 compare "$bench" compare "$work/a" "$work/a"
[ "$(grep -c 'not resolved' "$work/compare.out")" = 8 ] || fail 'compare: not resolved'
sed 's/"seconds":\[[^]]*\]/"seconds":[0.1,0.1,0.1]/' "$work/sweep-json.out" >"$work/few"
expect 0 compare "$bench" compare "$work/a" "$work/few"
[ "$(grep -c 'too few rounds.*not resolved' "$work/compare.out")" = 8 ] || fail 'compare: too few'
sed 's/"commit":"[^"]*"/"commit":"0000000"/' "$work/a" >"$work/other"
expect 0 compare "$bench" compare "$work/a" "$work/other"
grep -q '^commit: A [0-9a-f].*, B 0000000$' "$work/compare.out" || fail 'compare: it does not say what differs'
[ "$(grep -c ': A ' "$work/compare.out")" = 1 ] || fail 'compare: it says that more differs'
expect 0 compare "$bench" compare --json "$work/a" "$work/other"
jq -es 'map(select(.message_type == "difference")) | length == 1 and .[0].fact == "commit" and .[0].b == "0000000"' "$work/compare.out" >/dev/null ||
    fail 'compare: differences as JSON'
expect 1 compare "$bench" compare "$work/a" "$work/chosen.ini"
sed 's/"seconds":\[[^]]*\]/"seconds":[0.0,0.0]/' "$work/sweep-json.out" >"$work/zero"
expect 1 compare "$bench" compare --json "$work/zero" "$work/a" # a ratio to nothing is none
grep -q 'zero: line 2: no times above 0' "$work/compare.err" || fail 'compare: times of 0'
sed 's/"bytes":[0-9]*/"bytes":1800000/' "$work/b" >"$work/twice"
expect 0 compare "$bench" compare --json "$work/a" "$work/twice"
jq -es 'length == 8 and all(.[]; .verdict == "other bytes")' "$work/compare.out" >/dev/null || fail 'compare: twice as many bytes'
sed 's/"places":\["/&other/' "$work/a" >"$work/elsewhere"
expect 0 compare "$bench" compare "$work/a" "$work/elsewhere"
grep -q '^places: A "/dev/shm.*, B "other/dev/shm' "$work/compare.out" || fail 'compare: other places'
for number in $(seq 1100); do echo "{\"key\":\"$number\",\"seconds\":[1]}"; done >"$work/many"
expect 1 compare "$bench" compare "$work/many" "$work/many"
grep -q 'more than 1024' "$work/compare.err" || fail 'compare: more than it has room for'
expect 2 compare "$bench" compare "$work/a"

echo '-- write'
expect 0 write "$bench" write --dir "$work/to" --files 2 --bytes-per-file 1M --chunk 64K --depth 4 --repeat 3 --ramp 0.01 --json
jq -es '.[1] | .rounds == 3 and .bytes == 2097152 and .latency_us.count == 96 and .latency_us.p50 > 0 and .latency_us."p99.9" == null and
    ([.latency_us.buckets[][1]] | add) == 96' "$work/write.out" >/dev/null || fail 'write: its result'
has_environment "$work/write.out" 1
expect 0 write "$bench" write --dir "$work/to" --bytes-per-file 1M --sink null --repeat 1 --cpus 0
expect 2 write "$bench" write --dir "$work/to" --chunk 4097
expect 2 write "$bench" write --dir "$work/to" --cpus 4000
expect 2 write "$bench" write --dir "$work/to" --cpus 0-1000 # it would be measured on those that there are
odd=$'to\xff\xc3\xa4'
mkdir "$work/$odd"
expect 0 write "$bench" write --dir "$work/$odd" --bytes-per-file 64K --repeat 1 --json
iconv -f UTF-8 "$work/write.out" >/dev/null || fail 'write: JSON that is not UTF-8'
grep -q $'to\xef\xbf\xbd\xc3\xa4 ' "$work/write.out" || fail 'write: a name that is not UTF-8'
[ -z "$(ls "$work/to")" ] || fail 'write left something behind'

echo '-- restore, verify'
expect 0 restore "$bench" restore --from "$work/chosen" --to "$work/to" --repeat 2 --runtime 0.01 --json -- --ldms 1
has_environment "$work/restore.out" 2
jq -es '.[1] | .key == "restore --ldms 1" and .rounds >= 2 and .bytes == 900000' "$work/restore.out" >/dev/null || fail 'restore: its result'
[ -z "$(ls "$work/to")" ] || fail 'restore left something behind'
mv "$work/chosen" "$work/of:all"
expect 0 verify "$bench" verify --from "$work/of:all" --repeat 2 --cold --json
has_environment "$work/verify.out" 1
jq -es '.[0].places[0] | test("/of:all: ")' "$work/verify.out" >/dev/null || fail 'verify: where it read'
jq -es '.[1] | .key == "verify cold" and .rounds == 2 and .bytes > 900000' "$work/verify.out" >/dev/null || fail 'verify: its result'
expect 1 verify "$bench" verify --from "$work/source" --repeat 1
expect 2 verify "$bench" verify

echo '-- run'
expect 0 run "$bench" run --repeat 2 --json -- sh -c 'exec true'
has_environment "$work/run.out" 1
jq -es '.[1] | .key == "run sh -c exec true" and .rounds == 2 and .rss_bytes > 0 and .bytes == null' "$work/run.out" >/dev/null || fail 'run: its result'
expect 1 run "$bench" run -- false
expect 2 run "$bench" run

echo '-- live'
expect 0 live "$bench" live --to "$work/to" --bytes 4M --alone 0.2 --repeat 2 --json --peer "cp \"\$SOURCE/data.mdb\" \"\$TARGET\"" -- --ldms 1
jq -es 'map(select(.message_type == "result")) as $all |
    all("alone", "backup", "peer"; . as $phase | any($all[]; .key == "live " + $phase and .rounds == 2 and .latency_us.count > 0)) and
    any($all[]; .key == "live alone p50" and (.seconds | length == 2))' "$work/live.out" >/dev/null || fail 'live: its results'
has_environment "$work/live.out" 1
jq -es 'any(.[]; .message_type == "window" and .phase == "alone")' "$work/live.out" >/dev/null || fail 'live: its windows'
expect 0 live "$bench" live --to "$work/to" --alone 0.2 --repeat 1 --source "dir:$work/source" --json \
    --writer 'while :; do echo 12.5; echo nothing; sleep 0.01; done'
has_environment "$work/live.out" 2
jq -es 'map(select(.key == "live alone"))[0].latency_us | .count >= 1 and .max == 12.5' "$work/live.out" >/dev/null || fail 'live: the latencies of a command'
expect 1 live "$bench" live --to "$work/to" --repeat 1 --source "dir:$work/source" --writer true
grep -q 'the writer has ended by itself' "$work/live.err" || fail 'live: why it failed'
[ -z "$(ls "$work/to")" ] || fail 'live: failed, it left something behind'
expect 2 live "$bench" live --to "$work/to" --writer true

echo '-- signals'
expect 0 signals "$bench" fan-out --rounds 20 --threads 2 --json
jq -es 'map(select(.message_type == "result")) | length == 8 and all(.[]; (.seconds | length == 20) and .latency_us.count == 20 and .latency_us.p99 == null)' \
    "$work/signals.out" >/dev/null || fail 'fan-out: its results'
expect 0 signals "$bench" fan-out --repeat 20 --threads 2
[ "$(grep -cE ' +-  +-$' "$work/signals.out")" = 8 ] || fail 'fan-out: percentiles of too few'
expect 0 signals "$bench" fan-out --rounds 19 --threads 2 --json # one in each of 20 batches
jq -es 'map(select(.message_type == "result")) | all(.[]; .rounds == 20 and .latency_us.count == 20)' "$work/signals.out" >/dev/null ||
    fail 'fan-out: as many batches'
# Of a time that does not come there are as many batches as there may be; a ramp, a seed and a time are taken.
expect 0 signals "$bench" quic-cpu --rounds 20 --runtime 1000 --json
jq -es 'all(.[1:][]; .rounds == 512)' "$work/signals.out" >/dev/null || fail 'quic-cpu: until a time is over'
expect 0 signals "$bench" forward --rounds 20 --signals 20 --fetches 1 --over unix-1 --runtime 1000 --json
jq -es 'any(.[]; .key == "forward 1 unix-1 awake" and .latency_us.count == 512)' "$work/signals.out" >/dev/null ||
    fail 'forward: until a time is over'
expect 0 signals "$bench" fan-out --rounds 20 --threads 2 --runtime 0.1 --ramp 0.1 --seed 2
expect 0 signals "$bench" empty-backup --rounds 20 --runtime 0.1 --ramp 0.1 --seed 2
expect 0 signals "$bench" forward --rounds 20 --signals 2000 --fetches 2 --over shm,udp --json
jq -es '(.[0].message_type == "environment") and (map(select(.message_type == "result")) | length == 8 and all(.[]; .key | startswith("forward 1 ")) and
    (map(.rounds) == [20, 20, 20, 2, 20, 20, 20, 2]) and (.[1].latency_us | .count == 20 and .p99 == null) and .[3].latency_us.count == 2)' "$work/signals.out" >/dev/null ||
    fail 'forward: its results'
expect 0 signals "$bench" forward --rounds 20 --signals 2000 --over shm
grep -qE '^shm .* +- +- .* +- +- +[0-9.]+$' "$work/signals.out" || fail 'forward: percentiles of too few'
expect 2 signals "$bench" forward --over shm more
expect 0 signals "$bench" empty-backup --rounds 20 --json
jq -es 'map(select(.message_type == "result") | .key) | contains(["empty-backup shm backup, within the node"])' "$work/signals.out" >/dev/null ||
    fail 'empty-backup: its results'

expect 0 signals "$bench" listing --ldms 1 --repeat 5 "$work/source"
grep -qE '^1 LDMs +[0-9.]+ +\[ +-, +-\] +[0-9.]+ +\[ +-, +-\]$' "$work/signals.out" || fail 'listing: an interval of too few rounds'

echo '-- a build for debugging'
unset PENSTOCK_BENCH_ANY_BUILD
build=$(PENSTOCK_BENCH_ANY_BUILD=1 "$bench" write --dir "$work/to" --bytes-per-file 64K --repeat 1 --json | jq -r 'select(.build).build')
case $build in
Rel* | MinSizeRel) expect 0 debug "$bench" write --dir "$work/to" --bytes-per-file 64K --repeat 1 ;;
*) expect 2 debug "$bench" write --dir "$work/to" --bytes-per-file 64K --repeat 1 ;;
esac
expect 0 help "$bench" write --help
printf '#!/bin/sh\nprintf "penstock 1.2.3\\ncommit: abc\\nbuild: Debug, GNU\\n"\n' >"$work/old"
chmod +x "$work/old"
expect 2 debug "$bench" run --penstock "$work/old" --repeat 1 -- true
[ "${build#Rel}" = "$build" ] || grep -q "/old is a build for debugging (Debug)" "$work/debug.err" || fail 'a program that is a build for debugging'
