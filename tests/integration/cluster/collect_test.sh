#!/bin/bash
# Three nodes with directories of their own and other numbers of LDMs make one backup; two hosts
# restore it, each its share. Then backups are pruned beside the nodes, and none comes back.
#
#   collect_test.sh PENSTOCK FOLDER LMDB_WRITER
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
# shellcheck source=../mounts.sh
source "$(dirname "${BASH_SOURCE[0]}")/../mounts.sh"
writer=${3:?}

declare -A process=()
all=(--from "$disk/to1" --from "$disk/to2" --from "$disk/to3")

start_node() { # ID LDMS SOURCE…
    local id=$1 ldms=$2 sources=() source
    shift 2
    for source; do sources+=(--source "$source"); done
    "$penstock" node --cluster "collect-$$" --id "$id" --nodes 1-3 --socket "$memory/$id.socket" \
        --fabric-dir "$memory/fabric" --to "$disk/to$id" --ldms "$ldms" --chunk 64K "${sources[@]}" 2>>"$memory/node$id.log" &
    process[$id]=$!
}

start_nodes() {
    start_node 1 1 "dir:$disk/tree1" "lmdb:$disk/env1"
    start_node 2 2 "dir:$disk/tree2"
    start_node 3 3 "dir:$disk/tree3" "lmdb:$disk/env3"
    local node
    for node in 1 2 3; do wait_until sees_live "$node" 3; done
}

stop_nodes() {
    local node
    kill -TERM "${process[@]}"
    for node in "${process[@]}"; do wait "$node" || fail "a node ends with $?"; done
}

make_sources() {
    local node i
    for node in 1 2 3; do
        make_small_tree "$disk/tree$node"
        for i in {1..20}; do random_bytes 100000 >"$disk/tree$node/$i"; done
    done
    mkdir "$disk/env1" "$disk/env3"
    "$writer" run "$disk/env3" 30
    "$writer" run "$disk/env1" 0 &
    running=$!
    wait_until test -s "$disk/env1/data.mdb"
}

# The contents of transaction T, whichever that is, are known.
compare_environment() { # RESTORED
    local found
    found=$("$writer" check "$1") || fail "$1 is not consistent"
    rm -rf "$disk/again"
    mkdir "$disk/again"
    "$writer" replay "$disk/again" "${found%% *}"
    [ "$("$writer" check "$disk/again")" = "$found" ] || fail "$1 is not as transaction ${found%% *} left it"
}

# A node's source has two components, which are a name for ls again.
two_hosts_list() {
    expect_exit 0 "$penstock" ls "${all[@]}"
    expect_output '^1/tree1$' '^3/tree3$' '^3/env3$'
    expect_exit 0 "$penstock" ls "${all[@]}" 3
    expect_output '^tree3$' '^env3$'
}

