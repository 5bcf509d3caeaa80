# shellcheck shell=bash
# Every point of every victim once, and then by chance, in clusters of all sizes. For faults_test.sh.
# shellcheck disable=SC2034 # what is used there
: "${here:?}" "${nodes_count:?}" "${rounds:?}"

# Every signal has points in the hubs; the steps of the archive are found where they are named.
signals() {
    sed -nE 's/^ +X\(([A-Z_]+), [0-9]+, .*/\1/p' "$here/../../../engine/protocol/signal.h"
}

steps() {
    cat "$here"/../../../engine/{node,repository}/*.c | sed -nE \
        -e 's/.*PST_FAULT_POINT\("(after|before)", "([A-Z_]+)"\).*/\1.\2/p' \
        -e 's/.*PST_FAULT_ERROR\("([A-Z_]+)"\).*/before.\1/p'
}

points() {
    local signal
    for signal in $(signals); do echo "before.$signal after.$signal"; done
    steps
}

# Where the point is never passed, and why.
is_out_of_reach() { # VICTIM POINT
    case "$1 ${2#*.}" in
    'master ARCHIVE_COMMIT_REF') ;;              # its own copy is the decision
    'master ARCHIVE_LEAVE_ORD') ;;               # when the master has died
    'master RESOLVE_'*) ;;                       # who decides by hand asks a participant
    'participant ARCHIVE_NUMBER_'*) ;;           # the master's archive's
    'participant ARCHIVE_NODE_ORD') ;;
    'participant ARCHIVE_DECIDE_'*) ;;
    *) return 1 ;;
    esac
}

# The master dies on one side of its decision. One directory for all has the decision at once.
kill_in_doubt() {
    if [ -z "$shared" ] && [ $((chance % 2)) -eq 0 ]; then
        echo 'master before.COMMIT_BACKUP_REQ kill'
    else
        echo 'master before.ARCHIVE_DECIDE_REQ kill'
    fi
}

# What must happen before the point is passed: faults, a line each. By $chance where there are several ways.
provoke() { # VICTIM SIGNAL
    case $2 in
    BACKUP_REF | ARCHIVE_NUMBER_REF) echo 'master serve.ARCHIVE_NUMBER_REQ refuse' ;;
    ABORT_BACKUP_ORD | CLEANUP_BACKUP_REQ | CLEANUP_BACKUP_CONF | SOURCE_ABORT_ORD | ARCHIVE_CLEANUP_REQ | \
        ARCHIVE_CLEANUP_CONF | BACKUP_ABORT_REP | NAME_REMOVED) echo 'client after.GCP_COMMIT_CONF interrupt' ;;
    CLEANUP_BACKUP_REF | ARCHIVE_CLEANUP_REF)
        echo 'client after.GCP_COMMIT_CONF interrupt'
        echo "$1 before.NAME_REMOVED refuse"
        ;;
    GCP_PREPARE_REF) echo "participant serve.SOURCE_FREEZE_REQ refuse" ;;
    GCP_COMMIT_REF) echo "participant serve.SOURCE_SNAPSHOT_REQ refuse" ;;
    SOURCE_RELEASE_REF) echo "$1 before.SOURCE_RELEASE_REQ kill 1 guards" ;;
    BLOB_REF | ARCHIVE_COMMIT_REF | COMMIT_BACKUP_REF) echo 'master serve.BLOB_REQ refuse 1 always' ;;
    DEFINE_BACKUP_REF | START_BACKUP_REF | BACKUP_FRAGMENT_REF | STOP_BACKUP_REF)
        echo "participant serve.${2%_REF}_REQ refuse"
        ;;
    ARCHIVE_DECIDE_REF) echo 'master serve.ARCHIVE_DECIDE_REQ refuse' ;;
    SOURCE_*_REF | ARCHIVE_DEFINE_REF | ARCHIVE_MANIFEST_REF) echo "$1 serve.${2%_REF}_REQ refuse" ;;
    BACKUP_STATUS_REP | BACKUP_PROGRESS_REP) echo 'participant serve.BACKUP_FRAGMENT_REQ delay 1 1500' ;;
    ARCHIVE_DOUBT_REP | ARCHIVE_SETTLE_REQ | ARCHIVE_SETTLE_CONF | ARCHIVE_SETTLE_REF) # what it has decided, the master is not in doubt of
        if [ "$1" = participant ]; then kill_in_doubt; else echo 'master before.ARCHIVE_DECIDE_REQ kill'; fi
        ;;&
    OUTCOME_* | ARCHIVE_OUTCOME_* | ARCHIVE_LEAVE_ORD) kill_in_doubt ;;&
    RESOLVE_*)
        if [ $((chance % 2)) -eq 0 ]; then
            printf '%s\n' 'master before.ARCHIVE_DECIDE_REQ leave' 'operator abort'
        else
            printf '%s\n' 'master before.COMMIT_BACKUP_REQ leave' 'operator commit'
        fi
        ;;&
    RESOLVE_REF) echo 'participant serve.ARCHIVE_SETTLE_REQ refuse' ;;
    OUTCOME_REF) echo 'master serve.ARCHIVE_OUTCOME_REQ refuse' ;;
    ARCHIVE_OUTCOME_REF | ARCHIVE_SETTLE_REF) echo "$1 serve.${2%_REF}_REQ refuse" ;;
    NODE_*)
        if [ "$1" = master ]; then echo 'participant after.GCP_PREPARE_CONF kill'; else echo 'master after.GCP_PREPARE_REQ kill'; fi
        ;;
    ARCHIVE_SWEEP_*) echo "$1 after.GCP_PREPARE_REQ kill" ;;&
    ARCHIVE_SWEEP_REF) echo "$1 serve.ARCHIVE_SWEEP_REQ refuse" ;;
    esac
}

