#!/bin/bash
# restore --path and --tables restore what is named, what lies below it and the directories above, and
# read the data of nothing else; a name that the backup has not is an error before anything is written.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tree=$disk/tree
backups=$disk/backups

plant_tree() {
    mkdir -p "$tree/etc/app/conf.d" "$tree/etc/empty" "$tree/srv/data" "$tree/srv/other"
    echo main >"$tree/etc/app/main.conf"
    echo extra >"$tree/etc/app/conf.d/extra.conf"
    echo text >"$tree/etc/app/readme"
    random_bytes 4000000 >"$tree/srv/data/large"
    ln "$tree/srv/data/large" "$tree/srv/other/large-again"
    ln "$tree/srv/data/large" "$tree/srv/other/large-too"
    ln -s ../app "$tree/etc/link"
    chmod 750 "$tree/etc/app"
    touch -d '2001-02-03 04:05:06.789' "$tree/etc/app/main.conf" "$tree/etc/app"
}

# restores NAMES ARGUMENT…: that is all there is then.
restores() {
    local names=$1
    shift
    rm -rf "$disk/target"
    expect_exit 0 "$penstock" restore --from "$backups" --target "$disk/target" "$@"
    # shellcheck disable=SC2086 # words
    expect_names "$disk/target" "$(printf './%s\n' $names | sort)"
}

by_path() {
    restores 'etc etc/app etc/app/conf.d etc/app/conf.d/extra.conf etc/app/main.conf etc/app/readme' 1 --path etc/app
    [ "$(listing "$disk/target/etc/app")" = "$(listing "$tree/etc/app")" ] || fail 'not what it was'
    restores 'etc etc/app etc/app/conf.d etc/app/conf.d/extra.conf etc/app/main.conf' 1 --path '**/*.conf'
    restores 'etc etc/empty etc/link' 1 --path /etc/empty/ --path './etc/l*'
    restores 'etc etc/app etc/app/main.conf' 1 --path 'etc/*/*.conf'
    restores 'conf.d conf.d/extra.conf main.conf readme' 1 --path etc/app --strip 2
    restores 't t/etc t/etc/app t/etc/app/readme' 2 --path 't/**/readme'
    restores 't t/main.conf' 2 --path 't/etc/app/main.conf' --strip 2
    restores 'etc etc/empty' 2 --path 'etc/empty' --only 1/t
}

# A file that only another of its names chooses gets that one, and the next is a link to it.
by_another_name() {
    restores 'srv srv/other srv/other/large-again srv/other/large-too' 1 --path srv/other
    cmp "$disk/target/srv/other/large-again" "$tree/srv/data/large"
    [ "$(stat -c %h "$disk/target/srv/other/large-too")" = 2 ] || fail 'no hard link'
    restores 'srv srv/data srv/data/large srv/other srv/other/large-too' 1 --path '**/large' --path '**/*-too'
    [ "$(stat -c %h "$disk/target/srv/other/large-too")" = 2 ] || fail 'no hard link'
}

# What is refused leaves nothing.
refused() {
    rm -rf "$disk/target"
    expect_exit 2 "$penstock" restore --from "$backups" --target "$disk/target" 1 --path etc --path 'nothing*'
    expect_message 'backup 1 has no object nothing\*'
    expect_exit 2 "$penstock" restore --from "$backups" --target "$disk/target" 1 --path etc/app/readme --strip 3
    expect_message '--strip 3 leaves nothing of the name etc/app/readme'
    mkdir -m 711 "$tree/srv/app"
    echo clash >"$tree/srv/app/readme"
    expect_exit 0 "$penstock" backup --source "dir:$tree" --to "$disk/clash"
    expect_exit 2 "$penstock" restore --from "$disk/clash" --target "$disk/target" --path '**/readme' --strip 1
    expect_message '--strip 1 gives two objects the same name'
    expect_exit 2 "$penstock" restore --from "$disk/clash" --target "$disk/target" --strip 1
    expect_exit 2 "$penstock" restore --from "$backups" --target "$disk/target" 1 --tables any
    expect_message 'backup 1 has no table any'
    expect_absent "$disk/target"
    expect_exit 0 "$penstock" restore --from "$disk/clash" --target "$disk/merged" --path srv/app/readme --path etc/app/main.conf --strip 1
    expect_names "$disk/merged" $'./app\n./app/main.conf\n./app/readme'
    [ "$(stat -c %a "$disk/merged/app")" = 750 ] || fail 'the mode is not that of etc/app'
    rm -r "$tree/srv/app"
}

# The chunks of other files are not read: they may be damaged.
reads_little() {
    local part chunk
    part=$(ls "$backups"/BACKUP-1/*/*.data)
    # a MiB from the middle of the large file, wherever it lies
    chunk=$(python3 -c 'import sys
part, file = (open(name, "rb").read() for name in sys.argv[1:])
print(part.index(file[1500000:1500064]))' "$part" "$tree/srv/data/large")
    flip "$part" "$chunk"
    restores 'etc etc/app etc/app/readme' 1 --path '**/readme'
    expect_exit 1 "$penstock" restore --from "$backups" --target "$disk/target2" 1 --path srv/data
    expect_absent "$disk/target2"
    flip "$part" "$chunk"
}

tables() {
    local table
    mkdir -p "$disk/env"
    for table in accounts orders other; do
        printf 'VERSION=3\nformat=print\ntype=btree\nHEADER=END\n key-%s\n value\nDATA=END\n' "$table" |
            mdb_load -s "$table" "$disk/env"
    done
    expect_exit 0 "$penstock" backup --source "lmdb:$disk/env" --source "t=dir:$tree" --logical --to "$disk/logical"
    rm -rf "$disk/target"
    expect_exit 0 "$penstock" restore --from "$disk/logical" --target "$disk/target" --tables accounts,orders
    [ "$(mdb_dump -l "$disk/target/env" | sort | tr '\n' ' ')" = 'accounts orders ' ] || fail 'other tables'
    mdb_dump -p -s orders "$disk/target/env" | grep -q key-orders || fail 'not its rows'
    expect_absent "$disk/target/t"
    rm -rf "$disk/target"
    expect_exit 0 "$penstock" restore --from "$disk/logical" --target "$disk/target" --tables other --path t/etc/link
    expect_names "$disk/target/t" $'./etc\n./etc/link'
    expect_exit 2 "$penstock" restore --from "$disk/logical" --target "$disk/target2" --tables other,none
    expect_absent "$disk/target2"
}

plant_tree
expect_exit 0 "$penstock" backup --source "dir:$tree" --to "$backups" --ldms 1
expect_exit 0 "$penstock" backup --source "t=dir:$tree" --source synthetic:rows=5 --to "$backups" --ldms 2 --compress zstd
by_path
by_another_name
refused
reads_little
tables
