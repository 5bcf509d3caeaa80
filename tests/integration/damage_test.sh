#!/bin/bash
# What is not, or no longer, a backup: verify and restore fail, name the file, and restore leaves
# nothing behind.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

digest=${3:?usage: damage_test.sh PENSTOCK FOLDER DIGEST}
part1=BACKUP-1/BACKUP-1-PART-1-OF-2/BACKUP-1.1.data
part2=BACKUP-1/BACKUP-1-PART-2-OF-2/BACKUP-1.1.data

# Each case begins with a fresh copy of the good one, in which the decision is kept once, so that
# nothing makes up for it.
fresh() {
    rm -rf "$disk/bad" "$disk/target"
    cp -a "$disk/good" "$disk/bad"
    rm "$disk"/bad/BACKUP-*/*.copy
}

uid_of() {
    "$penstock" list --from "$1" --json | jq -r "select(.number == $2) | .uid"
}

# The decision is kept twice: either file will do, whatever became of the other, and that is said.
one_file_of_the_decision() {
    local lost harm
    for lost in '' .copy; do
        for harm in rm flip empty; do
            rm -rf "$disk/bad" "$disk/target"
            cp -a "$disk/good" "$disk/bad"
            case $harm in
            rm) rm "$disk/bad/BACKUP-1/BACKUP-1.cluster.manifest$lost" ;;
            flip) flip "$disk/bad/BACKUP-1/BACKUP-1.cluster.manifest$lost" 30 ;;
            empty) : >"$disk/bad/BACKUP-1/BACKUP-1.cluster.manifest$lost" ;;
            esac
            expect_exit 0 "$penstock" list --from "$disk/bad"
            expect_output "^ +1 +complete .*BACKUP-1.cluster.manifest$lost: "
            expect_exit 0 "$penstock" verify --from "$disk/bad" 1
            expect_message "BACKUP-1.cluster.manifest$lost: "
            expect_exit 0 "$penstock" restore --from "$disk/bad" --target "$disk/target" 1
            diff -r --no-dereference "$disk/tree" "$disk/target"
            expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/bad"
            ! grep -q 'BACKUP-1.*removed' "$memory/err" || fail 'removed'
            expect_exit 0 "$penstock" verify --from "$disk/bad" 1
            [ "$harm" != rm ] || cmp "$disk/bad/BACKUP-1/BACKUP-1.cluster.manifest" \
                "$disk/bad/BACKUP-1/BACKUP-1.cluster.manifest.copy"
        done
    done
    rm -rf "$disk/target"
}

# A directory that was renamed holds what it held: found by its uid, and left alone.
misnamed() {
    local uid
    rm -rf "$disk/bad"
    cp -a "$disk/good" "$disk/bad"
    uid=$(uid_of "$disk/bad" 1)
    mv "$disk/bad/BACKUP-1" "$disk/bad/BACKUP-3"
    expect_exit 0 "$penstock" list --from "$disk/bad"
    expect_output "^ +1 +misnamed .*${uid:0:8}.*BACKUP-3" '^ +2 +complete'
    expect_exit 0 "$penstock" list --from "$disk/bad" --json
    expect_json 'map(select(.state == "misnamed")) | length == 1 and .[0].number == 1
        and .[0].directory == "BACKUP-3"'
    expect_exit 0 "$penstock" verify --from "$disk/bad" "$uid"
    expect_output '^backup 1: .* 0 damages'
    expect_exit 0 "$penstock" show --from "$disk/bad" "${uid:0:10}"
    expect_output '^backup 1: misnamed'
    expect_exit 0 "$penstock" restore --from "$disk/bad" --target "$disk/target" "$uid"
    diff -r --no-dereference "$disk/tree" "$disk/target"
    rm -rf "$disk/target"
    local id
    for id in 1 3; do
        expect_exit 10 "$penstock" verify --from "$disk/bad" "$id"
        expect_message "BACKUP-3 holds backup 1.*$uid"
    done
    expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/bad"
    expect_output '^backup 4 is complete'
    ! grep -q removed "$memory/err" || fail 'removed what is not its own'
    expect_exit 0 "$penstock" prune --from "$disk/bad" --keep 1
    # verify has left its note
    [ "$(names_below "$disk/bad/BACKUP-3" | grep -v '\.verified$')" = "$(names_below "$disk/good/BACKUP-1" | grep -v '\.verified$')" ] || fail 'touched'
    # The newest, misnamed, is passed over, and that is said.
    mv "$disk/bad/BACKUP-4" "$disk/bad/BACKUP-9"
    mv "$disk/bad/BACKUP-3" "$disk/bad/BACKUP-1"
    expect_exit 3 "$penstock" verify --from "$disk/bad"
    expect_message 'backup 4.* passed over'
    expect_output '^backup 1: '
    mv "$disk/bad/BACKUP-1" "$disk/bad/BACKUP-3"
    expect_exit 0 "$penstock" prune --from "$disk/bad" "$uid"
    expect_absent "$disk/bad/BACKUP-3"
    # Beside a copy of it that is not misnamed, its uid means that one.
    rm -rf "$disk/bad"
    cp -a "$disk/good" "$disk/bad"
    cp -a "$disk/bad/BACKUP-1" "$disk/bad/BACKUP-7"
    expect_exit 0 "$penstock" prune --from "$disk/bad" "$uid"
    expect_absent "$disk/bad/BACKUP-1"
    [ -e "$disk/bad/BACKUP-7" ] || fail 'the copy was removed'
}

# rejected PATTERN: verify and restore exit 1 and name what the pattern says.
rejected() {
    expect_exit 1 "$penstock" verify --from "$disk/bad" 1
    cat "$memory/out" >>"$memory/err"
    expect_message "$1"
    expect_exit 1 "$penstock" restore --from "$disk/bad" --target "$disk/target" 1
    expect_message "$1"
    expect_names "$disk" "$before"
}

damaged_files() {
    local file size
    for file in "$part1" "$part2"; do
        fresh
        truncate -s -1 "$disk/bad/$file"
        rejected "$file.*shorter"
        fresh
        truncate -s +4096 "$disk/bad/$file"
        rejected "$file"
        fresh
        : >"$disk/bad/$file"
        rejected "$file"
        fresh
        rm "$disk/bad/$file"
        rejected "$file.*No such file"
        fresh
        rm "$disk/bad/$file"
        mkdir "$disk/bad/$file"
        rejected "$file"
        expect_exit 1 "$penstock" ls --from "$disk/bad" --id 1
        fresh
        rm "$disk/bad/$file"
        ln -s /dev/zero "$disk/bad/$file"
        rejected "$file"
        size=$(stat -c %s "$disk/good/$file")
        local offset
        for offset in 0 5000 9000 $((size / 2)) $((size - 5000)) $((size - 1)); do
            fresh
            flip "$disk/bad/$file" "$offset"
            rejected "$file"
        done
    done
}

swapped_files() {
    fresh
    mv "$disk/bad/$part1" "$disk/bad/x"
    mv "$disk/bad/$part2" "$disk/bad/$part1"
    mv "$disk/bad/x" "$disk/bad/$part2"
    rejected 'BACKUP-1-PART-[12]-OF-2/BACKUP-1.1.data'
    # The same part of another backup of the same tree.
    fresh
    cp "$disk/good/BACKUP-2/BACKUP-2-PART-1-OF-2/BACKUP-2.1.data" "$disk/bad/$part1"
    rejected "$part1"
    # A whole backup under another number.
    fresh
    rm -r "$disk/bad/BACKUP-1"
    mv "$disk/bad/BACKUP-2" "$disk/bad/BACKUP-1"
    expect_exit 10 "$penstock" restore --from "$disk/bad" --target "$disk/target" 1
    expect_message 'BACKUP-1'
    expect_names "$disk" "$before"
    fresh
    mv "$disk/bad/BACKUP-1/BACKUP-1-PART-1-OF-2" "$disk/bad/BACKUP-1/BACKUP-1-PART-1-OF-3"
    rejected 'BACKUP-1-PART-1-OF-2'
}

manifests() {
    fresh
    flip "$disk/bad/BACKUP-1/BACKUP-1.1.manifest" 30
    rejected 'BACKUP-1.1.manifest'
    fresh
    flip "$disk/bad/BACKUP-1/BACKUP-1.cluster.manifest" 30
    rejected 'BACKUP-1.cluster.manifest'
    fresh
    : >"$disk/bad/BACKUP-1/BACKUP-1.cluster.manifest"
    rejected 'BACKUP-1.cluster.manifest'
    fresh
    rm "$disk/bad/BACKUP-1/BACKUP-1.1.manifest"
    rejected 'BACKUP-1.1.manifest'
    fresh
    rm "$disk/bad/BACKUP-1/BACKUP-1.cluster.manifest"
    expect_exit 10 "$penstock" verify --from "$disk/bad" 1
    expect_message 'never completed'
    expect_exit 10 "$penstock" restore --from "$disk/bad" --target "$disk/target" 1
    expect_message 'never completed'
    expect_names "$disk" "$before"
}

# rewrite FILE SED-SCRIPT: changes a manifest, and makes its checksum right again.
rewrite() {
    local line
    line=$(head -n 1 "$1" | sed "$2")
    [ "$line" != "$(head -n 1 "$1")" ] || fail "$1: $2 changes nothing"
    printf '%s\n{"checksum":"%s"}\n' "$line" "$(printf '%s\n' "$line" | "$digest")" >"$1"
}

newer() {
    local node=$disk/bad/BACKUP-1/BACKUP-1.1.manifest cluster=$disk/bad/BACKUP-1/BACKUP-1.cluster.manifest
    fresh
    rewrite "$cluster" 's/,"incompatible":0/,"incompatible":8/'
    rejected 'BACKUP-1.cluster.manifest.*written by a newer, incompatible Penstock: use that version, or a later one'
    expect_exit 0 "$penstock" list --from "$disk/bad"
    expect_output '^ +1 +newer' '^ +2 +complete'
    # Of another node's manifest only the cluster manifest tells.
    fresh
    rewrite "$node" 's/,"incompatible":0/,"incompatible":8/'
    rewrite "$cluster" "s/\"digest\":\"[^\"]*\"/\"digest\":\"$("$digest" <"$node")\"/"
    rejected 'BACKUP-1.1.manifest.*written by a newer, incompatible Penstock: use that version, or a later one'
    # What a newer one added compatibly is no obstacle to reading.
    fresh
    rewrite "$cluster" 's/"compatible":0/"compatible":1/; s/"read_only_compatible":0/"read_only_compatible":2/'
    expect_exit 0 "$penstock" verify --from "$disk/bad" 1
    # A newer backup keeps its number and its files.
    fresh
    rewrite "$cluster" 's/,"incompatible":0/,"incompatible":8/'
    rm -r "$disk/bad/BACKUP-2"
    expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/bad"
    expect_output '^backup 2 is complete'
    [ -e "$disk/bad/$part1" ] || fail 'a newer backup was swept'
    # Whatever is older may hold data of it.
    fresh
    rewrite "$disk/bad/BACKUP-2/BACKUP-2.cluster.manifest" 's/,"incompatible":0/,"incompatible":8/'
    expect_exit 1 "$penstock" prune --from "$disk/bad" 1
    expect_message 'backup 1 holds data of backup 2'
    rm -r "$disk/bad/BACKUP-2"
    expect_exit 0 "$penstock" prune --from "$disk/bad" 1
}

# What is wrong is said as it is: a file that is cut off or gone has no checksum.
cut_off() {
    local file
    for file in BACKUP-1/BACKUP-1.1.manifest "$part1"; do
        fresh
        : >"$disk/bad/$file"
        expect_exit 1 "$penstock" verify --from "$disk/bad" 1
        expect_message "$file: offset 0: shorter than it says" 'backup 1 is not whole: [0-9]+ damages? w'
        ! grep -q 'checksum differ' "$memory/err" || fail "$file is cut off: no checksum differs"
        fresh
        rm "$disk/bad/$file"
        expect_exit 1 "$penstock" verify --from "$disk/bad" 1
        expect_message "$file: offset 0: No such file"
        ! grep -q 'checksum differ' "$memory/err" || fail "$file is gone: no checksum differs"
    done
}

# No text of a manifest gives a terminal orders, or is without bounds.
hostile() {
    local node=$disk/bad/BACKUP-1/BACKUP-1.1.manifest cluster=$disk/bad/BACKUP-1/BACKUP-1.cluster.manifest command
    fresh
    rewrite "$node" 's/"host":"[^"]*"/"host":"h\\u001b[2J"/; s/"writer":"[^"]*"/"writer":"w\\n\\u009bx"/; s/"path":"[^"]*"/"path":"p\\u202ex"/'
    rewrite "$cluster" "s/\"digest\":\"[^\"]*\"/\"digest\":\"$("$digest" <<<"$(head -n 1 "$node")")\"/; s/\"bytes\":[0-9]*/\"bytes\":$(stat -c %s "$node")/; s/^{/{\"label\":\"l\\\\u001b]0;\\\\u009b\",/"
    for command in list 'show 1'; do
        # shellcheck disable=SC2086 # words
        expect_exit 0 "$penstock" ${command%% *} --from "$disk/bad" ${command#"${command%% *}"}
        ! LC_ALL=C.UTF-8 grep -Pq '[\x{1}-\x{9}\x{b}-\x{1f}\x{7f}-\x{9f}\x{202e}]' "$memory/out" || fail "orders for a terminal: $command"
        expect_output 'label "?l\?'
    done
}

# Whole, sealed and wrong: rejected, never a crash.
nonsense() {
    local cluster=$disk/bad/BACKUP-1/BACKUP-1.cluster.manifest change
    for change in 's/"nodes":\[.*\]/"nodes":[]/' 's/"nodes":\[.*\]/"nodes":7/' 's/"node":1/"node":99999/' \
        's/"number":1/"number":2/' 's/"number":1/"number":-1/' 's/"uid":"../"uid":"/' 's/^{/[/' \
        's/"master_node":1//' 's/"bytes":[0-9]*/"bytes":18446744073709551615/' 's/.*/{}/' 's/.*//'; do
        fresh
        rewrite "$cluster" "$change"
        expect_exit '1 10' "$penstock" verify --from "$disk/bad" 1
        expect_exit '1 10' "$penstock" restore --from "$disk/bad" --target "$disk/target" 1
        expect_exit 0 "$penstock" list --from "$disk/bad"
        expect_output '^ +2 +complete'
        expect_names "$disk" "$before"
    done
}

no_backup_directory() {
    mkdir "$disk/empty" "$disk/other"
    echo x >"$disk/other/BACKUP-1"
    mkdir "$disk/other/BACKUP-2" "$disk/other/BACKUP-03"
    local command
    for command in verify show "restore --target $disk/target"; do
        # shellcheck disable=SC2086 # words
        expect_exit 10 "$penstock" $command --from "$disk/empty"
        expect_message "$disk/empty: there is no complete backup"
        # shellcheck disable=SC2086
        expect_exit 10 "$penstock" $command --from "$disk/other"
        # shellcheck disable=SC2086
        expect_exit 10 "$penstock" $command --from "$disk/nowhere"
        expect_message "$disk/nowhere.*No such file or directory; name the directory that was backed up into"
        # shellcheck disable=SC2086
        expect_exit 1 "$penstock" $command --from /dev/null
        expect_message '/dev/null.*Not a directory'
        # shellcheck disable=SC2086
        expect_exit 10 "$penstock" $command --from "$disk/good/BACKUP-1"
    done
    expect_exit 0 "$penstock" list --from "$disk/empty"
    [ ! -s "$memory/out" ] || fail 'an empty directory lists something'
    expect_exit 0 "$penstock" list --from "$disk/empty" --json
    [ ! -s "$memory/out" ] || fail 'an empty directory lists something'
    expect_exit 10 "$penstock" list --from "$disk/nowhere"
    expect_exit 10 "$penstock" list --from "$disk/empty" --from "$disk/nowhere"
    expect_exit 10 "$penstock" prune --from "$disk/nowhere" --keep 1
    expect_exit 10 "$penstock" export --from "$disk/nowhere" --to "$disk/target"
    expect_absent "$disk/target"
    rm -r "$disk/empty" "$disk/other"
}

# list shows the good ones beside the bad.
listing_of_all() {
    fresh
    truncate -s -4096 "$disk/bad/$part1"
    expect_exit 0 "$penstock" list --from "$disk/bad"
    expect_output '^ +1 +damaged .*BACKUP-1.1.data' '^ +2 +complete'
    expect_exit 0 "$penstock" list --from "$disk/bad" --json
    expect_json '.[0].state == "damaged" and (.[0].reason | contains("BACKUP-1.1.data")) and .[1].state == "complete"'
    expect_exit 0 "$penstock" show --from "$disk/bad" 1
    expect_output 'damaged'
    expect_exit 0 "$penstock" verify --from "$disk/bad"
    expect_output '^backup 2:'
}

make_small_tree "$disk/tree"
random_bytes $((5 << 20)) >"$disk/tree/big"
expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/good" --ldms 2 --chunk 64K
expect_exit 0 "$penstock" backup --source "dir:$disk/tree" --to "$disk/good" --ldms 2 --chunk 64K
fresh
before=$(names_below "$disk" | grep -v '^./bad') || true
# Names beside the bad copy: what a failing restore might leave.
names_below() {
    (cd "$1" && find . -mindepth 1 ! -path './bad*' -print0 | sort -z | tr '\0' '\n')
}
damaged_files
swapped_files
manifests
one_file_of_the_decision
misnamed
newer
cut_off
hostile
nonsense
no_backup_directory
listing_of_all
