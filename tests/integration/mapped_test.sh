#!/bin/bash
# Incremental backups of files that a program changes through a mapping: of the changes to a page that is
# dirty only the first one shows in the file's times, and on tmpfs not even that.
#
#   mapped_test.sh PENSTOCK FOLDER MAPPED_WRITER
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
writer=$3
unset PENSTOCK_TRUST_AFTER

mkdir "$disk/tree" "$memory/tree"
files=("$disk/tree/small" 4096 "$disk/tree/large" 3145728 "$memory/tree/small" 4096 "$memory/tree/large" 3145728)
coproc to_files { exec "$writer" "${files[@]}"; }
put() { # LETTER
    echo "$1" >&"${to_files[1]}"
    read -r _ <&"${to_files[0]}"
}

back_up() { # TREE OPTION...
    expect_exit 0 "$penstock" backup --source "data=dir:$1" --to "$to" --compress none --json "${@:2}"
}
expect_put() { # LETTER: what the last backup has
    local file
    rm -rf "$memory/target"
    cp "$memory/out" "$memory/summary"
    cp "$memory/err" "$memory/told"
    expect_exit 0 "$penstock" restore --from "$to" --target "$memory/target"
    for file in small large; do
        [ "$(find "$memory/target" -name $file -exec head -c 1 {} \;)" = "$1" ] || fail "$file: not as it was when it was backed up"
    done
}
# All of it but the run that has changed is in the base, and is not stored again.
expect_runs() {
    [ "$(jq 'select(.message_type == "summary").referenced_bytes' "$memory/summary")" = 2097152 ] ||
        fail "runs: $(cat "$memory/summary")"
}

put a
sleep 2.5 # past the tick of any clock
for name in disk memory; do
    to=$memory/to-$name
    back_up "${!name}/tree" --base auto
    expect_put a
done
times=$(stat -c %y,%z "$disk"/tree/*)
put b
[ "$(stat -c %y,%z "$disk"/tree/*)" != "$times" ] || echo 'what was changed last does not show in the times'

to=$memory/to-disk
back_up "$disk/tree" --base auto
expect_put b
grep -q 'backup 1 is the base: 0 of its files can be referred to; 2 had changed shortly before it, and are read' "$memory/told" ||
    fail "not said: $(cat "$memory/told")"
expect_runs
expect_exit 2 "$penstock" backup --source "data=dir:$disk/tree" --to "$to" --base auto --trust-after 1999ms
expect_message 'trust-after: give 2s or more'

to=$memory/to-memory # where it never shows, however long ago the first one was
back_up "$memory/tree" --base auto --trust-after 2s
expect_put b
expect_runs
