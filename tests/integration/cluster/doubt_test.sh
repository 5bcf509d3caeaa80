#!/bin/bash
# Three nodes lose the cluster manifests of backups they made, as when a master died before it told
# the others, or before it decided; then they meet again, or somebody decides by hand.
#
#   doubt_test.sh PENSTOCK FOLDER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"

declare -A process=()

directory() { # ID
    echo "${shared:-$disk/to$1}"
}

manifest() { # ID NUMBER
    echo "$(directory "$1")/BACKUP-$2/BACKUP-$2.cluster.manifest"
}

start_nodes() { # ID…
    local id
    for id; do
        "$penstock" node --cluster "doubt-$$" --id "$id" --nodes 1-3 --socket "$memory/$id.socket" \
            --fabric-dir "$memory/fabric" --to "$(directory "$id")" --ldms 2 --chunk 64K \
            --source "dir:$disk/tree" 2>>"$memory/node$id.log" &
        process[$id]=$!
    done
    for id; do wait_until sees_live "$id" "${#process[@]}"; done
}

stop_nodes() {
    local id
    kill "${process[@]}"
    for id in "${!process[@]}"; do
        status=0
        wait "${process[$id]}" || status=$?
        [ "$status" -eq 0 ] || fail "node $id ends with $status"
    done
    process=()
}

backup() { # NODE OPTION…
    "$penstock" backup --node "$memory/$1.socket" "${@:2}"
}

resolve() { # NODE OPTION…
    "$penstock" resolve --node "$memory/$1.socket" "${@:2}"
}

# These are complete in the directories of all nodes, and nothing else is there.
expect_backups() { # NUMBER…
    local id number
    for id in 1 2 3; do
        [ "$(cd "$(directory "$id")" && find . -mindepth 1 -maxdepth 1 ! -name '*.lock' | sort)" = \
            "$(printf './BACKUP-%s\n' "$@" | sort)" ] || fail "node $id: $(ls -A "$(directory "$id")")"
        [ -z "$(find "$(directory "$id")" -name '.*.tmp' -o -name '*.mark')" ] || fail "node $id: a temporary file"
    done
    for number; do
        expect_exit 0 "$penstock" verify --from "$(directory 1)" --from "$(directory 2)" --from "$(directory 3)" "$number"
    done
}

# Of a decision, both files.
lose() {
    local file
    for file; do rm "$file" "$file.copy"; done
}

# Who meets somebody that knows does as that one.
nodes_meet() {
    start_nodes 1 2 3
    for _ in 1 2 3; do expect_exit 0 backup 1; done
    stop_nodes
    lose "$(manifest 2 1)" "$(manifest 3 1)" # decided; the master did not come to tell
    lose "$(manifest 1 2)" "$(manifest 2 2)" "$(manifest 3 2)" # not decided
    start_nodes 1 2 3
    wait_until test -e "$(manifest 2 1)"
    wait_until test -e "$(manifest 3 1)"
    for id in 1 2 3; do
        wait_until test ! -e "$(directory "$id")/BACKUP-2"
        wait_until sees "$id" '.in_doubt == 0'
    done
    expect_backups 1 3
    stop_nodes
}

waits_for() { # NODE NUMBER WHOM
    sees "$1" "[.doubts[] | select(.number == $2)] | length == 1 and .[0].waits_for == $3"
}

