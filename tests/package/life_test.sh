#!/bin/bash
# The Debian packages of a build, in a system that sees this host through an overlay: installed, run,
# upgraded, purged, and then nothing is left.
#   life_test.sh BUILD_FOLDER
set -euo pipefail
folder=$(dirname "$(realpath "${BASH_SOURCE[0]}")")

skip() {
    echo "skipped: $*"
    exit 77
}
[ "$(id -u)" -eq 0 ] || skip 'only root can make a system of its own'
command -v dh >/dev/null || skip 'debhelper is missing: run scripts/install-deps package'
! dpkg-query -W penstock libpenstock0 >/dev/null 2>&1 || skip 'penstock is installed here'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

DEB_BUILD_OPTIONS=noautodbgsym "$folder/../../scripts/package" "$work/new" "$1" >/dev/null
"$folder/make_old.sh" "$work/new" "$work/old"

# shellcheck disable=SC2016 # its own variables
unshare --mount --propagation private bash -euo pipefail -c '
    system=$1/system folder=$2
    mkdir "$system"
    mount -t tmpfs system "$system"
    mkdir "$system"/{upper,work,all}
    mount -t overlay -o "lowerdir=/,upperdir=$system/upper,workdir=$system/work" system "$system/all" 2>/dev/null ||
        { echo "skipped: there is no overlayfs here"; exit 77; }
    "$folder/in_system.sh" "$system/all" "$1" dpkg --install
    # Aside from what dpkg, ldconfig and the like keep for themselves, and the user, which Debian keeps.
    left=$(cd "$system/upper" && find . ! -type d ! -path "./var/lib/dpkg/*" ! -path "./var/log/*" ! -path "./var/cache/*" \
        ! -name ld.so.cache | grep -vE "^\./etc/(passwd|group|g?shadow)-?$|^./etc/.pwd.lock$" || true)
    [ -z "$left" ] || { echo "left after the purge: $left"; exit 1; }
' bash "$work" "$folder" || exit
echo 'installed, run, upgraded, purged'
