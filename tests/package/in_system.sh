#!/bin/bash
# Runs life.sh in the system below a folder; in a mount namespace of its own.
#   in_system.sh SYSTEM FOLDER COMMAND_THAT_INSTALLS…
# FOLDER has the packages, old and new.
set -euo pipefail
system=$1 folder=$2

mount -t proc proc "$system/proc"
for place in dev sys; do mount --rbind "/$place" "$system/$place"; done
mount -t tmpfs run "$system/run"
mkdir "$system/run/test"
cp -r "$folder/old" "$folder/new" "$(dirname "${BASH_SOURCE[0]}")/life.sh" "$system/run/test/"
chroot "$system" /run/test/life.sh /run/test "${@:3}"