pairs() {
    local point victim chance=0
    for point in $(points); do
        for victim in master participant; do
            is_out_of_reach "$victim" "$point" || echo "$victim $point"
        done
        [ -n "$(provoke client "${point#*.}")" ] || is_out_of_reach participant "$point" || echo "client $point"
    done
}

action_by_chance() { # VICTIM
    case $((chance % 10)) in
    [0-4]) echo kill ;;
    [5-7]) echo stop ;;
    8) if [ "$1" = client ]; then echo interrupt; else echo "delay 1 $((chance % 600))"; fi ;;
    9) if [ "$1" = client ]; then echo stop; else echo 'kill 1 guards'; fi ;;
    esac
}

# A cluster in which all of these can be passed.
start_cluster_for() { # "VICTIM POINT"…
    local pair nodes=$((RANDOM % 3 + 2)) where=own
    [ $((RANDOM % 2)) -eq 0 ] || where=shared
    for pair; do
        case "${pair% *} ${pair#*.}" in
        'participant ARCHIVE_OUTCOME_'*) nodes=$((RANDOM % 2 + 3)) ;;  # asked by another participant
        *RESOLVE_* | *BLOB_* | *COMMIT_REF | *COMMIT_BACKUP_REF) where=own ;;       # one directory has the manifest already
        esac
    done
    start_cluster "$nodes" "$where"
}

round_at() { # VICTIM POINT
    local faults=() chance=$RANDOM # what runs in a subshell cannot draw from the seed itself
    mapfile -t faults < <(provoke "$1" "${2#*.}")
    [ "$((RANDOM % 3))" -ne 0 ] || client_options=--single-threaded
    case $2 in # passed where the client is
    *.BACKUP_REQ | *.BACKUP_CONF | *.BACKUP_REF | *.BACKUP_*_REP) [ "$1" != participant ] || client_at=$nodes_count ;;
    esac
    round "${faults[@]}" "$1 $2 $(action_by_chance "$1")"
}

# Each point was passed as often as said; one that never was fails.
report() {
    local point
    echo "$rounds rounds; points passed with a fault:"
    for point in $(points); do
        if is_out_of_reach master "$point" && is_out_of_reach participant "$point"; then continue; fi
        echo "  $point ${hits[$point]:-0}"
        [ "${hits[$point]:-0}" -gt 0 ] || missed+=" $point"
    done
    [ -z "$missed" ] || fail "never passed: $missed"
}

campaign() { # SEED MORE
    local seed=$1 all=() todo=() group pair
    mapfile -t all < <(pairs)
    mapfile -t todo < <(
        printf '%s\n' "${all[@]}" | shuf --random-source=<(yes "$seed")
        printf '%s\n' "${all[@]}" | shuf --random-source=<(yes "$seed") -r -n "$2"
    )
    for ((group = 0; ${#todo[@]} > 0; group++)); do
        RANDOM=$((seed + group))
        echo "group $group of seed $seed"
        start_cluster_for "${todo[@]:0:8}"
        for pair in "${todo[@]:0:8}"; do
            # shellcheck disable=SC2086 # victim and point
            round_at $pair
        done
        todo=("${todo[@]:8}")
        stop_cluster
    done
    report
}
