#!/bin/bash
# The installed systemd unit: systemd understands every line of it, it starts what was installed, and
# it lets the node end in its own time.
#   unit_test.sh BUILD_FOLDER SOURCE_FOLDER
set -euo pipefail

command -v systemd-analyze >/dev/null || { echo 'skipped: systemd-analyze is missing'; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$1" --prefix "$work" >/dev/null
unit="$work/lib/systemd/system/penstock@.service"

# The unit is its own, without those of the host; an instance makes it check what %i becomes.
errors=$(SYSTEMD_UNIT_PATH="$work/lib/systemd/system:" systemd-analyze verify --man=no "${unit/@/@1}" 2>&1 |
    grep -F 'penstock@' || true)
[ -z "$errors" ] || { echo "$errors"; exit 1; }

# The same with the drop-ins that the documentation has.
mkdir "$work/lib/systemd/system/penstock@.service.d"
cp "$work"/share/doc/penstock/docs/examples/*.conf "$work/lib/systemd/system/penstock@.service.d/"
errors=$(SYSTEMD_UNIT_PATH="$work/lib/systemd/system:" systemd-analyze verify --man=no "${unit/@/@1}" 2>&1 |
    grep -F 'penstock@' || true)
[ -z "$errors" ] || { echo "with docs/examples: $errors"; exit 1; }

value() { # KEY
    sed -n "s/^$1=//p" "$unit"
}
program=$(value ExecStart)
[ "${program%% *}" = "$work/bin/penstock" ] || { echo "it starts ${program%% *}"; exit 1; }
# They would take away system calls that sources are read by: openat2(2).
! grep '^RestrictSUIDSGID=' "$unit" || exit 1
limit=$(sed -n 's/^#define CONTROL_END_S \([0-9]*\)u$/\1/p' "$2/engine/service/control.h")
[ "$(value TimeoutStopSec)" -gt "${limit:?}" ] || { echo "a node may take $limit s to stop"; exit 1; }
