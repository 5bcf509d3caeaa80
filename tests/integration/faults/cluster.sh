# shellcheck shell=bash
# A cluster whose nodes can be struck by faults, and what must be so when it is whole again. For
# faults_test.sh, which sets $writer, after nodes.sh.
: "${penstock:?}" "${disk:?}" "${memory:?}" "${writer:?}"

declare -A process=() writers=() files=()
nodes_count=0
shared=
client=0
dead= # the node that is left dead until the backup is over
counts=()
client_options=
told=    # by the last client: complete NUMBER, aborted, nothing
unset PENSTOCK_FAILURE # the deadlines are the product's own

# ---- nodes ----

start_node() { # ID
    local ldms=$((($1 + layout) % 3 + 1)) sources=("dir:$disk/tree$1" "lmdb:$disk/pair$1")
    [ "$1" -ne "$nodes_count" ] || sources+=("lmdb:$disk/env")
    mkdir -p "$memory/faults$1"
    PENSTOCK_FAULTS=$memory/faults$1 "$penstock" node --cluster "faults-$$" --id "$1" --nodes "1-$nodes_count" \
        --socket "$memory/$1.socket" --fabric-dir "$memory/fabric" --to "${shared:-$disk/to$1}" \
        --ldms "$ldms" --chunk 64K --depth 4 "${sources[@]/#/--source=}" 2>>"$memory/node$1.log" &
    process[$1]=$!
}

fail_with_logs() { # in place of that of lib.sh
    local node
    for ((node = 1; node <= nodes_count; node++)); do
        tail -n 25 "$memory/node$node.log" | sed "/LDM 1: CPU\|hugepages/d; s/^/  node $node: /" >&2
        find "${shared:-$disk/to$node}" -name 'BACKUP-*' -printf '  %P\n' | sort >&2
    done
    fail "$*"
}

is_at_rest() {
    local node live='[.nodes[] | select(.state == "live")] | length'
    for ((node = 1; node <= nodes_count; node++)); do
        sees "$node" "($live) == $nodes_count and [.ldms[] | select(.state != \"IDLE\")] == [] and
            .backups == [] and .in_doubt == 0" || return 1
    done
}

# start_cluster NODES own|shared
start_cluster() {
    local node
    nodes_count=$1
    layout=$RANDOM
    shared=
    [ "$2" = own ] || shared=$disk/shared
    pairs=()
    for ((node = 1; node <= nodes_count; node++)); do
        make_small_tree "$disk/tree$node"
        random_bytes 700000 >"$disk/tree$node/larger"
        mkdir -p "$disk/pair$node"
        pairs+=("$disk/pair$node")
    done
    mkdir -p "$disk/env"
    "$writer" run "$disk/env" 0 &
    writers[run]=$!
    "$writer" pair "${pairs[@]}" &
    writers[pair]=$!
    wait_until test -s "$disk/env/data.mdb"
    for ((node = 1; node <= nodes_count; node++)); do
        wait_until test -s "$disk/pair$node/data.mdb"
        start_node "$node"
    done
    wait_until is_at_rest
    expect_next_backup
    forget_backups
    for ((node = 1; node <= nodes_count; node++)); do
        files[$node]=$(open_files "$node")
        : >"$memory/node$node.log"
    done
}

stop_cluster() {
    local node
    for ((node = 1; node <= nodes_count; node++)); do kill -TERM "${process[$node]}"; done
    for ((node = 1; node <= nodes_count; node++)); do
        status=0
        wait "${process[$node]}" || status=$?
        [ "$status" -eq 0 ] || fail_with_logs "node $node ends with $status"
    done
    kill -KILL "${writers[@]}"
    wait "${writers[@]}" 2>/dev/null || true
    rm -rf "${disk:?}"/* "$memory"/faults* "$memory"/node*.log
}

# ---- the host ----

# Clock ticks that its CPUs were at work, or another guest of its machine was; and those of our own processes.
busy_ticks() {
    awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8 + $9 }' /proc/stat
}

own_ticks() {
    local group
    group=$(sed 's/.*) //' "/proc/$$/stat" | cut -d' ' -f3)
    { cat /proc/[0-9]*/stat 2>/dev/null || true; } | sed 's/.*) //' |
        awk -v group="$group" '$3 == group { sum += $12 + $13 + $14 + $15 } END { print sum + 0 }'
}

mark_host() {
    began=${EPOCHREALTIME/./}
    busy=$(busy_ticks)
    own=$(own_ticks)
}

# expect_busy WHAT: since the mark the host had so much other work that a node may only have had to wait.
expect_busy() {
    local others=$(($(busy_ticks) - busy - $(own_ticks) + own))
    local ticks=$(((${EPOCHREALTIME/./} - began) * $(getconf CLK_TCK) * $(nproc) / 1000000))
    echo "  $1: other work took $((others * 100 / (ticks + 1))) % of the host"
    [ $((others * 100)) -ge $((ticks * 10)) ] || fail_with_logs "$1 on an idle host"
}

# ---- faults ----

