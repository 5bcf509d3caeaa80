#!/bin/bash
# Makes packages of an earlier version, 0.0.9, of the given ones; penstock has a file that the given one
# does not have.
#   make_old.sh NEW_FOLDER OLD_FOLDER
set -euo pipefail

mkdir "$2"
for package in "$1"/*.deb; do
    dpkg-deb --raw-extract "$package" "$2/tree"
    sed -i 's/^Version: .*/Version: 0.0.9/; s/(= [^)]*)/(= 0.0.9)/' "$2/tree/DEBIAN/control"
    name=$(sed -n 's/^Package: //p' "$2/tree/DEBIAN/control")
    touch "$2/tree/usr/share/doc/$name/of-the-old-one"
    dpkg-deb --build "$2/tree" "$2" >/dev/null
    rm -r "$2/tree"
done
