# shellcheck shell=bash
# For tests that mount backups; sourced after lib.sh.
: "${penstock:?}" "${memory:?}" "${disk:?}"

# Why nothing can be mounted here; nothing where it can.
why_no_mount() {
    if [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then
        echo 'no /dev/fuse here'
    elif ! is_root; then
        echo 'mounting needs root'
    fi
}

# mount_backup DIRECTORY ARGUMENT…: shows it there until unmount_backup, also where the shell has SIGINT ignored; messages are in $memory/mount.log.
mount_backup() {
    local directory=$1
    shift
    mkdir -p "$directory"
    env --default-signal=INT "$penstock" mount "$@" "$directory" >"$memory/mount.out" 2>"$memory/mount.log" </dev/null &
    server=$!
    mounted+=("$directory")
    for _ in {1..2400}; do
        ! mountpoint -q "$directory" || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    cat "$memory/mount.log" >&2
    fail "not mounted: $*"
}

# Waits for the end of the last mount, which has this exit code; nothing is mounted any more.
expect_unmounted() { # DIRECTORY CODE
    status=0
    wait "$server" || status=$?
    cp "$memory/mount.log" "$memory/err"
    [ "$status" -eq "$2" ] || fail "mount ends with $status, not $2"
    ! mountpoint -q "$1" || fail "$1 is still mounted"
}

unmount_backup() { # DIRECTORY
    umount "$1" || fail "$1 cannot be unmounted"
    expect_unmounted "$1" "${2:-0}"
}
