#!/bin/bash
# Every kind of record that the commands print in JSON is one that docs/json.md describes, field by
# field: all tests hold what they read to it (lib.sh), this one prints each kind that they leave out.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

kinds() { # of the last output
    jq -r '[.message_type, .operation | values] | join(" ")' "$memory/out" | sort -u
}

expect_kind() {
    expect_json "$1"
    kinds >>"$memory/kinds"
}

# A checker that refuses nothing would be no use.
checker_refuses() { # RECORD
    echo "$1" >"$memory/wrong"
    ! (expect_described "$memory/wrong" >/dev/null 2>&1) || fail "the checker takes $1"
}

the_checker_works() {
    local good='{"message_type":"resolved","number":7,"uid":"00112233445566778899aabbccddeeff","outcome":"complete"}'
    echo "$good" >"$memory/wrong"
    expect_described "$memory/wrong"
    checker_refuses "${good/resolved/unheard}"
    checker_refuses "${good/7/\"7\"}"
    checker_refuses "${good/7/7.5}"
    checker_refuses "${good/7/9007199254740993}"
    checker_refuses "${good/00112233/XX112233}"
    checker_refuses "${good/\"number\":7,/}"
    checker_refuses "${good/\"number\"/\"more\":1,\"number\"}"
    local prefix='{"message_type":"topology","has_numa":true,"numa_nodes":[{"numa_node":0'
    checker_refuses "$prefix}]}"
    checker_refuses '{"message_type":"backup","number":1,"state":"complete","started":"2026-01-31 12:34:56"}'
}

each_kind() {
    mkdir "$disk/tree"
    random_bytes 100000 >"$disk/tree/file"
    expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --source synthetic:rows=10 --to "$disk/to" --json
    expect_kind '.[-1].sources | length == 2'
    expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/to" --json --ldms 2
    expect_exit 0 "$penstock" list --from "$disk/to" --json
    expect_kind 'map(.message_type) == ["backup", "backup"] and all(.[]; .start_gci | type == "string")'
    expect_exit 0 "$penstock" show --from "$disk/to" --json
    expect_kind '.[0].message_type == "show"'
    expect_exit 0 "$penstock" verify --from "$disk/to" --json
    expect_kind '.[-1].operation == "verify"'
    expect_exit 0 "$penstock" restore --from "$disk/to" --json --target "$disk/target"
    expect_kind '.[-1].operation == "restore" and .[-1].source_bytes == 100000'
    expect_exit 0 "$penstock" topology --json
    expect_kind 'length == 1'
    expect_exit 0 "$penstock" --version --json
    expect_kind 'length == 1'
    expect_exit 0 "$penstock" pin --from "$disk/to" --json 2
    expect_kind '.[0].message_type == "pinned"'
    expect_exit 0 "$penstock" prune --from "$disk/to" --json --keep-last 7 --dry-run
    expect_kind 'any(.[]; .message_type == "retained" and .reason == "newest 1 of 7, pinned") and .[-1].pruned == 0'
    expect_exit 0 "$penstock" unpin --from "$disk/to" --json 2
    expect_kind '.[0].message_type == "unpinned"'
    echo stranger >"$disk/to/BACKUP-2/stranger"
    flip "$disk/to/BACKUP-1/BACKUP-1-PART-1-OF-1/BACKUP-1.1.data" 8200
    expect_exit 1 "$penstock" verify --from "$disk/to" --json 1
    expect_kind '.[0].message_type == "error" and .[-1].message_type == "exit_error"'
    expect_exit 0 "$penstock" prune --from "$disk/to" --json 1 --dry-run
    expect_kind '.[0].message_type == "pruned" and .[-1].operation == "prune"'
    # a reason may have any bytes: it names the directory
    cp -a "$disk/to" "$disk/"$'odd\xff'
    expect_exit 11 flock -s "$disk/"$'odd\xff/BACKUP-1' "$penstock" prune --from "$disk/"$'odd\xff' --json 1
    expect_kind '[.[].message_type] | index("kept") != null'
}

# Warnings of the log are records, in their place.
warnings() {
    make_too_deep "$disk/tree"
    expect_exit '0 3' "$penstock" backup --source "dir:$disk/tree" --to "$disk/to" --json
    rm -r "$deep"
    expect_message 'warning: '
    expect_kind 'map(.message_type) | index("warning") < index("summary")'
    [ "$(jq -rs 'map(select(.message_type == "warning").message) | join("\n")' "$memory/out")" = \
        "$(sed -n 's/^penstock: warning: //p' "$memory/err")" ] || fail 'other warnings in the log than in the JSON'
}

the_checker_works
each_kind
warnings
for kind in version topology backup show error exit_error warning pruned kept retained pinned unpinned 'summary backup' 'summary verify' \
    'summary restore' 'summary prune'; do
    grep -qx "$kind" "$memory/kinds" || fail "no record of the kind $kind was printed"
done
