#!/bin/bash
# A source that hangs: it is named, the backup ends, and a cluster goes on without its node. A disk that hangs
# under verify and restore is named too; they go on when it does.
#
#   hang_test.sh PENSTOCK FOLDER HANG_FS
set -euo pipefail
# shellcheck source=../lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=../nodes.sh
source "$(dirname "${BASH_SOURCE[0]}")/../nodes.sh"
hang_fs=$3
limits=(--stall-warning 500ms --stall-limit 1s --hang-limit 1s)
source=$disk/source
mkdir "$source"

# mount_source CALL: a source in which that call hangs for the file "stuck".
mount_source() {
    mount_at "$source" "$1"
}

mount_at() { # MOUNTPOINT CALL [FILE]
    source=$1
    : >"$memory/fs" # what an earlier one has said is not this one's
    "$hang_fs" "$@" >>"$memory/fs" &
    server=$!
    until grep -q mounted "$memory/fs"; do
        kill -0 "$server" 2>/dev/null || skip 'no file system can be mounted here (FUSE, root)'
        sleep 0.05
    done
    mounted+=("$source")
}

unmount_source() {
    kill "$server"
    wait "$server" || true
    umount -l "$source"
}

# hanging CALL OPTION…: by itself it ends with 1 and names what it waited for; the next sweeps.
hanging() {
    local call=$1 words=$2
    shift 2
    mount_source "$call"
    expect_exit 1 timeout -s KILL 300 "$penstock" backup --source "x=dir:$source" --to "$disk/to" "${limits[@]}" "$@"
    expect_message "$words" 'cannot be ended' 'does not answer; the next backup removes'
    [ -d "$disk/to/BACKUP-1" ] || fail 'what hung was waited for'
    unmount_source
    expect_exit 0 "$penstock" backup --source synthetic:rows=1 --to "$disk/to"
    expect_message 'BACKUP-1: removed: it was never completed'
    rm -r "$disk/to"
}

begin_hanging() { # OPTION…: in $child, once it hangs
    mount_source read
    env --default-signal=INT -- "$penstock" backup --source "x=dir:$source" --to "$disk/to" "$@" \
        >"$memory/out" 2>"$memory/err" &
    child=$!
    wait_until grep -q hangs "$memory/fs"
}

ends_with() { # CODE
    status=0
    wait "$child" || status=$?
    [ "$status" -eq "$1" ] || fail "exit $status, not $1"
    unmount_source
    rm -r "$disk/to"
}

taken() {
    ! grep -Eq '^(SigPnd|ShdPnd):.*[2367abef]$' "/proc/$child/status"
}

# What a first signal does not end ends by a second.
interrupt_twice() {
    kill -INT "$child"
    wait_until taken
    sleep 0.5 # one within 0.3 s belongs to the first
    kill -INT "$child"
}

interrupted() {
    begin_hanging --hang-limit 1s
    kill -INT "$child"
    ends_with 130
    expect_message 'does not answer; the next backup removes'
    begin_hanging --hang-limit 1h
    interrupt_twice
    ends_with 130
    expect_message 'interrupted again'
}

start() { # ID SOURCE
    "$penstock" node --cluster "hang-$$" --fabric-dir "$memory/fabric" --id "$1" --nodes 1-2 --ldms 2 \
        --socket "$memory/$1.socket" --source "x=dir:$2" --to "$disk/backups-$1" "${limits[@]}" \
        2>"$memory/$1.log" &
}

cluster() { # CALL WORDS
    local one two
    mount_source "$1"
    start 1 "$disk/files"
    one=$!
    start 2 "$source"
    two=$!
    wait_until sees_live 1 2
    expect_exit 1 "$penstock" backup --node "$memory/1.socket"
    grep -Eq "has waited .* to $2" "$memory/2.log" || fail_with_logs 'what hangs is not logged'
    wait_until sees 2 ".hung and any(.stalls[]; \"\(.thread): \(.operation) \(.name)\" | test(\"$2\"))"
    "$penstock" status --node "$memory/2.socket" | grep -Eq "stalled: .* to $2" || fail 'the text shows no stall'
    wait_until sees_live 1 1
    expect_exit '0 3' "$penstock" backup --node "$memory/1.socket" --allow-missing
    kill -USR1 "$server"
    wait_until sees_live 1 2
    wait_until sees 2 '(.hung | not) and .stalls == []'
    expect_exit 0 "$penstock" backup --node "$memory/1.socket"
    kill -TERM "$one" "$two"
    wait "$one" || fail_with_logs "node 1 ends with $?"
    wait "$two" || fail_with_logs "node 2 ends with $?"
    unmount_source
    rm -r "$disk/backups-1" "$disk/backups-2"
}

# Stopped and continued several times a second, it waits for the same still.
pulse() { # PID
    while kill -STOP "$1" && sleep 0.05 && kill -CONT "$1"; do sleep 0.3; done 2>/dev/null
}

# [pulses=1] starts_hanging WORDS ARGUMENT…: penstock in $child, until the log has the words.
starts_hanging() {
    local words=$1
    shift
    env --default-signal=INT -- "$penstock" "$@" >"$memory/out" 2>"$memory/err" &
    child=$!
    wait_until grep -q hangs "$memory/fs"
    [ -z "${pulses:-}" ] || { pulse "$child" & local pulse=$!; }
    wait_until grep -Eq "has waited .* to $words" "$memory/err"
    [ -z "${pulses:-}" ] || { kill "$pulse"; wait "$pulse" || true; kill -CONT "$child"; }
}

# A part that hangs where its data begins: both read it with the threads of a crew, and then go on.
reads_a_hanging_part() {
    local part=BACKUP-1/BACKUP-1-PART-1-OF-1/BACKUP-1.1.data command
    expect_exit 0 "$penstock" backup --source "x=dir:$disk/files" --to "$disk/to" --ldms 1
    for command in verify 'restore --target '"$disk/restored"; do
        mount_at "$disk/to/$part" read "$disk/to/$part"
        # shellcheck disable=SC2086
        starts_hanging "read $part" $command --from "$disk/to" --ldms 1
        grep -q '^penstock: warning: LDM 1: has waited' "$memory/err" || fail 'the thread is not named'
        kill -USR1 "$server"
        status=0
        wait "$child" || status=$?
        [ "$status" -eq 0 ] || fail "exit $status, not 0"
        unmount_source
    done
    cmp "$disk/files/one" "$disk/restored/one"
    mount_at "$disk/to/$part" read "$disk/to/$part"
    pulses=1 starts_hanging "read $part" verify --from "$disk/to"
    interrupt_twice
    ends_with 130
    expect_message 'interrupted again'
}

# A target that hangs, before any other thread is started.
writes_to_a_hanging_target() {
    mkdir "$disk/stuck" "$disk/target"
    echo x >"$disk/stuck/stuck"
    expect_exit 0 "$penstock" backup --source "x=dir:$disk/stuck" --to "$disk/to"
    mount_at "$disk/target" stat
    starts_hanging 'look at what is in the way of x/stuck' restore --from "$disk/to" --target "$disk/target" --force
    interrupt_twice
    ends_with 130
}

mkdir "$disk/files"
random_bytes 100000 >"$disk/files/one"
hanging read 'LDM 1: has waited .* to read source x: stuck' --ldms 1
hanging read 'LDM .: has waited .* to read source x: stuck' --ldms 3 --single-threaded
hanging stat 'source x: has waited .* to look at stuck' --ldms 2
interrupted
cluster read 'read source x: stuck'
cluster stat 'look at stuck'
reads_a_hanging_part
writes_to_a_hanging_target
