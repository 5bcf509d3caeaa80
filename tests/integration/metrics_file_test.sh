#!/bin/bash
# --metrics-file: whole and readable whatever happens, of the end that the command had, and a failure
# takes no success away.
set -euo pipefail
# shellcheck source=lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v promtool >/dev/null || fail 'promtool is missing: run scripts/install-deps test'
mkdir "$disk/metrics"
file=$disk/metrics/job.prom

value() { # NAME
    awk -v name="penstock_run_last_$1" 'index($1, name "{") == 1 { print $2; n++ } END { exit n != 1 }' "$file" ||
        fail "not one $1"
}

# run EXIT COMMAND…: with the file, which is then sound and says how it ended.
run() {
    expect_exit "$1" "$penstock" "${@:2}" --metrics-file "$file"
    local complaints
    complaints=$(promtool check metrics <"$file" 2>&1) || fail "promtool: $complaints"
    [ -z "$complaints" ] || fail "promtool: $complaints"
    [ "$(value exit_code)" = "$1" ] || fail "exit code $1 is not in the file"
    [ "$(names_below "$disk/metrics")" = ./job.prom ] || fail "left behind: $(names_below "$disk/metrics")"
    grep -oE '^penstock_[a-z_]+' "$file" >>"$memory/names"
    [ "$(stat -c %a "$file")" = 644 ] || fail 'not everybody may read it'
}

make_tree "$disk/tree" 5 1
umask 077
run 0 backup --source "dir:$disk/tree" --to "$disk/to" --ldms 1
[ "$(value success_source_bytes)" = $((100000 + (1 << 20))) ] || fail 'other bytes than were backed up'
[ "$(value success_number)" = 1 ] || fail 'not the number of the backup'
ended=$(value success_timestamp_seconds)
[ "$(value timestamp_seconds)" = "$ended" ] || fail 'a success ends when the run does'

run 1 backup --source "dir:$disk/none" --to "$disk/to"
expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/to" --dry-run --metrics-file "$file"
[ "$(value exit_code)" = 1 ] || fail 'a dry run hides a failure'
[ "$(value success_timestamp_seconds)" = "$ended" ] || fail 'a failure took the success away'
[ "$(value timestamp_seconds)" != "$ended" ] || fail 'a failure has its own time'

run 0 backup --source "dir:$disk/tree" --to "$disk/to" --label odd --ldms 1
grep -q 'label="odd"' "$file" || fail 'the label is missing'

# of another job nothing is kept
run 0 verify --from "$disk/to"
run 1 backup --source "dir:$disk/none" --to "$disk/to"
! grep -q success "$file" || fail 'the success of verify is none of backup'

run 0 verify --from "$disk/to"
ended=$(value success_timestamp_seconds)
flip "$disk/to/BACKUP-2/BACKUP-2-PART-1-OF-1/BACKUP-2.1.data" 8200
run 1 verify --from "$disk/to"
[ "$(value success_timestamp_seconds)" = "$ended" ] || fail 'damage took the success away'
# done, but not all: the newest one is passed over
for manifest in "$disk"/to/BACKUP-2/BACKUP-2.cluster.manifest*; do flip "$manifest" 10; done
run 3 verify --from "$disk/to"
[ "$(value success_timestamp_seconds)" != "$ended" ] || fail 'done but not all is done'
[ "$(value success_verified_number)" = 1 ] || fail 'not the backup that was verified'
run 0 prune --from "$disk/to" 2
[ "$(value success_pruned_backups)" = 1 ] || fail 'not one backup was pruned'

# what the rules ask for is printed, and what is printed is described
docs=$(dirname "${BASH_SOURCE[0]}")/../../docs
while read -r name; do
    grep -qx "$name" "$memory/names" || fail "docs/metrics asks for $name, which no run prints"
done < <(grep -ohE 'penstock_run_[a-z_]+' "$docs/metrics/alerts.yml" "$docs/metrics/dashboard.json" | sort -u)
while read -r name; do
    grep -qF "\`$name\`" "$docs/metrics.md" || fail "docs/metrics.md lacks $name"
done <"$memory/names"

# what is no file stays as it is, and the work is done all the same
mkfifo "$disk/fifo"
ln -s "$file" "$disk/link"
echo 'data of somebody' >"$disk/data"
for odd in "$disk/fifo" "$disk/link" "$disk/tree" "$disk/none/job.prom" "$disk/data"; do
    before=$(stat -c '%F %i' "$odd" 2>/dev/null || true)
    expect_exit 3 "$penstock" backup --source synthetic:rows=1 --to "$disk/to" --metrics-file "$odd"
    expect_message 'the metrics cannot be written: '
    [ "$(stat -c '%F %i' "$odd" 2>/dev/null || true)" = "$before" ] || fail "$odd was replaced"
done
[ "$(cat "$disk/data")" = 'data of somebody' ] || fail 'a file of somebody else was replaced'
: >"$disk/metrics/empty.prom"
expect_exit 0 "$penstock" backup --source synthetic:rows=1 --to "$disk/to" --metrics-file "$disk/metrics/empty.prom"
expect_exit 2 "$penstock" backup --node "$memory/none" --metrics-file "$file"
# and what the environment says of it is for backups without a node
cp "$file" "$memory/before"
expect_exit 1 env PENSTOCK_METRICS_FILE="$file" "$penstock" backup --node "$memory/none"
cmp "$memory/before" "$file"
