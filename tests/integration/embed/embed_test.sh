#!/bin/bash
# A program that embeds two nodes with tables of its own, and a plain node with an LMDB environment that
# the program writes to, too: backups of all three have one cut. A source fails with a text, which whoever
# asked gets, at whatever node; one waits, and one hangs while the backup is aborted; the program is killed in
# a backup, comes back, and is stopped in one.
#
#   embed_test.sh PENSTOCK FOLDER EMBEDDER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
embedder=${3:?}
cluster=embed-$$

start_plain() {
    "$penstock" node --cluster "$cluster" --id 1 --nodes 1-3 --socket "$memory/1.socket" --failure 10s --ldms 2 \
        --fabric-dir "$memory/fabric" --to "$disk/to1" --freeze-wait 30s --hang-limit 3s \
        --source "env=lmdb:$disk/env" 2>>"$memory/plain.log" &
    plain=$!
}

start_embedder() {
    (cd "$disk" && exec "$embedder" run "$cluster" "$memory/fabric" . "$memory" "$disk/env" 2 3 2>>"$memory/embedder.log") &
    embedding=$!
}

all_live() {
    sees_live 1 3 && sees_live 2 3 && sees_live 3 3 && sees 1 "$idle" && sees 2 "$idle" && sees 3 "$idle"
}

backup() { # NODE
    "$penstock" backup --node "$memory/$1.socket" --json
}

begin() { # NODE: a backup whose table's listing is under way
    lines=$(grep -c 'the table of table2' "$memory/embedder.log" || true)
    backup "$1" >"$memory/out" 2>"$memory/err" &
    client=$!
    wait_until is_listing
}

is_listing() {
    [ "$(grep -c 'the table of table2' "$memory/embedder.log")" -gt "$lines" ]
}

ended() { # sets status
    status=0
    wait "$client" || status=$?
}

all=(--from "$disk/to1" --from "$disk/to2" --from "$disk/to3")

restore_and_check() {
    local number restored=$disk/restored
    number=$(jq -r 'select(.message_type == "summary").number' "$memory/out")
    rm -rf "$restored"
    expect_exit 0 "$penstock" verify "${all[@]}" "$number"
    expect_exit 0 "$penstock" restore "${all[@]}" --target "$restored" "$number"
    expect_exit 0 "$embedder" check "$restored/2/table2/table" "$restored/1/env"
}

mkdir "$disk/env"
start_embedder
wait_until test -e "$disk/env/data.mdb"
start_plain
wait_until all_live
[ "$(stat -c %a "$memory/2.socket")" = 600 ] || fail 'others may use the control socket'

# One cut, whoever is asked.
for node in 1 2 3 1; do
    expect_exit 0 backup "$node"
    restore_and_check
done

# A listing that goes on after what it listed first was read.
touch "$memory/late"
expect_exit 0 backup 1
restore_and_check
[ "$(od -An -tu8 "$disk/restored/2/table2/early" | tr -d ' ')" = "$(od -An -tu8 -N8 "$disk/restored/2/table2/table" | tr -d ' ')" ] ||
    fail 'the first file was not read before the rest was listed'
rm "$memory/late"

# The source's text: who asked, both logs, the status, the events; in a message of any bytes.
printf 'no space in the "pool"\n\xff: free some' >"$memory/fail"
says='table2: no space in the "pool"?'
for node in 1 2 3; do
    "$penstock" events --node "$memory/$node.socket" >"$memory/events" 2>/dev/null &
    events=$!
    wait_until grep -q following "$memory/events"
    expect_exit 1 backup "$node"
    jq -r '.. | strings' "$memory/out" "$memory/err" 2>/dev/null | grep -qF "$says" || grep -qF "$says" "$memory/out" "$memory/err" ||
        fail "node $node: the client was not given the text"
    wait_until sees "$node" '.last_backup.source_says | startswith("table")'
    wait_until grep -q '"source_says"' "$memory/events"
    kill "$events"
    wait "$events" 2>/dev/null || true
done
grep -F 'source table2: ' "$memory/embedder.log" | grep -qF 'no space in the "pool"' || fail 'the log of the node lacks the text'
grep -F 'source 0 of node 2: table2: ' "$memory/plain.log" | grep -qF 'no space in the "pool"' || fail 'the log of another node lacks the text'
rm "$memory/fail"

# A source that waits for something else learns of the abort.
touch "$memory/wait"
begin 1
expect_exit 0 "$penstock" abort --node "$memory/3.socket" --json
ended
[ "$status" -ne 0 ] || fail 'an aborted backup is complete'
rm "$memory/wait"
wait_until all_live
! grep -q hangs "$memory/embedder.log" || fail 'a source that asks the sink hangs'

# One that hangs holds up the end of the backup; the node leaves the cluster, and comes back with it.
touch "$memory/hang"
begin 1
"$penstock" abort --node "$memory/2.socket" --json >/dev/null
ended
[ "$status" -ne 0 ] || fail 'an aborted backup is complete'
wait_until sees 2 .hung
rm "$memory/hang"
wait_until sees 2 '.hung | not'
wait_until all_live
expect_exit 0 backup 1
restore_and_check

# Killed in a backup, and back.
touch "$memory/wait"
begin 1
kill -KILL "$embedding"
wait "$embedding" 2>/dev/null || true
ended
[ "$status" -ne 0 ] || fail 'a backup without the program is complete'
rm "$memory/wait"
start_embedder
wait_until all_live
expect_exit 0 backup 2
restore_and_check

# Stopped in a backup: it is aborted, the program ends in order, and its sockets are gone.
touch "$memory/wait"
begin 1
kill -TERM "$embedding"
ended
[ "$status" -ne 0 ] || fail 'a backup of a program that was stopped is complete'
status=0
wait "$embedding" || status=$?
[ "$status" -eq 0 ] || fail_with_logs "the program ended with $status"
for node in 2 3; do [ ! -e "$memory/$node.socket" ] || fail 'a control socket was left behind'; done
rm "$memory/wait"

# Two that cannot both be.
wait_until sees_live 1 1
status=0
"$embedder" run "$cluster" "$memory/fabric" "$disk" "$memory" "$disk/env" 2 2 2>"$memory/err" &
embedding=$!
wait_until grep -q 'embedder: node 2: EADDRINUSE' "$memory/err"
kill -TERM "$embedding"
wait "$embedding" || status=$?
[ "$status" -eq 1 ] || fail "two nodes with one id: exit $status"

kill -TERM "$plain"
wait "$plain" || fail_with_logs 'the plain node failed'
! grep -hE 'Sanitizer|runtime error' "$memory"/*.log || fail 'a sanitizer reports'
