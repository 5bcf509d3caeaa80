"""What a tree is: a record for each name in it, of all that a restore has to bring back."""
import hashlib
import os
import stat

CONTENTS = 'contents'


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.blake2b(file.read(), digest_size=16).hexdigest()


def attributes(path):
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
    except OSError:
        return ()
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)


def record(path, status):
    kind = stat.S_IFMT(status.st_mode)
    found = {'kind': kind, 'mode': stat.S_IMODE(status.st_mode), 'owner': (status.st_uid, status.st_gid),
             'mtime': status.st_mtime_ns, 'attributes': attributes(path)}
    if kind == stat.S_IFREG:
        found.update(size=status.st_size, contents=digest(path))
    if kind == stat.S_IFLNK:
        found['link'] = os.readlink(path)
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        found['device'] = status.st_rdev
    return found


def entries(root, keeps, below=b''):
    """Names below a root, each with its status: parents first, in the order of their bytes."""
    for name in sorted(os.listdir(os.path.join(root, below))):
        path = os.path.join(below, name)
        if not keeps(path):
            continue
        status = os.lstat(os.path.join(root, path))
        yield path, status
        if stat.S_ISDIR(status.st_mode):
            yield from entries(root, keeps, path)


def look(root, keeps=lambda path: True):
    """name: record. Names of one file have the first of them as `same`."""
    names, first = {b'': record(root, os.lstat(root))}, {}
    for path, status in entries(root, keeps):
        names[path] = record(os.path.join(root, path), status)
        if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
            names[path]['same'] = first.setdefault((status.st_dev, status.st_ino), path)
    alone = {path for path in first.values() if sum(r.get('same') == path for r in names.values()) == 1}
    for path in alone:
        del names[path]['same']
    return names


def differences(wanted, found):
    """Lines for people: what is missing, what is too much, what is different in what."""
    lines = [f'missing: {path!r}' for path in wanted if path not in found]
    lines += [f'too much: {path!r}' for path in found if path not in wanted]
    for path in wanted.keys() & found.keys():
        one, other = wanted[path], found[path]
        fields = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
        lines += [f'{path!r}: {name} was {one.get(name)!r}, is {other.get(name)!r}' for name in fields]
    return lines
