#!/bin/bash
# The pages that tell people what to type: each command of docs/tutorial.md and of docs/operations.md that stands
# in a block marked sh is typed, in the order of the page, and must succeed.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

docs=${3:?usage: documents_test.sh PENSTOCK FOLDER DOCS}
PATH=$(dirname "$penstock"):$PATH

commands_of() { # PAGE
    awk '/^```sh$/ { inside = 1; blocks++; next } /^```$/ { inside = 0 } inside
         END { exit blocks < 3 }' "$docs/$1" || fail "$1 has few commands"
}

type_in() { # PAGE VARIABLE=VALUE…
    local page=$1
    shift
    commands_of "$page" >"$memory/commands"
    env HOME="$disk/home" "$@" bash -exuo pipefail "$memory/commands" >"$memory/out" 2>"$memory/err" || {
        cat "$memory/out" "$memory/err" >&2
        fail "a command of $page failed"
    }
}

# Alerts hang on the ids of the journal: what the program has is what operations.md says.
# shellcheck disable=SC2016 # quotes of Markdown
sed -nE 's/^ *X\(([A-Z_]+), "([0-9a-f]{32})"\).*/| \1 | `\2` |/p' "$docs/../engine/base/alert.h" >"$memory/alerts"
[ "$(wc -l <"$memory/alerts")" -ge 11 ] || fail 'alert.h has few alerts'
while read -r alert; do
    grep -qF -- "$alert" "$docs/operations.md" || fail "operations.md lacks: $alert"
done <"$memory/alerts"
# shellcheck disable=SC2016
[ "$(grep -cE '^\| [A-Z_]+ \| `[0-9a-f]{32}` \|' "$docs/operations.md")" -eq "$(wc -l <"$memory/alerts")" ] ||
    fail 'operations.md has an alert that the program has not'

mkdir "$disk/home"
type_in tutorial.md
expect_output 'backup 2.*complete|complete.*before-the-move'
expect_names "$disk/home" ''

# Its configuration for every night does what it says.
mkdir "$disk/nightly"
make_small_tree "$disk/nightly/data"
sed -n '\|^    # /etc/penstock/nightly.ini|,/^$/s/^    //p' "$docs/tutorial.md" |
    sed "s|dir:/srv/data|dir:$disk/nightly/data|; s|/backups|$disk/nightly/backups|" >"$disk/nightly/ini"
[ "$(grep -c "$disk/nightly" "$disk/nightly/ini")" = 3 ] || fail "the tutorial has another nightly.ini: $(cat "$disk/nightly/ini")"
expect_exit 0 penstock backup --config "$disk/nightly/ini" --json
expect_json '.[-1].verified'
expect_exit 0 penstock prune --config "$disk/nightly/ini"

make_tree "$disk/tree" 50 20
for name in key new-key; do expect_exit 0 penstock keygen "$disk/$name"; done
expect_exit 0 penstock backup --source "dir:$disk/tree" --to "$disk/backups"
expect_exit 0 penstock backup --source "dir:$disk/tree" --to "$disk/damaged" --ldms 1
expect_exit 0 penstock backup --source "dir:$disk/tree" --to "$disk/sealed" --key-file "$disk/key"
flip "$disk/damaged/BACKUP-1/BACKUP-1-PART-1-OF-1/BACKUP-1.1.data" 8300
expect_exit 1 penstock verify --from "$disk/damaged"
type_in operations.md B="$disk/backups" DRILL="$disk/drill" DAMAGED="$disk/damaged" SALVAGE="$disk/salvage" \
    SEALED="$disk/sealed" KEY="$disk/key" NEW_KEY="$disk/new-key"
[ -e "$disk/salvage" ] || fail 'nothing was salvaged'