# The master's own directory, and that of node 3, have lost the decision of backup 3; node 2 has it.
master_has_lost() {
    cp "$(manifest 1 3)" "$memory/decided"
    lose "$(manifest 1 3)" "$(manifest 3 3)"
    start_nodes 1 3
    wait_until waits_for 1 3 '[2]'
    wait_until waits_for 3 3 '[2]'
    expect_exit 3 backup 1 --allow-missing --json
    expect_json 'map(select(.message_type == "summary")) | .[0].number == 4 and .[0].missing_nodes == [2]'
    sleep 2.5 # they have asked each other again
    waits_for 1 3 '[2]' >"$memory/out" || fail_with_logs 'a node has settled by itself what another may have decided'
    expect_exit 0 "$penstock" list --from "$(directory 1)"
    expect_output '^ *3 +in doubt'
    start_nodes 2
    for id in 1 3; do
        wait_until sees "$id" '.in_doubt == 0'
        cmp "$memory/decided" "$(manifest "$id" 3)"
        cmp "$memory/decided" "$(manifest "$id" 3).copy"
        grep -q 'BACKUP-3: complete: its cluster manifest is here, taken from node' "$memory/node$id.log" ||
            fail_with_logs "node $id does not say where it has the decision from"
    done
    expect_exit 0 "$penstock" verify --from "$(directory 1)" --from "$(directory 2)" --from "$(directory 3)" 3
    # In mid-life it is missed when the next backup is made.
    rm "$(manifest 1 3)" "$(manifest 1 3).copy"
    expect_exit 0 backup 1
    wait_until cmp "$memory/decided" "$(manifest 1 3)"
    stop_nodes
}

# Nobody has a decision, and node 3 never comes back: a hand settles it at the master's node, and node 2 follows.
nobody_has_it() {
    lose "$(manifest 1 4)" "$(manifest 3 4)"
    lose "$(manifest 1 5)" "$(manifest 2 5)" "$(manifest 3 5)"
    start_nodes 1 2
    wait_until waits_for 1 5 '[3]'
    wait_until waits_for 2 5 '[3]'
    grep -q 'BACKUP-5: in doubt: this node, its master, .* or by penstock resolve' "$memory/node1.log" ||
        fail_with_logs 'the log of node 1 does not say what to do'
    expect_exit 0 "$penstock" status --node "$memory/1.socket"
    expect_output 'backup 5, uid [0-9a-f]{32}, master node 1, ASKING, waits for node 3$'
    expect_exit 0 resolve 1 5 --abort
    expect_absent "$(directory 1)/BACKUP-5"
    wait_until test ! -e "$(directory 2)/BACKUP-5"
    wait_until waits_for 1 4 '[3]'
    start_nodes 3
    for number in 4 5; do
        for id in 1 3; do wait_until test ! -e "$(directory "$id")/BACKUP-$number"; done
    done
    expect_backups 1 3
    stop_nodes
}

# Node 1, the master, is away, and has decided backup 1, not 3.
nodes_wait() {
    cp "$(manifest 1 1)" "$memory/decided"
    cp "$(manifest 1 3)" "$memory/other"
    lose "$(manifest 2 1)" "$(manifest 3 1)" "$(manifest 1 3)" "$(manifest 2 3)" "$(manifest 3 3)"
    local before
    before=$(names_below "$disk/to2/BACKUP-1")$(names_below "$disk/to3/BACKUP-3")
    start_nodes 2 3
    wait_until sees 2 '[.doubts[].number] == [1, 3] or [.doubts[].number] == [3, 1]'
    wait_until sees 3 '.in_doubt == 2 and ([.doubts[].waits_for] == [[1], [1]])'
    expect_exit 0 "$penstock" status --node "$memory/2.socket"
    expect_output 'backup 3, uid [0-9a-f]{32}, master node 1, ASKING, waits for node 1$'
    expect_exit 1 backup 3
    expect_message 'node 1 is missing'
    expect_exit 3 backup 3 --allow-missing --json
    expect_json 'map(select(.message_type == "summary")) | .[0].number == 4 and .[0].missing_nodes == [1]'
    [ "$before" = "$(names_below "$disk/to2/BACKUP-1")$(names_below "$disk/to3/BACKUP-3")" ] ||
        fail 'files of a backup in doubt are gone'
}

