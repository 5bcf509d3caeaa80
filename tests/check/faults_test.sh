#!/bin/bash
# docs/faults.md and tests/sim/scenarios/ list the same scenarios, and say the same of what each proves.
set -euo pipefail
shopt -s nullglob

top=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")

# NAME|what it proves, of each scenario: the comment that its file begins with
of_files() {
    for file in "$top"/tests/sim/scenarios/*.scenario; do
        awk -v name="$(basename "$file" .scenario)" \
            '!/^#/ { exit } { sub(/^# */, ""); text = text (NR > 1 ? " " : "") $0 } END { print name "|" text }' "$file"
    done | LC_ALL=C sort
}

of_document() {
    awk -F ' *[|] *' '/^\| scenario \|/ { rows = 1; next } !/^\|/ { rows = 0 } rows && !/^\|-/ { print $2 "|" $4 }' \
        "$top/docs/faults.md" | LC_ALL=C sort
}

files=$(of_files)
[ -n "$files" ] || { echo 'no scenario'; exit 1; }
diff <(of_document) <(echo "$files") || { echo '< docs/faults.md, > tests/sim/scenarios/'; exit 1; }
echo "$(wc -l <<<"$files") scenarios agree"
