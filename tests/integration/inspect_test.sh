#!/bin/bash
# list, show, verify and restore find the backup that is meant; --json says what it promises; a
# standard output that cannot be written is an error, never a crash or a spoilt backup.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

backups=$disk/backups
source_tree=$disk/tree

make_backups() {
    make_small_tree "$source_tree"
    local number
    for number in 1 2 7; do
        echo "state $number" >"$source_tree/state"
        expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$backups" --number "$number" --ldms 2
    done
    expect_exit 0 "$penstock" backup --source synthetic:rows=5 --to "$backups"
    expect_output '^backup 8 is complete'
}

uid_of() { # NUMBER
    "$penstock" list --from "$backups" --json | jq -r "select(.number == $1).uid"
}

# restores_state EXPECTED ARGUMENT…
restores_state() {
    local expected=$1
    shift
    rm -rf "$disk/target"
    expect_exit 0 "$penstock" restore --from "$backups" --target "$disk/target" "$@"
    [ "$(cat "$disk/target/state")" = "$expected" ] || fail "restore $*: not \"$expected\""
}

choosing() {
    restores_state 'state 2' 2
    restores_state 'state 1' "$(uid_of 1)"
    local uid
    uid=$(uid_of 7)
    restores_state 'state 7' "${uid:0:12}"
    expect_exit 0 "$penstock" verify --from "$backups" "${uid:0:12}"
    expect_output '^backup 7: .* 0 damages'
    expect_exit 0 "$penstock" show --from "$backups"
    expect_output '^backup 8: complete'
    expect_exit 0 "$penstock" verify --from "$backups"
    expect_output '^backup 8:'
    expect_exit 0 "$penstock" list --from "$backups"
    [ "$(wc -l <"$memory/out")" = 5 ] || fail 'list: not a heading and four rows'
    local command
    for command in show verify "restore --target $disk/none"; do
        for id in 3 0 99999999999999999999 -- deadbeefdeadbeef ../1 ''; do
            # shellcheck disable=SC2086 # words
            expect_exit '10 2' "$penstock" $command --from "$backups" -- "$id"
            expect_absent "$disk/none"
        done
    done
}

# A stranger reads them: counts agree with their nouns, an id that is too short is said to be.
wording() {
    expect_exit 0 "$penstock" backup --source synthetic:rows=1 --to "$disk/words"
    expect_output '^backup 1 is complete: 1 object, '
    expect_exit 0 "$penstock" restore --from "$disk/words" --target "$disk/words-target"
    expect_output ': 1 object, '
    expect_exit 0 "$penstock" show --from "$disk/words"
    expect_output '^1 object, '
    local command
    for command in verify show "restore --target $disk/none" prune; do
        # shellcheck disable=SC2086 # words
        expect_exit 10 "$penstock" $command --from "$disk/words" abc
        expect_message 'no backup has the number or uid abc; give at least 4 digits of a uid'
        # shellcheck disable=SC2086
        expect_exit 10 "$penstock" $command --from "$disk/words" 99
        ! grep -q 'digits' "$memory/err" || fail 'a number is no uid'
    done
}