two_hosts_restore() {
    expect_exit 0 "$penstock" verify "${all[@]}"
    expect_exit 0 "$penstock" restore "${all[@]}" --only 1 --only 3/env3 --target "$disk/a" --ldms 2
    expect_exit 0 "$penstock" restore "${all[@]}" --only 2 --only 3/tree3 --target "$disk/b" --ldms 1
    expect_names "$disk/a" "$(cd "$disk" && names_of_share 1/tree1 1/env1 3/env3)"
    compare_trees "$disk/tree1" "$disk/a/1/tree1"
    compare_trees "$disk/tree2" "$disk/b/2/tree2"
    compare_trees "$disk/tree3" "$disk/b/3/tree3"
    [ "$(ls "$disk/b")$(ls "$disk/b/3")" = "2
3tree3" ] || fail "b has more than its share"
    compare_environment "$disk/a/1/env1"
    compare_environment "$disk/a/3/env3"
    [ "$("$writer" check "$disk/a/3/env3")" = "$("$writer" check "$disk/env3")" ] || fail 'env3 has changed'
}

# As it was restored, and an environment is the file that it was.
two_hosts_mount() {
    [ -z "$(why_no_mount)" ] || return 0
    mount_backup "$memory/point" "${all[@]}"
    compare_trees "$disk/tree1" "$memory/point/1/tree1"
    compare_trees "$disk/tree2" "$memory/point/2/tree2"
    cmp "$disk/a/3/env3/data.mdb" "$memory/point/3/env3/data.mdb" || fail 'the mounted environment is another'
    unmount_backup "$memory/point"
}

# Names of what stands below NODE/NAME of each, the source's own.
names_of_share() {
    local share
    for share; do
        echo "./${share%/*}"
        echo "./$share"
        # An environment is restored without the lock file.
        (cd "$disk/${share#*/}" && find . -mindepth 1 ! -name lock.mdb -printf "./$share/%P\n")
    done | sort -u
}

# One source goes straight into the target; a node can do with its own directory, if it is told which.
one_share() {
    expect_exit 0 "$penstock" restore "${all[@]}" --only 3/env3 --target "$disk/c"
    [ -s "$disk/c/data.mdb" ] || fail 'the environment does not lie in the target itself'
    expect_exit 10 "$penstock" restore --from "$disk/to2" --only 2 --target "$disk/d"
    expect_exit 0 "$penstock" restore --from "$disk/to2" --only 2 --target "$disk/d" 1
    compare_trees "$disk/tree2" "$disk/d"
    expect_exit 1 "$penstock" restore --from "$disk/to2" --only 1/tree1 --target "$disk/e" 1
    expect_message 'files of nodes 1, 3 are not in the directories given: name theirs too'
    expect_exit 2 "$penstock" restore "${all[@]}" --only 4 --target "$disk/e"
    expect_message 'no node 4'
    expect_exit 2 "$penstock" restore "${all[@]}" --only 1/tree2 --target "$disk/e"
    expect_message 'no such source'
    expect_absent "$disk/e"
}

# What is sound but not here is neither damaged nor lost: it is said where it lies, and what is here is checked.
own_directory() {
    local elsewhere='files of nodes 1, 3 are not in the directories given: name theirs too'
    expect_exit 0 "$penstock" list --from "$disk/to2"
    expect_output "^ +1 +split .* complete; $elsewhere\$"
    expect_exit 0 "$penstock" list --from "$disk/to2" --from "$disk/to1" --json
    expect_json '.[0] | .state == "split" and .elsewhere_nodes == [3] and (.reason | contains("files of node 3"))'
    expect_exit 0 "$penstock" show --from "$disk/to2" 1
    expect_output "^backup 1: split: complete; $elsewhere" '^node 2: ' '^node 1: its files are not in the directories given$'
    ! grep -Eq 'node 0|0 B' "$memory/out" || fail 'show invents a node'
    expect_exit 0 "$penstock" show --from "$disk/to2" --json 1
    expect_json '[.[0].node_manifests[].node] == [2]'
    expect_exit 3 "$penstock" verify --from "$disk/to2" 1
    expect_message 'not in the directories given.*files of node 1' 'not in the directories given.*files of node 3'
    expect_output ' 0 damages; not all of it could be read'
    ! grep -q 'checksum differ' "$memory/err" || fail 'what is elsewhere is called damaged'
    expect_exit 10 "$penstock" restore --from "$disk/to2" --target "$disk/e"
    expect_message "$elsewhere"
    expect_exit 1 "$penstock" restore --from "$disk/to2" --target "$disk/e" 1
    expect_message "$elsewhere"
    expect_absent "$disk/e"
    local bad
    bad=$(find "$disk/to2/BACKUP-1" -name 'BACKUP-1.2.data' | sort | head -n 1)
    flip "$bad" 5000
    expect_exit 1 "$penstock" verify --from "$disk/to2" 1
    expect_output ' [1-9][0-9]* damage'
    flip "$bad" 5000
    # The decision alone is no directory of a node, and where all are given nothing is elsewhere.
    mkdir -p "$disk/rest/BACKUP-1"
    cp "$disk"/to2/BACKUP-1/*cluster* "$disk/rest/BACKUP-1"
    expect_exit 0 "$penstock" list --from "$disk/rest"
    expect_output '^ +1 +damaged'
    expect_exit 0 "$penstock" list --from "$disk/to1" --from "$disk/rest"
    expect_output '^ +1 +damaged'
    expect_exit 0 "$penstock" list --from "$disk/to1" --from "$disk/to2" --from "$disk/rest"
    expect_output '^ +1 +damaged'
    # A part without its manifest: that is lost, and not elsewhere.
    mkdir "$disk/lost"
    cp -a "$disk/to2/BACKUP-1" "$disk/lost"
    rm "$disk/lost/BACKUP-1/BACKUP-1.2.manifest"
    expect_exit 0 "$penstock" list --from "$disk/lost"
    expect_output '^ +1 +damaged .*manifest of node 2'
    rm -rf "$disk/rest" "$disk/lost"
}

# No half of a backup is removed for its age.
own_directory_is_kept() {
    cp -a "$disk/to2" "$disk/half"
    rm -r "$disk/half/BACKUP-3"
    mkdir "$disk/whole"
    cp -a "$disk"/to?/BACKUP-3 "$disk/whole"
    expect_exit 0 "$penstock" list --from "$disk/half" --from "$disk/whole"
    expect_output '^ +1 +split' '^ +2 +split' '^ +3 +complete'
    expect_exit 0 "$penstock" prune --from "$disk/half" --from "$disk/whole" --keep 1
    expect_message 'backup 1 is kept: it is complete; files of nodes 1, 3'
    [ -d "$disk/half/BACKUP-1" ] || fail 'half of a sound backup was removed for its age'
    rm -r "$disk/half" "$disk/whole"
    expect_exit 0 "$penstock" list --from "$disk/to2"
    expect_output '^ +1 +split' '^ +2 +split'
}

expect_backups() { # NUMBER…
    expect_exit 0 "$penstock" list "${all[@]}" --json
    expect_json '[.[] | [.number, .state]] == '"$(printf '[%s,"complete"],' "$@" | sed 's/^/[/; s/,$/]/')"
}

prune_beside_the_nodes() {
    local i
    for i in 2 3; do expect_exit 0 "$penstock" backup --node "$memory/$i.socket"; done
    expect_backups 1 2 3
    own_directory_is_kept
    expect_exit 2 "$penstock" prune "${all[@]}"
    expect_exit 2 "$penstock" prune "${all[@]}" --keep 1 2
    expect_exit 10 "$penstock" prune "${all[@]}" 1 9
    expect_exit 0 "$penstock" prune "${all[@]}" --keep 3
    expect_exit 0 "$penstock" prune "${all[@]}" --keep 1 --dry-run --json
    expect_json '[.[] | select(.message_type == "pruned").number] == [1, 2]'
    expect_backups 1 2 3
    expect_exit 0 "$penstock" prune "${all[@]}" 1
    expect_backups 2 3
    expect_exit 0 "$penstock" prune "${all[@]}" --keep 1
    expect_backups 3
    [ -z "$(find "$disk"/to? -maxdepth 1 -name '*BACKUP-[12]*')" ] || fail 'something is left of a pruned backup'
}

# Gone at one node, it neither comes back there nor is in doubt at the others; the next number is free.
one_copy_is_pruned() {
    expect_exit 0 "$penstock" prune --from "$disk/to2" 3
    expect_message 'files of node 1 .*stay' 'files of node 3 .*stay'
    stop_nodes
    start_nodes
    expect_exit 0 "$penstock" backup --node "$memory/1.socket"
    expect_absent "$disk/to2/BACKUP-3"
    expect_exit 0 "$penstock" list "${all[@]}" --json
    expect_json '[.[] | [.number, .state]] == [[3, "damaged"], [4, "complete"]] and
        (.[0].reason | contains("manifest of node 2"))'
    expect_exit 0 "$penstock" prune "${all[@]}" --keep 1
    expect_backups 4
    expect_exit 0 "$penstock" verify "${all[@]}"
}

# Each cluster, and each machine alone, has its own line of numbers.
lines_of_numbers() {
    local i
    for i in 1 2; do expect_exit 0 "$penstock" backup --source synthetic:rows=1 --to "$disk/alone$i"; done
    expect_exit 0 "$penstock" prune "${all[@]}" --from "$disk/alone1" --keep 1 --json
    expect_json '[.[] | select(.message_type == "summary").pruned] == [0]'
    expect_exit 2 "$penstock" prune --from "$disk/alone1" --from "$disk/alone2" --keep 1
    expect_message '1 is the number of two backups'
    expect_exit 10 "$penstock" verify --from "$disk/alone1" --from "$disk/alone2"
    expect_message '1 is the number of two backups'
}

# Without node 2 the backup is partial, and never passes for a whole one.
partial() {
    stop_nodes
    unset 'process[2]'
    start_node 1 1 "dir:$disk/tree1" same=synthetic:rows=10
    start_node 3 3 "dir:$disk/tree3" same=synthetic:rows=20
    wait_until sees_live 1 2
    wait_until sees_live 3 2
    expect_exit 1 "$penstock" backup --node "$memory/1.socket"
    expect_exit 3 "$penstock" backup --node "$memory/3.socket" --allow-missing
    expect_output '^backup 5 is partial: '
    expect_message 'node 2 is missing'
    expect_exit 3 "$penstock" backup --node "$memory/1.socket" --allow-missing --json
    expect_json 'map(select(.message_type == "summary")) | .[0].missing_nodes == [2]'
    expect_exit 0 "$penstock" list "${all[@]}"
    sees 1 '.last_request.missing_nodes == [2]' || fail 'status does not say what is missing'
    "$penstock" status --node "$memory/1.socket" | grep -q 'backup 6 is partial' || fail 'status: not partial'
    expect_output '^ +4 +complete' '^ +5 +partial .*node 2 is missing' '^ +6 +partial'
    expect_exit 0 "$penstock" list "${all[@]}" --json
    expect_json '[.[] | [.number, .state, .missing_nodes]]
        == [[4, "complete", null], [5, "partial", [2]], [6, "partial", [2]]]'
    expect_exit 0 "$penstock" show "${all[@]}" 5
    expect_output '^backup 5: partial: node 2 is missing'
    expect_exit 0 "$penstock" verify "${all[@]}" 5
    expect_exit 0 "$penstock" ls "${all[@]}"
    expect_message 'warning: backup 6 is partial: node 2 is missing'
    expect_exit 2 "$penstock" export "${all[@]}" --to "$disk/rows" --source same
    expect_message 'several nodes have a source same: name one with --source: 1/same, 1/tree1, 3/same, 3/tree3'
    expect_exit 2 "$penstock" export "${all[@]}" --to "$disk/rows" --source 3/same
    expect_message 'source same .same=synthetic:rows=20. was not backed up row by row'
    expect_exit 0 "$penstock" restore "${all[@]}" --target "$disk/partial"
    expect_message 'partial.*node 2 is missing'
    compare_trees "$disk/tree1" "$disk/partial/1/tree1"
    compare_trees "$disk/tree3" "$disk/partial/3/tree3"
    expect_exit 0 "$penstock" prune "${all[@]}" --keep 1
    expect_exit 0 "$penstock" verify "${all[@]}" 4
    stop_nodes
    # One node of three alone: laid out as the whole one would be.
    unset 'process[3]'
    start_node 1 1 "dir:$disk/tree1"
    wait_until sees_live 1 1
    expect_exit 3 "$penstock" backup --node "$memory/1.socket" --allow-missing
    expect_message 'nodes 2, 3 are missing'
    expect_exit 0 "$penstock" status --node "$memory/1.socket"
    expect_output '^last: backup [0-9]+, partial, without nodes 2, 3, ' '^last request: backup [0-9]+ is partial, without nodes 2, 3$'
    expect_exit 0 "$penstock" status --node "$memory/1.socket" --json
    expect_json '.[0].last_backup | .outcome == "partial" and .missing_nodes == [2, 3]'
    expect_exit 0 "$penstock" restore "${all[@]}" --target "$disk/one"
    compare_trees "$disk/tree1" "$disk/one/1/tree1"
    rm "$memory/1.socket"
    echo mine >"$memory/1.socket"
}

make_sources
start_nodes
expect_exit 0 "$penstock" backup --node "$memory/2.socket"
kill -KILL "$running"
two_hosts_restore
two_hosts_mount
one_share
own_directory
prune_beside_the_nodes
one_copy_is_pruned
lines_of_numbers
partial
stop_nodes
[ "$(cat "$memory/1.socket")" = mine ] || fail 'a node removed what took the place of its socket'
