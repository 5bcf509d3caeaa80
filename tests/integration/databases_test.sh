#!/bin/bash
# Databases in use below a dir: source are warned of by name, and counted; one that nobody uses, what only has
# such a name, and what is read from a snapshot, are not.
set -euo pipefail
# shellcheck source=lib.sh disable=SC2154
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v sqlite3 >/dev/null || fail 'sqlite3 is missing: run scripts/install-deps test'
tree=$disk/tree
mkdir -p "$tree/a"
back_up=("$penstock" backup --source "dir:$tree" --to "$memory/to" --json)

# warns KIND:PATH…: of these, and no others, in the log and in the JSON
warns() {
    local wanted named
    expect_exit 0 "${back_up[@]}" "${options[@]}"
    wanted=$(printf '%s\n' "$@" | sort)
    named=$(sed -n 's/^penstock: warning: source tree: a \(.*\) database is in use, .*: "\(.*\)"$/\1:\2/p' "$memory/err" | sort)
    [ "$named" = "$wanted" ] || fail "warned of [$named], not [$wanted]"
    named=$(jq -r 'select(.message_type == "warning").message | capture("a (?<kind>.*) database is in use, .*: \"(?<path>.*)\"$") | .kind + ":" + .path' "$memory/out" | sort)
    [ "$named" = "$wanted" ] || fail "warned in JSON of [$named], not [$wanted]"
    expect_json "(.[-1].sources[0].details.databases_in_use // 0) == $(printf '%s' "$wanted" | grep -c :)"
}
options=()

hold() { # DATABASE STATEMENT: with it open until let_go
    rm -f "$memory/held"
    mkfifo "$memory/statements"
    sqlite3 "$1" <"$memory/statements" >/dev/null &
    holder=$!
    exec {statements}>"$memory/statements"
    printf '%s\n.shell touch %s\n' "$2" "$memory/held" >&"$statements"
    wait_until test -e "$memory/held"
}
let_go() {
    exec {statements}>&-
    wait "$holder"
    rm "$memory/statements"
}

# what only has such a name: no lock, and nothing beside it; and SQLite's own that is closed
touch "$tree/x-wal" "$tree/x-journal" "$tree/y" "$tree/y-wal" "$tree/ibdata1" "$tree/a/LOCK" "$tree/a/CURRENT" "$tree/postmaster.pid" "$tree/lock.mdb" "$tree/data.mdb"
sqlite3 "$tree/a/app.db" 'PRAGMA journal_mode=wal; CREATE TABLE t(i); INSERT INTO t VALUES(1)' >/dev/null
exec {other}<>"$tree/y"
flock "$other"
warns

# SQLite, with a log and without one
hold "$tree/a/app.db" 'INSERT INTO t VALUES(2);'
warns SQLite:a/app.db
options=(--exclude '*-wal' --exclude '*-shm')
warns SQLite:a/app.db
options=(--exclude app.db)
warns
options=(--freeze-command "cp -a $tree $disk/snap; echo $disk/snap" --thaw-command "rm -r $disk/snap")
warns
options=(--freeze-command :)
warns
options=(--freeze-command : --thaw-at cut)
warns SQLite:a/app.db
options=()
expect_exit 0 "$penstock" backup --source "dir:$tree/a/app.db" --to "$memory/to"
expect_message 'source app.db: a SQLite database is in use, .*: "app.db"$'
let_go
sqlite3 "$tree/a/app.db" 'PRAGMA journal_mode=delete' >/dev/null
hold "$tree/a/app.db" 'BEGIN IMMEDIATE; INSERT INTO t VALUES(3);'
warns SQLite:a/app.db
let_go
warns

# locks of other servers; MySQL's two files are one database
mkdir "$tree/b"
touch "$tree/b/mysql.ibd"
for file in ibdata1 a/LOCK lock.mdb b/mysql.ibd; do
    exec {lock}<>"$tree/$file"
    flock "$lock"
done
warns MySQL:. 'RocksDB or LevelDB:a' LMDB:. MySQL:b
touch "$tree/b/ibdata1"
exec {lock}<>"$tree/b/ibdata1"
flock "$lock"
warns MySQL:. 'RocksDB or LevelDB:a' LMDB:. MySQL:b
rm -r "$tree"

# a server of PostgreSQL
programs=$(find /usr/lib/postgresql/*/bin -name initdb -printf '%h\n' 2>/dev/null | tail -n 1)
[ -n "$programs" ] || skip 'PostgreSQL is not installed, so only the other databases were tested'
mkdir "$tree"
as_owner=()
if [ "$(id -u)" = 0 ]; then
    chown nobody "$tree"
    as_owner=(setpriv --reuid nobody --clear-groups)
fi
"${as_owner[@]}" "$programs/initdb" -N -A trust -D "$tree/main" >"$memory/initdb" 2>&1 || fail "initdb: $(cat "$memory/initdb")"
warns
"${as_owner[@]}" "$programs/pg_ctl" -w -D "$tree/main" -o "-c listen_addresses= -c unix_socket_directories=$tree/main" -l "$tree/log" start >/dev/null ||
    fail "pg_ctl: $(cat "$tree/log")"
trap '"${as_owner[@]}" "$programs/pg_ctl" -D "$tree/main" -m immediate stop >/dev/null; leave' EXIT
warns PostgreSQL:main