# Where a backup comes from, and the user's word for it; no text of a manifest gives orders.
origin() {
    mkdir -p "$disk/origin"
    local label='vor dem Ümzug "A"' host json bad
    host=$(uname -n)
    json=$(jq -R . <<<"$label")
    (cd "$disk/origin" && expect_exit 0 "$penstock" backup --source "dir:./../tree/." --source synthetic:rows=1 --to ../labelled --label "$label")
    expect_exit 0 "$penstock" list --from "$disk/labelled"
    expect_output "  label \"$label\"\$"
    expect_exit 0 "$penstock" show --from "$disk/labelled"
    expect_output "^label $label\$" "^  host $host\$" '^  written by penstock [0-9.]+$' "^    path $disk/origin/../tree\$"
    expect_exit 0 "$penstock" list --from "$disk/labelled" --json
    expect_json ".[0].label == $json"
    expect_exit 0 "$penstock" show --from "$disk/labelled" --json
    expect_json ".[0] | .label == $json and (.node_manifests[0] | .host == \"$host\"
        and (.writer | startswith(\"penstock \")) and (.sources | map(.path)) == [\"$disk/origin/../tree\", null])"
    expect_exit 0 "$penstock" list --from "$backups" --json
    expect_json 'all(has("label") | not)'
    expect_exit 2 "$penstock" backup --source synthetic:rows=1 --to "$disk/none" --label ''
    for bad in "$(printf '%0129d' 0)" $'two\nlines' $'\e[2Jclear' $'\xff' $'\xc2\x9b2J' $'\xe2\x80\xaeabc'; do
        expect_exit 2 "$penstock" backup --source synthetic:rows=1 --to "$disk/none" --label "$bad"
        expect_message 'label: give 1 to 128 bytes of printable UTF-8'
        expect_absent "$disk/none"
    done
    expect_exit 2 "$penstock" backup --node "$disk/none" --label x
    expect_message '.-label does not apply to a backup through a node'
    expect_exit 0 "$penstock" backup --source synthetic:rows=1 --to "$disk/labelled" --label "$(printf '%0128d' 0)"
}

# The newest complete one: neither one that is damaged nor one that was never completed.
newest_complete() {
    cp -a "$backups" "$disk/spoilt"
    truncate -s -4096 "$disk/spoilt"/BACKUP-8/BACKUP-8-PART-1-OF-*/BACKUP-8.1.data
    rm "$disk"/spoilt/BACKUP-7/BACKUP-7.cluster.manifest*
    expect_exit 0 "$penstock" list --from "$disk/spoilt"
    expect_output '^ +7 +incomplete' '^ +8 +damaged'
    local command
    for command in verify 'restore --target /dev/null'; do
        # shellcheck disable=SC2086 # words
        expect_exit '3 1' "$penstock" $command --from "$disk/spoilt"
        expect_message 'backup 8.* passed over: it is damaged: .*BACKUP-8.1.data'
    done
    expect_exit 3 "$penstock" restore --from "$disk/spoilt" --target "$disk/newest"
    [ "$(cat "$disk/newest/state")" = 'state 2' ] || fail 'not the newest complete one'
    expect_exit 10 "$penstock" restore --from "$disk/spoilt" --target "$disk/none" 7
    expect_exit 10 "$penstock" verify --from "$disk/spoilt" 7
    expect_exit 1 "$penstock" restore --from "$disk/spoilt" --target "$disk/none" 8
    expect_message 'BACKUP-8.1.data'
    expect_absent "$disk/none"
}

json() {
    expect_exit 0 "$penstock" list --from "$backups" --json
    expect_json 'map(.number) == [1, 2, 7, 8] and all(.state == "complete" and (.uid | length) == 32
        and .source_bytes > 0 and .stored_bytes > 0 and .objects > 0 and .chunks > 0
        and .unreadable == 0 and .nodes == 1 and (.start_gci | test("^[0-9]{19}$"))
        and .finished > .started)'
    expect_exit 0 "$penstock" show --from "$backups" --json 7
    expect_json 'length == 1 and .[0].number == 7 and .[0].node_manifests[0].node == 1
        and .[0].node_manifests[0].sources[0].name == "tree"
        and (.[0].node_manifests[0].parts | length) == 2'
    expect_exit 0 "$penstock" verify --from "$backups" --json 7
    expect_json '.[-1] | .message_type == "summary" and .number == 7 and .damages == 0 and .files == 5'
    rm -rf "$disk/target"
    expect_exit 0 "$penstock" restore --from "$backups" --json 7 --target "$disk/target"
    expect_json '.[-1] | .message_type == "summary" and .number == 7 and .objects > 5 and .source_bytes > 300000'
    expect_exit 0 "$penstock" topology --json
    expect_json 'length == 1 and (.[0].cpus | length) > 0 and (.[0].plan.ldms | length) > 0'
    expect_exit 0 "$penstock" --version --json
    expect_json '.[0].name == "penstock"'
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$backups" --json --ldms 2
    expect_json '.[-1] | .message_type == "summary" and .number == 9 and (.ldms | length) == 2
        and ([.ldms[].source_bytes] | add) == .source_bytes and .elapsed_ns > 0'
    # A name that is not UTF-8 is still JSON.
    mkdir "$disk/"$'odd\xff'
    expect_exit 1 "$penstock" backup --source "dir:$disk/"$'odd\xff/none' --to "$disk/x" --json
    expect_json '.[-1].message_type == "exit_error"'
    expect_exit 0 "$penstock" backup --source "dir:$disk/"$'odd\xff' --to "$disk/odd-backups" --json
    expect_exit 0 "$penstock" show --from "$disk/odd-backups" --json
    expect_json 'length == 1'
}

json_of_failures() {
    local is_last='.[-1] | .message_type == "exit_error" and (.message | length) > 0 and .code =='
    expect_exit 10 "$penstock" verify --from "$backups" --json 99
    expect_json "$is_last 10"
    expect_exit 10 "$penstock" show --from "$backups" --json 99
    expect_json "$is_last 10"
    expect_exit 10 "$penstock" list --from "$disk/none" --json
    expect_json "$is_last 10"
    expect_exit 2 "$penstock" backup --json --ldms many --to "$disk/x" --source "dir:$source_tree"
    expect_json "$is_last 2"
    expect_exit 2 "$penstock" restore --from "$backups" --json 7 --target "$disk"
    expect_json "$is_last 2"
    cp -a "$backups" "$disk/flipped"
    flip "$disk/flipped/BACKUP-7/BACKUP-7-PART-1-OF-2/BACKUP-7.1.data" 8200
    expect_exit 1 "$penstock" verify --from "$disk/flipped" --json 7
    expect_json "$is_last 1"
    expect_json 'map(select(.message_type == "error")) | length > 0'
}

# Asks a command for its progress all the time, and stops it to give it time to be asked. Without LeakSanitizer, which
# stops a process at its end, and waits for ever where a SIGCONT undoes that (so does timeout(1), which sends one).
asking() { # COMMAND…
    trap '' USR1 # of the command too, until it handles it
    ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 "$@" &
    local child=$!
    while kill -USR1 "$child" 2>/dev/null && kill -STOP "$child"; do
        sleep 0.05
        kill -CONT "$child"
        sleep 0.01
    done
    wait "$child"
}

# expect_progress STREAM PATTERN COMMAND…: asked for it, it says so there; where the host let it end before it was asked,
# it is run again.
expect_progress() {
    for _ in {1..20}; do
        rm -rf "$disk/slow.restored"
        expect_exit 0 asking "${@:3}"
        ! grep -Eq "$2" "$memory/$1" || return 0
    done
    fail "not a word of its progress: ${*:3}"
}

# Progress goes to stderr: stdout has the summary alone.
progress_is_on_stderr() {
    local said='"message_type": *"status"' back_up=("$penstock" backup --source synthetic:rows=200000 --to "$memory/progress")
    expect_progress err '^backup: .*MiB/s' "${back_up[@]}"
    ! grep -q '^backup: ' "$memory/out" || fail 'progress on standard output'
    expect_progress out "$said" "${back_up[@]}" --json
    expect_json '.[0] | .message_type == "status" and .operation == "backup" and .source_bytes >= 0'
    expect_progress out "$said" "$penstock" verify --from "$memory/progress" --json
    expect_json '.[0] | .message_type == "status" and .operation == "verify" and .file_bytes >= 0'
    rm -rf "$memory/progress"
}

# Silent where there is nothing to warn of; data and JSON come all the same, and a line when asked.
quiet() {
    local command
    for command in "backup --source dir:$source_tree --to $disk/quiet" "verify --from $disk/quiet" \
        "restore --from $disk/quiet --target $disk/quiet-target" "prune --from $disk/quiet --keep 1"; do
        # shellcheck disable=SC2086 # words
        expect_exit 0 "$penstock" $command --quiet
        [ ! -s "$memory/out" ] || fail "prints: $command"
        [ ! -s "$memory/err" ] || fail "logs: $command"
    done
    expect_exit 0 "$penstock" list --from "$disk/quiet" -q
    expect_output '^ +1 +complete +20.*T.*Z '
    expect_exit 0 "$penstock" prune --from "$disk/quiet" --keep 1 --dry-run -q
    [ -s "$memory/out" ] || fail 'prune --dry-run --quiet is silent'
    expect_exit 0 "$penstock" verify --from "$disk/quiet" -q --json
    expect_json '.[-1].message_type == "summary"'
    expect_exit 10 "$penstock" verify --from "$disk/quiet" -q 9
    expect_message 'error: '
    expect_exit 2 "$penstock" list --from "$disk/quiet" -q -v
    expect_progress err '^backup: .*MiB/s' "$penstock" backup --source synthetic:rows=200000 --to "$memory/progress" -q
    rm -rf "$memory/progress"
}

# What happens inside io_uring is logged when it is asked for.
internals() {
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$disk/internals"
    ! grep -Eq 'io_uring|DEFER_TASKRUN' "$memory/err" || grep -q 'not registered' "$memory/err" || fail 'io_uring by default'
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$disk/internals" -v
    expect_message 'io_uring: '
    expect_exit 0 "$penstock" backup --source "dir:$source_tree" --to "$disk/internals" -v --sqpoll --iopoll
    expect_message 'io_uring: SQPOLL.*, IOPOLL for'
}

is_ready_for_it() { # PID: the process, and SIGUSR1 does not end it
    [ "/proc/$1/exe" -ef "$penstock" ] && grep -Eq '^Sig(Ign|Cgt):.*[2367abef][0-9a-f]{2}$' "/proc/$1/status"
}

# SIGUSR1 asks for the progress, also a node, which goes on, whether it is up or not.
asked_node() {
    mkdir "$disk/slowly"
    random_bytes 20000000 >"$disk/slowly/one"
    "$penstock" node --cluster "asked-$$" --id 1 --socket "$memory/asked" --fabric-dir "$memory/fabric" \
        --pace 1M --source "dir:$disk/slowly" --to "$disk/asked" >"$memory/out" 2>"$memory/err" &
    local pid=$! i
    until is_ready_for_it "$pid" 2>/dev/null; do kill -0 "$pid" || fail 'the node ended'; done
    for i in 1 2 3; do
        kill -USR1 "$pid"
        until "$penstock" status --node "$memory/asked" >/dev/null 2>&1; do kill -0 "$pid" || fail "SIGUSR1 ended the node ($i)"; done
    done
    until grep -q 'progress: no backup is running$' "$memory/err"; do kill -USR1 "$pid"; sleep 0.01; done
    "$penstock" backup --node "$memory/asked" >"$memory/report" 2>&1 &
    local backup=$!
    until grep -Eq 'progress: backup 1, [a-z ]+, [0-9]+ s, [0-9.]+ MiB read here, [0-9.]+ MiB/s in 1 s, [0-9.]+ in 10 s, [0-9.]+ in 60 s' "$memory/err"; do
        kill -USR1 "$pid"
        kill -0 "$backup" 2>/dev/null || fail 'the backup ended before the node logged its progress'
    done
    "$penstock" abort --node "$memory/asked" >"$memory/report.abort" 2>&1 || true
    wait "$backup" || true
    kill -USR1 "$pid"
    kill -TERM "$pid"
    wait "$pid" || fail "the node ends with $?"
}

# expect_asked COMMAND OPTION…: takes long enough to be asked, and answers.
expect_asked() {
    expect_progress err "^$1: [0-9.]+ [KMG]?i?B.*, [0-9.]+ [KMG]?i?B/s, [0-9]+ objects?, [0-9:]+" "$penstock" "$@"
}

asked_runs() {
    mkdir "$disk/slow"
    random_bytes 1500000 >"$disk/slow/one"
    expect_asked backup --source "dir:$disk/slow" --to "$disk/slow.to" --chunk 64K --pace 1M --quiet
    expect_asked verify --from "$disk/slow.to" --pace 1M --quiet
    expect_asked restore --from "$disk/slow.to" --target "$disk/slow.restored" --pace 1M --quiet
}

with_closed() { # COMMAND…: without standard output
    "$@" >&-
}

with_full() { # COMMAND…
    "$@" >/dev/full
}

without_any() { # COMMAND…: no standard stream at all
    "$@" <&- >&- 2>&-
}

with_reader_gone() { # COMMAND…
    local pipe=$memory/pipe
    rm -f "$pipe"
    mkfifo "$pipe"
    tail -f "$pipe" &
    local reader=$!
    exec 4>"$pipe"
    kill "$reader"
    wait "$reader" || true
    "$@" >&4 4>&-
}

bad_standard_output() {
    local how
    for how in with_closed with_full without_any; do
        rm -rf "$disk/to" "$disk/target"
        expect_exit 1 "$how" "$penstock" list --from "$backups"
        expect_exit 1 "$how" "$penstock" show --from "$backups"
        expect_exit 1 "$how" "$penstock" topology
        expect_exit 1 "$how" "$penstock" --help
        expect_exit 1 "$how" "$penstock" backup --help
        expect_exit 1 "$how" "$penstock" list --from "$backups" --json
        expect_exit 1 "$how" "$penstock" prune --from "$backups" --keep 1 --dry-run
        expect_exit 1 "$how" "$penstock" prune --from "$backups" --keep 1 --dry-run --json
        expect_exit 1 "$how" "$penstock" backup --source "dir:$source_tree" --to "$disk/to" --dry-run
        expect_exit 3 "$how" "$penstock" verify --from "$backups"
        expect_exit 3 "$how" "$penstock" verify --from "$backups" --json
        # The work is done, the report is not: the backup stands and is whole, and so is the target.
        expect_exit 3 "$how" "$penstock" backup --source "dir:$source_tree" --to "$disk/to"
        expect_exit 3 "$how" "$penstock" backup --source "dir:$source_tree" --to "$disk/to" --json
        expect_exit 0 "$penstock" list --from "$disk/to"
        expect_output '^ +1 +complete' '^ +2 +complete'
        expect_exit 0 "$penstock" verify --from "$disk/to" 1
        expect_exit 0 "$penstock" verify --from "$disk/to" 2
        expect_exit 3 "$how" "$penstock" restore --from "$disk/to" --target "$disk/target"
        compare_trees "$source_tree" "$disk/target"
        expect_exit 3 "$how" "$penstock" prune --from "$disk/to" 1
        expect_exit 10 "$penstock" show --from "$disk/to" 1
    done
    expect_exit 3 with_reader_gone "$penstock" backup --source "dir:$source_tree" --to "$disk/to" --json
    expect_exit 0 "$penstock" verify --from "$disk/to" 3
}

make_backups
choosing
wording
origin
newest_complete
json
json_of_failures
progress_is_on_stderr
quiet
internals
asked_node
asked_runs
bad_standard_output