# Which node a fault strikes at: the master is the lowest that lives. A client's fault is where the master is.
node_of() { # VICTIM
    case $1 in
    master | client) echo 1 ;;
    participant) echo "$nodes_count" ;;
    *) fail "no such victim: $1" ;;
    esac
}

arm() { # VICTIM POINT ACTION [COUNT [TARGET]]
    local file
    file=$memory/faults$(node_of "$1")/$2
    rm -f "$file.hit"
    echo "${*:3}" >"$file"
}

disarm_all() {
    rm -f "$memory"/faults*/*
}

# start_client NODE FAULT…: armed for the client itself before it begins.
start_client() {
    local fault victim point action
    rm -f "$memory/out" "$memory/err"
    (
        for fault in "${@:2}"; do
            read -r victim point action <<<"$fault"
            [ "$victim" != client ] || arm "$victim" "$point" "$action" 1 "$BASHPID"
        done
        # shellcheck disable=SC2086 # several options, or none
        exec env --default-signal=INT -- "$penstock" backup --node "$memory/$1.socket" --json $client_options >"$memory/out" 2>"$memory/err"
    ) &
    client=$!
}

is_hit() { # NODE POINT
    [ -e "$memory/faults$1/$2.hit" ]
}

# Or it will not be any more.
is_hit_or_settled() { # NODE POINT
    is_hit "$1" "$2" || { is_over && is_at_rest; }
}

is_over() {
    ! kill -0 "$client" 2>/dev/null
}

# Of the first backup, both files; each node has a directory of its own.
lose_decision() { # NODE
    rm "$disk/to$1"/BACKUP-1/BACKUP-1.cluster.manifest{,.copy}
}

# What was killed is started again after a while, what was stopped goes on.
revive() { # VICTIM ACTION
    local pid node
    node=$(node_of "$1")
    pid=${process[$node]}
    [ "$1" != client ] || pid=$client
    case $2 in
    *guards) ;;
    kill* | lose)
        status=0
        wait "$pid" 2>/dev/null || status=$?
        [ "$1" != client ] || return 0 # it may have come to its end before
        [ "$status" -eq 137 ] || fail_with_logs "the $1 was to be killed, and ends with $status"
        sleep "0.$((RANDOM % 5))"
        [ "$2" != lose ] || lose_decision "$node"
        start_node "$node"
        ;;
    leave) # as kill, but dead until the end of the backup
        wait "$pid" 2>/dev/null || true
        # shellcheck disable=SC2034 # used by faults_test.sh
        dead=$node
        ;;
    stop*)
        sleep "$((RANDOM % 2 * 2)).$((RANDOM % 5))" # so that it counts as dead, or not
        kill -CONT "$pid"
        ;;
    esac
}

# Of the first backup in the directories, whose master is dead. A participant that is struck meanwhile
# does not answer: what became of the backup is seen at the end.
resolve() { # abort|commit
    local how=(--abort)
    [ "$1" = abort ] || how=(--commit "$disk/to1/BACKUP-1/BACKUP-1.cluster.manifest")
    wait_until sees "$nodes_count" '.in_doubt == 1'
    "$penstock" resolve --node "$memory/$nodes_count.socket" "${how[@]}" 1 >"$memory/resolved" 2>&1 || true
}

# Sets $told.
wait_for_client() {
    wait_until is_over
    status=0
    wait "$client" 2>/dev/null || status=$?
    case $status in
    0 | 3) told="complete $(jq -r 'select(.message_type == "summary").number' "$memory/out")" ;;
    4) told=nothing ;;
    1 | 11 | 130)
        told=aborted
        ! grep -q 'penstock list' "$memory/err" || told=nothing
        ;;
    137) told=nothing ;;
    *) fail_with_logs "the client ends with $status" ;;
    esac
}

# ---- what must be so ----

# What could not be settled for another reason than a dead node is tried again after three minutes.
expect_rest() {
    local i
    for i in {1..1000}; do
        ! is_at_rest >/dev/null 2>&1 || break
        sleep 0.2
    done
    wait_until is_at_rest
    local before
    before=$("$writer" count "$disk/pair$nodes_count")
    wait_until counts_on "$before"
}

counts_on() { # NUMBER
    [ "$("$writer" count "$disk/pair$nodes_count")" -gt "$1" ]
}

next_completes() {
    "$penstock" backup --node "$memory/$((RANDOM % nodes_count + 1)).socket" --json >"$memory/out" 2>"$memory/err"
}

open_files() { # NODE
    find "/proc/${process[$1]}/fd" -mindepth 1 | wc -l
}

# As many as after the first backup: none was forgotten. A client's may be open for a moment still.
has_no_more_files() { # NODE
    [ "$(open_files "$1")" -le "${files[$1]}" ]
}

expect_files_closed() {
    local node
    for ((node = 1; node <= nodes_count; node++)); do
        wait_until has_no_more_files "$node"
    done
}

# Sets $next: its number, and $untold: how many were tried of which nobody knows. On a host with other work a
# node may count as dead that only had to wait: then again, and on an idle one it is a failure.
expect_next_backup() {
    local try
    untold=0
    for try in 1 2 3; do
        mark_host
        if next_completes; then
            next=$(jq -r 'select(.message_type == "summary").number' "$memory/out")
            return 0
        fi
        grep -q 'no sign of life' "$memory"/node*.log || break
        echo "  the next backup failed (try $try): $(tail -n 1 "$memory/err")"
        expect_busy 'the next backup failed'
        ! grep -q 'penstock list' "$memory/err" || untold=$((untold + 1))
        wait_until is_at_rest
    done
    fail_with_logs 'the next backup does not complete'
}

# By the cluster manifest: a node's own directory need not have the other nodes' parts.
complete_on() { # NODE
    "$penstock" list --from "${shared:-$disk/to$1}" --json | jq -r 'select(.state != "incomplete").number' | sort -n | xargs
}

# The same backups on every node, none but complete ones, and what the client was told.
expect_outcome() {
    local node number everywhere found
    everywhere=$(complete_on 1)
    for ((node = 1; node <= nodes_count; node++)); do
        found=$(find "${shared:-$disk/to$node}" -mindepth 1 -maxdepth 1 ! -name '.node-*.lock' -printf '%f\n' | sed 's/^BACKUP-//' | sort -n | xargs)
        [ "$(complete_on "$node")" = "$everywhere" ] || fail_with_logs "node $node has other backups than node 1"
        [ "$found" = "$everywhere" ] || fail_with_logs "node $node has more than complete backups: $found"
        for number in $everywhere; do
            cmp "${shared:-$disk/to1}/BACKUP-$number/BACKUP-$number.cluster.manifest" \
                "${shared:-$disk/to$node}/BACKUP-$number/BACKUP-$number.cluster.manifest" ||
                fail_with_logs "node $node has another decision of backup $number than node 1"
        done
        [ -z "$(find "${shared:-$disk/to$node}" -name '.BACKUP*' -o -name '*.tmp' -o -name '*.mark')" ] ||
            fail_with_logs "node $node: a file of a backup in work is left"
        [ "$("$writer" readers "$disk/pair$node")" = '0 0' ] || fail_with_logs "pair$node has readers"
    done
    [ "$("$writer" readers "$disk/env")" = '0 0' ] || fail_with_logs "env has readers"
    local must=$next may=$untold
    case $told in
    complete*) must="${told#* } $next" ;;
    nothing) may=$((may + 1)) ;;
    esac
    for number in $must; do
        [[ " $everywhere " == *" $number "* ]] || fail_with_logs "the client was told '$told', then $next; there are: $everywhere"
    done
    [ "$(wc -w <<<"$everywhere")" -le $(($(wc -w <<<"$must") + may)) ] ||
        fail_with_logs "the client was told '$told', then $next; there are: $everywhere"
}

# What a node logs as complete is there.
expect_true_logs() {
    local node uid uids
    uids=$("$penstock" list --from "${shared:-$disk/to1}" --json | jq -r 'select(.uid).uid')
    for ((node = 1; node <= nodes_count; node++)); do
        while read -r uid; do
            [[ $uids == *$uid* ]] || fail_with_logs "node $node says that $uid is complete"
        done < <(sed -nE 's/.*\(uid ([0-9a-f]+)\): complete:.*/\1/p' "$memory/node$node.log")
        : >"$memory/node$node.log"
    done
}

