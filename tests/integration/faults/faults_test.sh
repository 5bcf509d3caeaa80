#!/bin/bash
# Nodes and clients that are killed, stopped and held up at named steps of a backup, while programs write
# to what is backed up. After each round: the client was told the truth, all nodes have the same backups and
# nothing else, writers go on, the next backup completes, and what is restored is exact.
#
#   faults_test.sh PENSTOCK_FAULTS FOLDER LMDB_WRITER
set -euo pipefail
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck source=../lib.sh disable=SC2154
source "$here/../lib.sh"
writer=${3:?}
# shellcheck source=cluster.sh
source "$here/cluster.sh"
command -v jq >/dev/null || skip 'jq is missing: run scripts/install-deps test'

# Which node a fault strikes at: the master is the lowest that lives.
node_of() { # VICTIM
    case $1 in
    master) echo 1 ;;
    participant) echo "$nodes_count" ;;
    esac
}

# round POINT VICTIM ACTION: one backup with a fault in it, and then one without.
# VICTIM: master, participant: that node; client: its client, when the master is at POINT.
round() {
    local point=$1 victim=$2 action=$3 node client_node
    echo "round: $point, $victim, $action"
    node=$(node_of "${victim/client/master}")
    client_node=$((RANDOM % nodes_count + 1))
    if [ "$victim" = client ]; then
        start_client "$client_node" "$node" "$point" "$action"
    else
        arm "$node" "$point" "$action"
        start_client "$client_node"
    fi
    wait_for_hit "$node" "$point"
    revive "$victim" "$node" "$action"
    wait_for_client
    disarm "$node" "$point"
    expect_rest
    expect_next_backup
    expect_outcome
    expect_restorable
    forget_backups
}

smoke() {
    start_cluster 2 own
    round after.DEFINE_BACKUP_REQ master kill
    round before.START_BACKUP_CONF participant kill
    round after.SOURCE_FREEZE_CONF participant kill
    round before.GCP_COMMIT_REQ master stop
    round after.GCP_COMMIT_CONF participant kill
    round before.BACKUP_FRAGMENT_CONF master kill
    round after.BACKUP_FRAGMENT_REQ client kill
    stop_cluster
}

smoke
