#!/bin/bash
# The installed systemd units: systemd understands every line of them, they start what was installed, and
# that of a node lets it end in its own time.
#   unit_test.sh BUILD_FOLDER SOURCE_FOLDER
set -euo pipefail

command -v systemd-analyze >/dev/null || { echo 'skipped: systemd-analyze is missing'; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work" >/dev/null
unit="$work/lib/systemd/system/penstock@.service"

# The units are on their own, without those of the host; an instance makes it check what %i becomes.
verify() { # NAME_OF_UNIT WITH_WHAT
    local errors
    errors=$(SYSTEMD_UNIT_PATH="$work/lib/systemd/system:" systemd-analyze verify --man=no "$work/lib/systemd/system/$1" 2>&1 |
        grep -F penstock || true)
    [ -z "$errors" ] || { echo "$1$2: $errors"; exit 1; }
}
verify penstock@1.service ''
verify penstock-backup@1.service ''
verify penstock-backup@1.timer ''

# The same with the drop-ins that the documentation has.
mkdir "$work/lib/systemd/system/penstock@.service.d"
cp "$work"/share/doc/penstock/docs/examples/*.conf "$work/lib/systemd/system/penstock@.service.d/"
verify penstock@1.service ', with docs/examples'

value() { # KEY
    sed -n "s/^$1=//p" "$unit"
}
program=$(value ExecStart)
[ "${program%% *}" = "$work/bin/penstock" ] || { echo "it starts ${program%% *}"; exit 1; }
# They would take away system calls that sources are read by: openat2(2).
if grep '^RestrictSUIDSGID=' "$work"/lib/systemd/system/*; then exit 1; fi
limit=$(sed -n 's/^#define CONTROL_END_S \([0-9]*\)u$/\1/p' "$2/engine/service/control.h")
[ "$(value TimeoutStopSec)" -gt "${limit:?}" ] || { echo "a node may take $limit s to stop"; exit 1; }