# Every backup, of all nodes' directories: whole, exact, and one cut.
expect_restorable() {
    local number node
    for number in $(complete_on 1); do
        rm -rf "$disk/all" "$disk/restored"
        mkdir "$disk/all"
        if [ -n "$shared" ]; then cp -rl "$shared/BACKUP-$number" "$disk/all/"; else
            for ((node = 1; node <= nodes_count; node++)); do
                cp -rlf "$disk/to$node/BACKUP-$number" "$disk/all/"
            done
        fi
        expect_exit 0 "$penstock" verify --from "$disk/all"
        expect_exit 0 "$penstock" restore --from "$disk/all" --target "$disk/restored"
        expect_content
    done
    rm -rf "$disk/all" "$disk/restored"
}

expect_content() {
    local node first='' last
    for ((node = 1; node <= nodes_count; node++)); do
        compare_trees "$disk/tree$node" "$disk/restored/$node/tree$node"
        last=$("$writer" count "$disk/restored/$node/pair$node")
        first=${first:-$last}
        counts+=("$last")
    done
    "$writer" check "$disk/restored/$nodes_count/env" >"$memory/out" 2>"$memory/err" || fail_with_logs "env is not consistent"
    expect_one_cut
}

# The writer counts in the pair of one node after the other: one instant of all has the same number, or
# one more in the first few.
expect_one_cut() {
    local i
    for ((i = 1; i < nodes_count; i++)); do
        [ "${counts[i]}" -le "${counts[i - 1]}" ] || fail_with_logs "not one cut: ${counts[*]}"
    done
    if [ "${counts[0]}" -eq 0 ] || [ "${counts[0]}" -gt $((counts[nodes_count - 1] + 1)) ]; then
        fail_with_logs "not one cut: ${counts[*]}"
    fi
    counts=()
}

# All nodes rest: nobody is in doubt of them.
forget_backups() {
    rm -rf "$disk"/to*/BACKUP-* "$disk"/shared/BACKUP-*
}
