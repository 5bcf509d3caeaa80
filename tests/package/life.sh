#!/bin/bash
# What life_test.sh runs as root in a system of its own; FOLDER has the packages, old and new.
#   life.sh FOLDER
set -euo pipefail
trap 'echo "FAILED: line $LINENO: $BASH_COMMAND" >&2' ERR
export LC_ALL=C
cd "$1"

dpkg --install old/*.deb >out 2>&1 || { cat out; exit 1; }
test -e /usr/share/doc/penstock/of-the-old-one
penstock --version | grep '^penstock ' >/dev/null

# Debian's tools see what is there for them.
getent passwd penstock | grep ':/usr/sbin/nologin$' >/dev/null
[ "$(stat -c '%U %a' /run/penstock)" = 'penstock 750' ]
systemctl enable penstock@1.service penstock-backup@daily.timer 2>out || { cat out; exit 1; }
man --where penstock-backup | grep '/usr/share/man/man1/penstock-backup.1.gz$' >/dev/null
penstock-setup-host --dry-run | grep '^ok: user and group penstock$' >/dev/null

# What the example's unit does.
mkdir backups
sed "s,dir:/.*,dir:/usr/share/doc/penstock,; /lmdb:/d; s,/var/backups/penstock,$PWD/backups," \
    /usr/share/doc/penstock/docs/examples/backup.ini >/etc/penstock/daily.ini
sed -n 's/^Exec[A-Za-z]*=//p' /usr/lib/systemd/system/penstock-backup@.service | sed 's/%i/daily/' >commands
[ "$(wc -l <commands)" -eq 2 ]
bash -e commands >out 2>&1 || { cat out; exit 1; }
penstock list --from backups | grep nightly >/dev/null
rm -r backups /etc/penstock/daily.ini

penstock backup --source dir:/usr/share/doc/penstock --to backups --quiet
penstock verify --from backups --quiet
penstock restore --from backups --target restored --quiet
diff -r /usr/share/doc/penstock restored

read -ra flags < <(pkg-config --cflags --libs penstock)
cc -std=c11 /usr/share/doc/penstock/docs/examples/accounts.c "${flags[@]}" -pthread -o accounts
./accounts accounts.backups >/dev/null

dpkg --install new/*.deb >out 2>&1 || { cat out; exit 1; }
[ ! -e /usr/share/doc/penstock/of-the-old-one ]
penstock verify --from backups --quiet
dpkg --verify penstock libpenstock0 libpenstock-dev

mapfile -t packages < <(dpkg-query -W -f '${Package}\n' '*penstock*')
dpkg --purge "${packages[@]}" >out 2>&1 || { cat out; exit 1; }
[ ! -e /usr/bin/penstock ]
