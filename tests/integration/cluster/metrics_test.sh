#!/bin/bash
# What a node says in metrics: promtool finds nothing to complain of, and the numbers are those of the
# backups that were made.
#
#   metrics_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
command -v promtool >/dev/null || fail 'promtool is missing: run scripts/install-deps test'

make_tree "$disk/tree" 10 1
"$penstock" node --cluster "metrics-$$" --id 1 --nodes 1-2 --socket "$memory/1.socket" --ldms 2 --to "$disk/to" \
    --source "dir:$disk/tree" --fabric-dir "$memory/fabric" 2>>"$memory/1.log" &
wait_until sees_live 1 1

# read_metrics FILE: the metrics, in both formats, of which promtool checks the one that it reads.
read_metrics() {
    expect_exit 0 "$penstock" metrics --node "$memory/1.socket" --format prometheus
    promtool check metrics <"$memory/out" >"$memory/complaints" 2>&1 || fail "promtool: $(cat "$memory/complaints")"
    [ ! -s "$memory/complaints" ] || fail "promtool: $(cat "$memory/complaints")"
    expect_exit 0 "$penstock" metrics --node "$memory/1.socket"
    [ "$(tail -n 1 "$memory/out")" = '# EOF' ] || fail 'OpenMetrics end in EOF'
    cp "$memory/out" "$1"
}

# value FILE NAME [LABELS]: of the one sample whose labels have these after cluster and node.
value() {
    awk -v name="$2{cluster=\"metrics-$$\",node=\"1\"${3:+,}${3:-}}" '$1 == name { print $2; n++ } END { exit n != 1 }' "$1" ||
        fail "not one $2{${3:-}}"
}

expect_value() { # WANTED FILE NAME [LABELS]
    local found
    found=$(value "${@:2}")
    [ "$found" = "$1" ] || fail "$3{${4:-}} is $found, not $1"
}

a_new_node_has_made_nothing() {
    read_metrics "$memory/new"
    expect_value 0 "$memory/new" penstock_backups_total 'outcome="complete"'
    expect_value 1 "$memory/new" penstock_peer_state 'peer="2",state="missing"'
    ! grep -q last_success "$memory/new" || fail 'a success before the first backup'
}

a_success_shows() {
    expect_exit 3 "$penstock" backup --node "$memory/1.socket" --allow-missing
    read_metrics "$memory/success"
    expect_value 1 "$memory/success" penstock_backups_total 'outcome="partial"'
    expect_value $((200000 + (1 << 20))) "$memory/success" penstock_backup_source_bytes_total
    expect_value 1 "$memory/success" penstock_backup_last_success_number
    local ended now
    ended=$(value "$memory/success" penstock_backup_last_success_timestamp_seconds)
    now=$(date +%s)
    [ $((now - ${ended%.*})) -lt 600 ] || fail "the success of now is of $ended"
}

a_failure_takes_no_success_away() {
    mv "$disk/tree" "$disk/elsewhere"
    expect_exit 1 "$penstock" backup --node "$memory/1.socket" --allow-missing
    mv "$disk/elsewhere" "$disk/tree"
    read_metrics "$memory/failure"
    expect_value 1 "$memory/failure" penstock_backups_total 'outcome="aborted"'
    expect_value 2 "$memory/failure" penstock_backup_last_failure_error_code # ENOENT
    expect_value 1 "$memory/failure" penstock_backups_total 'outcome="partial"'
    expect_value 1 "$memory/failure" penstock_backup_last_success_number
}

counters_never_go_back() {
    local name before
    while read -r name before; do
        after=$(awk -v name="$name" '$1 == name { print $2 }' "$memory/failure")
        awk -v a="$before" -v b="$after" 'BEGIN { exit !(b >= a) }' || fail "$name went from $before to $after"
    done < <(grep -E '^[a-z_]+_total\{' "$memory/success")
}

a_new_node_has_made_nothing
a_success_shows
a_failure_takes_no_success_away
counters_never_go_back
expect_exit 2 "$penstock" metrics --node "$memory/1.socket" --format json
expect_exit 1 "$penstock" metrics --node "$memory/none"