wrong_decisions_are_refused() {
    expect_exit 2 resolve 2 1
    expect_exit 2 resolve 2 1 --abort --commit "$memory/decided"
    expect_exit 10 resolve 2 2 --abort
    expect_message 'no backup "2" in doubt'
    expect_exit 1 resolve 2 1 --commit "$memory/none"
    expect_message 'none: No such file'
    expect_exit 1 resolve 2 1 --commit "$memory/other"
    expect_message 'belongs to another backup'
    cp "$memory/decided" "$memory/damaged"
    flip "$memory/damaged" 20
    expect_exit 1 resolve 2 1 --commit "$memory/damaged"
    expect_message 'checksum differ'
    expect_absent "$(manifest 2 1)"
    wait_until sees 2 '.in_doubt == 2'
}

somebody_decides() {
    local uid
    uid=$(sees 2 '.doubts[] | select(.number == 1).uid' | tr -d '"')
    expect_exit 0 resolve 2 "${uid:0:8}" --commit "$memory/decided" --json
    expect_json '.[0].number == 1 and .[0].outcome == "complete"'
    cmp "$memory/decided" "$(manifest 2 1)"
    expect_exit 0 resolve 3 3 --abort
    expect_absent "$(directory 3)/BACKUP-3"
    wait_until cmp "$memory/decided" "$(manifest 3 1)" # they follow
    wait_until test ! -e "$(directory 2)/BACKUP-3"
    start_nodes 1
    wait_until test ! -e "$(directory 1)/BACKUP-3"
    expect_exit 0 "$penstock" verify --from "$disk/to1" --from "$disk/to2" --from "$disk/to3" 1
    expect_exit 0 backup 1
}

# A node works on eight at a time, and tells what to do about the others.
more_than_a_node_works_on() {
    local number
    for number in {6..15}; do expect_exit 0 backup 1 --number "$number"; done
    stop_nodes
    for number in {6..15}; do lose "$(manifest 1 "$number")" "$(manifest 2 "$number")" "$(manifest 3 "$number")"; done
    start_nodes 2
    wait_until sees 2 '.in_doubt == 8 and .more_in_doubt'
    number=$(sees 2 '[range(6; 16)] - [.doubts[].number] | .[0]')
    expect_exit 1 resolve 2 "$number" --abort
    expect_message 'more of them on disk: resolve one'
    for _ in {1..10}; do
        wait_until sees 2 '.in_doubt > 0'
        number=$(sees 2 '.doubts[0].number')
        expect_exit 0 resolve 2 "$number" --abort
        wait_until sees 2 "[.doubts[] | select(.number == $number)] == []"
    done
    wait_until sees 2 '.in_doubt == 0 and (.more_in_doubt | not)'
    start_nodes 1 3
    for id in 1 3; do
        for number in {6..15}; do wait_until test ! -e "$(directory "$id")/BACKUP-$number"; done
    done
    stop_nodes
}

# The same where all nodes write into one directory: each removes what is its own.
one_directory() {
    shared=$disk/shared
    start_nodes 1 2 3
    for _ in 1 2 3; do expect_exit 0 backup 1; done
    stop_nodes
    cp "$(manifest 1 1)" "$memory/decided"
    lose "$(manifest 1 1)" "$(manifest 1 2)"
    start_nodes 2 3
    wait_until sees 2 '.in_doubt == 2'
    wait_until sees 3 '.in_doubt == 2'
    expect_exit 0 resolve 3 1 --commit "$memory/decided"
    expect_exit 0 resolve 2 2 --abort
    wait_until sees 3 '.in_doubt == 0'
    wait_until sees 2 '.in_doubt == 0'
    [ -z "$(find "$shared" -name 'BACKUP-2.[23].*')" ] || fail 'files of an aborted backup are left'
    [ -n "$(find "$shared" -name 'BACKUP-2.1.data')" ] || fail 'the files of another node are gone'
    start_nodes 1
    wait_until test ! -e "$shared/BACKUP-2"
    expect_backups 1 3
    stop_nodes
}

make_small_tree "$disk/tree"
nodes_meet
master_has_lost
nobody_has_it
nodes_wait
wrong_decisions_are_refused
somebody_decides
more_than_a_node_works_on
one_directory
