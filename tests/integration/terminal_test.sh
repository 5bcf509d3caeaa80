#!/bin/bash
# Names of files and sources, paths and messages may hold orders for a terminal: no command passes
# them on, neither to standard output nor to standard error. JSON has them exactly.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# OSC with BEL, CSI of C1 raw and as UTF-8, DEL, a line end, an override of the direction.
nasty=$'n\e]0;owned\a\x9b31m\xc2\x9b32m\x7f\nforged \xe2\x80\xae.'

# tame CODES COMMAND…: runs it; a terminal would not move.
tame() {
    local stream
    expect_exit "$@"
    for stream in out err; do
        ! LC_ALL=C grep -aqP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80\xae|^forged' "$memory/$stream" ||
            fail "$stream of ${*:2} gives orders to a terminal"
        iconv -f UTF-8 -t UTF-8 "$memory/$stream" >/dev/null || fail "$stream of ${*:2} is not UTF-8"
    done
}

make_backup() {
    mkdir -p "$disk/$nasty"
    chmod 755 "$disk/$nasty"
    echo text >"$disk/$nasty/file"
    echo text >"$disk/$nasty/$nasty"
    chmod 000 "$disk/$nasty/$nasty"
    mkdir -m 777 "$disk/to"
    tame 3 as_ordinary_user "$penstock" backup --source "dir:$disk/$nasty" --to "$disk/to/$nasty"
    cp -a "$disk/to/$nasty" "$disk/copy"
}

reading() {
    local from="$disk/to/$nasty"
    tame 0 "$penstock" show --from "$from"
    expect_output 'source .*owned' 'could not be read.*owned'
    tame 0 "$penstock" list --from "$from"
    tame 0 "$penstock" verify --from "$from"
    tame 3 "$penstock" restore --from "$from" --target "$disk/$nasty-restored"
    expect_output 'restored to .*owned'
    tame 2 "$penstock" export --from "$from" --to "$disk/$nasty-exported"
    tame 0 "$penstock" topology --path "$from"
    expect_exit 0 "$penstock" show --from "$from" --json
    # The manifest has bytes below 0x20 as \xNN; the rest of the name is as it was.
    expect_json '.[0].node_manifests[0].unreadable_names[0] | contains("\\x1b]0;owned\\x07") and contains("\u009b32m")'
}

failing() {
    tame 10 "$penstock" list --from "$disk/$nasty-none"
    tame 10 "$penstock" verify --from "$disk/copy" "$nasty"
    tame 1 "$penstock" restore --from "$disk/copy" --target "$disk/$nasty/file"
    tame 2 "$penstock" "$nasty"
    tame 2 "$penstock" list --from "$disk/copy" "--$nasty"
    tame 2 "$penstock" list --from "$disk/copy" --config "$disk/$nasty"
    tame 2 "$penstock" backup --ldms "$nasty"
    tame 1 "$penstock" status --node "$disk/$nasty"
    flip "$disk/to/$nasty"/BACKUP-1/BACKUP-1-PART-1-OF-*/BACKUP-1.1.data 8200
    tame 0 "$penstock" list --from "$disk/to/$nasty"
    tame 1 "$penstock" verify --from "$disk/to/$nasty"
    tame 0 "$penstock" prune --from "$disk/to/$nasty" --dry-run 1
}

make_backup
reading
failing
