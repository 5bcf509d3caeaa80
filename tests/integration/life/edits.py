"""A tree that changes by chance, in all the ways in which programs change trees."""
import ctypes
import mmap
import os
import shutil
import stat

SIZES = [0, 1, 100, 4095, 4096, 4097, 20000, 65536, 131072, 300000, 1200000]
NAMES = [b'plain', b'-dash', b'new\nline', b'tab\tand space', b'\xff\xfe', 'größe'.encode(), b'back\\slash', b'*?[a]', b'.hidden',
         b'a.skip', b'%41', b'\\x41', b"'quote\"", b'\x1b[31m', b'x' * 180]
libc = ctypes.CDLL(None, use_errno=True)


class Tree:
    """One source directory. A number below `counter` ends each name, so that none is made twice by mistake."""

    def __init__(self, chance, root, mapped):
        self.chance, self.root, self.counter = chance, root, 0
        self.mapped = mapped  # whether files are written through mappings that stay
        self.mappings = []
        os.mkdir(root)

    def names(self, *kinds):
        """Paths of files of these kinds, in an order that only the seed decides."""
        found = []
        for folder, folders, files in os.walk(self.root):
            folders.sort()
            found += [os.path.join(folder, name) for name in sorted(folders + files)]
        return [path for path in found if stat.S_IFMT(os.lstat(path).st_mode) in kinds]

    def a_file(self):
        names = self.names(stat.S_IFREG)
        return self.chance.choice(names) if names else self.new_file()

    def a_folder(self):
        return self.chance.choice([self.root] + self.names(stat.S_IFDIR))

    def new_name(self):
        self.counter += 1
        odd = self.chance.choice(NAMES) if self.chance.random() < 0.3 else b'f'
        name = b'%d%s' % (self.counter, odd) if self.chance.random() < 0.5 else b'%s%d' % (odd, self.counter)
        return os.path.join(self.a_folder(), name + (b'.skip' if self.chance.random() < 0.05 else b''))

    def bytes(self, count):
        """Some can be compressed, some not."""
        if self.chance.random() < 0.3:
            return (b'line %d of many\n' % self.chance.randrange(1000) * (count // 10 + 1))[:count]
        return self.chance.randbytes(count)

    # ---- what makes something

    def new_file(self):
        path, size = self.new_name(), self.chance.choice(SIZES)
        with open(path, 'wb') as file:
            if self.chance.random() < 0.2:
                file.truncate(size)
                size //= 3
                file.seek(self.chance.randrange(size + 1))
            file.write(self.bytes(size))
        return path

    def new_folder(self):
        path = self.new_name()
        os.mkdir(path)
        for _ in range(self.chance.choice([0, 1, 3, 3, 40])):
            self.counter += 1
            with open(os.path.join(path, b'%d' % self.counter), 'wb') as file:
                file.write(self.bytes(self.chance.choice(SIZES[:6])))
        return path

    def new_symlink(self):
        path = self.new_name()
        os.symlink(self.chance.choice([b'/nowhere', b'..', b'a\nb\xff', os.path.basename(path)]), path)

    def new_node(self):
        os.mknod(self.new_name(), 0o640 | self.chance.choice([stat.S_IFIFO, stat.S_IFSOCK]))

    def new_link(self):
        os.link(self.a_file(), self.new_name())

    # ---- what changes contents

    def keep_times(self, path, change):
        before = os.lstat(path)
        change(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def append(self, path=None):
        with open(path or self.a_file(), 'ab') as file:
            file.write(self.bytes(self.chance.choice(SIZES[1:7])))

    def overwrite(self, path=None):
        """The same size, other bytes."""
        path = path or self.a_file()
        size = os.lstat(path).st_size
        if size == 0:
            return self.append(path)
        with open(path, 'r+b') as file:
            at = self.chance.randrange(size)
            file.seek(at)
            file.write(self.bytes(min(size - at, self.chance.choice(SIZES[1:]))))
        return None

    def sly(self):
        self.keep_times(self.a_file(), self.overwrite)

    def truncate(self):
        path = self.a_file()
        os.truncate(path, self.chance.randrange(os.lstat(path).st_size + 1))

    def extend(self):
        path = self.a_file()
        os.truncate(path, os.lstat(path).st_size + self.chance.choice([1, 4096, 500000]))

    def punch(self):
        path = self.a_file()
        size = os.lstat(path).st_size
        if size > 0:
            at = self.chance.randrange(size)
            with open(path, 'r+b') as file:  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
                libc.fallocate(file.fileno(), 3, ctypes.c_long(at), ctypes.c_long(self.chance.randrange(1, size - at + 1)))

    def write_mapped(self):
        """Through mappings that stay: what comes after the first write to a page may leave no trace in the times."""
        path = self.a_file()
        if len(self.mappings) < 3 and os.lstat(path).st_size > 0:
            file = open(path, 'r+b')
            self.mappings.append((file, mmap.mmap(file.fileno(), 0)))
        for file, mapping in self.mappings:
            if os.fstat(file.fileno()).st_size >= len(mapping):
                mapping[self.chance.choice([0, 0, self.chance.randrange(len(mapping))])] ^= 0xff

    # ---- what changes names

    def replace(self):
        """By another inode of the same size and times, as editors and rsync do."""
        path = self.a_file()
        before = os.lstat(path)
        with open(path + b'~', 'wb') as file:
            file.write(self.bytes(before.st_size))
        os.utime(path + b'~', ns=(before.st_atime_ns, before.st_mtime_ns))
        if self.chance.random() < 0.5:
            os.unlink(path)
        os.rename(path + b'~', path)

    def again(self):
        """Removed and made once more; the inode may be the same."""
        path = self.a_file()
        before = os.lstat(path)
        os.unlink(path)
        with open(path, 'wb') as file:
            file.write(self.bytes(before.st_size))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def rename_over(self):
        os.rename(self.a_file(), self.a_file())

    def swap(self):
        """Two subtrees, or files, change their names; what is below keeps its times."""
        kind = self.chance.choice([stat.S_IFDIR, stat.S_IFREG])
        names = self.names(kind)
        if len(names) > 1:
            one, other = self.chance.sample(names, 2)
            if not (other + b'/').startswith(one + b'/') and not (one + b'/').startswith(other + b'/'):
                os.rename(one, one + b'~')
                os.rename(other, one)
                os.rename(one + b'~', other)

    def move(self):
        names = self.names(stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK)
        to = self.new_name()
        if names:
            path = self.chance.choice(names)
            if not to.startswith(path + b'/'):
                os.rename(path, to)

    def copy_over(self):
        """A whole subtree gives way to a copy of it, with its times."""
        path = self.a_folder()
        if path != self.root:
            shutil.copytree(path, path + b'~', symlinks=True, copy_function=copy_file)
            shutil.rmtree(path)
            os.rename(path + b'~', path)

    def delete(self):
        names = self.names(stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK)
        return self.remove(self.chance.choice(names)) if names else None

    def remove(self, path):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
        return path

    def other_kind(self):
        """A directory becomes a file, a file a directory, a symlink or a FIFO, under its name."""
        path = self.delete()
        if path:
            kind = self.chance.randrange(4)
            if kind == 0:
                os.symlink(b'elsewhere', path)
            elif kind == 1:
                os.mkdir(path)
            elif kind == 2:
                os.mkfifo(path)
            else:
                with open(path, 'wb') as file:
                    file.write(self.bytes(100))

    # ---- what changes neither

    def touch(self):
        path = self.chance.choice([self.a_file(), self.a_folder()])
        os.utime(path, ns=(0, self.chance.choice([-1500000000, 0, 1, 1700000000123456789, 10 ** 18])))

    def permissions(self):
        path = self.chance.choice([self.a_file(), self.a_folder()])
        os.chmod(path, self.chance.choice([0o600, 0o755, 0o700, 0o4711, 0o640]))
        if os.geteuid() == 0 and self.chance.random() < 0.5:
            os.chown(path, self.chance.randrange(3000), self.chance.randrange(3000))

    def attribute(self):
        path, name = self.chance.choice([self.a_file(), self.a_folder()]), 'user.n%d' % self.chance.randrange(3)
        try:
            if self.chance.random() < 0.3:
                os.removexattr(path, name)
            else:
                os.setxattr(path, name, self.chance.randbytes(self.chance.choice([0, 5, 700])))
        except OSError:
            pass  # there is none, or the file system has none

    def grow(self):
        """The tree as it begins."""
        for _ in range(self.chance.randrange(3, 14)):
            self.chance.choice([self.new_file, self.new_file, self.new_folder, self.new_link, self.new_symlink, self.new_node,
                                self.permissions, self.attribute])()
        if self.chance.random() < 0.15:
            folder = self.new_folder()
            for i in range(self.chance.choice([300, 1500])):
                with open(os.path.join(folder, b'many-%d' % i), 'wb') as file:
                    file.write(b'%d' % i)

    def edit(self):
        """One change; its name, for the story."""
        changes = [self.append, self.overwrite, self.overwrite, self.sly, self.sly, self.truncate, self.extend, self.punch,
                   self.replace, self.again, self.rename_over, self.swap, self.move, self.copy_over, self.delete, self.other_kind,
                   self.touch, self.permissions, self.attribute, self.new_file, self.new_folder, self.new_link, self.new_symlink, self.new_node]
        if self.mapped:
            changes += [self.write_mapped] * len(changes)
        change = self.chance.choice(changes)
        change()
        return change.__name__


def copy_file(source, target):
    """As cp -a does, for files of any kind."""
    status = os.lstat(source)
    if stat.S_ISREG(status.st_mode):
        return shutil.copy2(source, target, follow_symlinks=False)
    os.mknod(target, status.st_mode)
    return target
