"""life.py PENSTOCK FOLDER WRITER FIRST COUNT [JOBS]: series of backups, each made by chance from a seed.

A tree changes, backups are made, killed, moved, pruned, damaged; after each step what the program calls whole
has to come back exactly as it was when it was backed up, and what is damaged has to be named.
"""
import concurrent.futures
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback

from checks import Checks
from edits import Tree
from program import Program, Wrong
from truth import look

HARMLESS = ('.copy', '.verified', '.cluster.manifest', '.keys')  # each is there twice, or of no account


class Backup:
    """What is known of a backup: the truth at its time, who opens it, what it refers to, what was done to it."""

    def __init__(self, truths, openers):
        self.truths, self.openers = truths, openers
        self.number, self.home, self.origins, self.hurt, self.pinned = None, None, set(), [], False


class Life:
    def __init__(self, program, folder, writer, seed):
        self.chance, self.program, self.folder, self.writer = random.Random(seed), program, folder, writer
        self.beside = Program(program.path)  # of another thread
        self.mapped = self.chance.random() < 0.25
        self.aside = self.chance.choice([folder, memory(folder), memory(folder)])  # where backups are, and what is restored
        self.homes = [os.path.join(self.aside, 'home1')] + ([os.path.join(self.aside, 'home2')] if self.chance.random() < 0.3 else [])
        self.backups, self.cut_off, self.last_seconds = {}, set(), 0.1
        self.checks = Checks(self)
        self.plant_keys()
        self.plant_sources()

    # ---- what there is

    def plant_keys(self):
        self.keys = []
        if self.chance.random() < 0.45:
            self.keys = self.chance.sample(['a', 'b', 'pair'], self.chance.randrange(1, 4))
            if self.chance.random() < 0.15:
                self.keys.append('phrase')
        for key in self.keys:
            path = os.path.join(self.folder, key)
            if key == 'phrase':
                with open(path, 'w', opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                    file.write('correct horse\n')
            else:
                made = self.program.run('keygen', *(['--pair'] if key == 'pair' else []), path)
                with open(path + '.id', 'w', encoding='ascii') as file:
                    file.write(re.search('[0-9a-f]{16}', made.err + made.out.decode()).group())

    def plant_sources(self):
        self.trees, self.environment = {}, None
        for i in range(self.chance.choice([1, 1, 2, 3])):
            root = os.path.join(self.folder, f's{i}').encode()
            self.trees[f's{i}'] = Tree(self.chance, root, self.mapped)
            self.trees[f's{i}'].grow()
        if self.writer and self.chance.random() < 0.25:
            self.environment = os.path.join(self.folder, 'env')
            os.mkdir(self.environment)
            self.write_environment('init', 'small')

    def write_environment(self, *arguments):
        command = [self.writer, arguments[0], self.environment, *arguments[1:]]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120).stdout

    def opening(self, keys):
        """Options by which these keys open."""
        return [text for key in keys for text in ('--passphrase-file' if key == 'phrase' else '--key-file', os.path.join(self.folder, key))]

    def sealing(self, keys):
        return [text for key in keys for text in
                {'phrase': ('--passphrase-file', os.path.join(self.folder, key)), 'pair': ('--recipient', os.path.join(self.folder, 'pair.pub'))}.get(
                    key, ('--key-file', os.path.join(self.folder, key)))]

    def everywhere(self):
        return [text for home in self.homes if os.path.isdir(home) for text in ('--from', home)]

    def tainted(self, uid):
        """Whether something was done to the files that it needs."""
        needed = {uid} | self.backups[uid].origins
        return any(other not in self.backups and other not in self.cut_off or other in self.backups and self.backups[other].hurt for other in needed)

    # ---- steps

    def edit(self):
        for _ in range(self.chance.choice([0, 1, 2, 5, 12])):
            name, tree = self.chance.choice(sorted(self.trees.items()))
            self.program.tell(f'# {name}: {tree.edit()}')
        if self.environment and self.chance.random() < 0.7:
            self.write_environment('run', str(self.chance.choice([1, 5, 40])), 'small')
        if self.chance.random() < 0.3:
            time.sleep(2.1)

    def choose_base(self):
        kind = self.chance.random()
        if kind < 0.1:
            return []
        if kind < 0.2 and self.backups:
            return ['--base', self.chance.choice(sorted(self.backups))]
        return ['--base', 'auto'] + self.maybe(0.15, '--full-every', str(self.chance.choice([1, 2, 4])))

    def maybe(self, probability, *options):
        return list(options) if self.chance.random() < probability else []

    def options(self):
        """Of a backup, but for sources and keys."""
        chance = self.chance
        chosen = self.choose_base() + self.maybe(0.5, '--compress', chance.choice(['none', 'lz4', 'zstd', 'zstd:5', 'auto']))
        chosen += self.maybe(0.7, '--ldms', str(chance.randrange(1, 5))) + self.maybe(0.6, '--chunk', chance.choice(['64K', '128K', '1M']))
        if '--base' in chosen:
            chosen += self.maybe(0.15, '--rehash')
            chosen += [] if self.mapped else ['--trust-after', '2s']
        chosen += self.maybe(0.1, '--verify') + self.maybe(0.1, '--single-threaded') + self.maybe(0.1, '--direct', chance.choice(['off', 'auto']))
        chosen += self.maybe(0.1, '--number', str(max([b.number for b in self.backups.values()], default=0) + chance.choice([100, 1000])))
        return chosen + self.maybe(0.1, '--label', 'odd %s "label"') + self.maybe(0.1, '--depth', '2')

    def choose_sources(self):
        """Names of sources, the options that name and exclude, and what they keep."""
        names = sorted(self.trees)
        if len(names) > 1 and self.chance.random() < 0.15:
            names = self.chance.sample(names, len(names) - 1)
        if len(self.trees) > 1 and self.chance.random() < 0.05:  # what was the one's name is the other's
            self.trees['s0'], self.trees['s1'] = self.trees['s1'], self.trees['s0']
        options = [text for name in names for text in ('--source', f'{name}=dir:{os.fsdecode(self.trees[name].root)}')]
        if self.environment and self.chance.random() < 0.8:
            options += ['--source', f'env=lmdb:{self.environment}']
            options += self.maybe(0.3, '--logical')
            names.append('env')
        if self.chance.random() < 0.3:
            return names, options + ['--exclude', '*.skip'], lambda path: not path.endswith(b'.skip')
        return names, options, lambda path: True

    def truth(self, names, keeps):
        return {name: self.write_environment('check', 'rows') if name == 'env' else look(self.trees[name].root, keeps) for name in names}

    def back_up(self, end=None, beside=None):
        """One more backup. `end` and `beside`: a signal that ends it, and a command that runs beside it, each after some seconds."""
        self.edit()
        names, sources, keeps = self.choose_sources()
        openers = set(self.chance.sample(self.keys, self.chance.randrange(1, len(self.keys) + 1))) if self.keys and self.chance.random() < 0.9 else set()
        truths, before = self.truth(names, keeps), set(self.listed())
        options, home = self.options(), self.chance.choice(self.homes)
        may_fail = beside or '--base' in options and options[options.index('--base') + 1] != 'auto'
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            other = pool.submit(self.run_beside, beside) if beside else None
            answer = self.program.run('backup', *sources, '--to', home, '--json', *options, *self.sealing(sorted(openers)),
                                      codes=(0, 1, 2, 11) if may_fail else (0,), end=end)
        if answer.code is not None:
            self.last_seconds = time.monotonic() - began
        new = self.learn(truths, openers)
        if answer.code is not None and len(new) != (answer.code == 0):
            raise Wrong(f'{len(new)} new backups after exit code {answer.code}')
        if beside:
            other.result()
            self.forget(before)
        self.check_new(new)

    def check_new(self, new):
        for uid in new:
            if self.tainted(uid):
                self.checks.check_tainted(uid, False)
            else:
                self.checks.check(uid, thorough=True)

    def run_beside(self, beside):
        delay, command = beside
        time.sleep(delay)
        self.beside.run(*command, codes=(0, 1, 3, 10, 11))

    def listed(self):
        """Everything in the directories that has a uid, by it."""
        if not self.everywhere():
            return {}
        answer = self.program.run('list', '--json', *self.everywhere(), *self.opening(self.keys))
        return {record['uid']: record for record in answer.records('backup') if 'uid' in record}

    def learn(self, truths, openers):
        new = [uid for uid, record in self.listed().items() if record['state'] == 'complete' and uid not in self.backups]
        for uid in new:
            self.backups[uid] = Backup(truths, openers)
        self.refresh()
        return new

    def refresh(self):
        """Where each is, and what it refers to, by list."""
        listed = self.listed()
        self.cut_off = {uid for uid, record in listed.items() if record['state'] == 'cut off'}
        for uid, record in listed.items():
            backup = self.backups.get(uid)
            if backup and record['state'] == 'complete':
                backup.number = record['number']
                backup.origins = {origin['uid'] for origin in record.get('origins', [])}
                backup.home = backup.home or self.find_home(uid, record['number'])

    def find_home(self, uid, number):
        """Two directories may have backups of one number."""
        for home in self.homes:
            manifest = os.path.join(home, f'BACKUP-{number}', f'BACKUP-{number}.cluster.manifest')
            if os.path.exists(manifest) and uid.encode() in open(manifest, 'rb').read():
                return os.path.dirname(manifest)
        raise Wrong(f'{uid} is nowhere')

    def killed(self):
        tree = self.trees[self.chance.choice(sorted(self.trees))]
        for _ in range(self.chance.choice([0, 1, 3])):  # so much that some of it is written before
            with open(tree.new_name(), 'wb') as file:
                file.write(tree.bytes(3000000))
        self.back_up(end=(self.chance.uniform(0, 1.2 * self.last_seconds), self.chance.choice([signal.SIGKILL] * 3 + [signal.SIGINT])))

    def race(self):
        """A prune beside a backup: whichever comes first, what is there afterwards is whole."""
        where = [home for home in self.homes if os.path.isdir(home)]
        if not where:
            return
        command = ['prune', '--from', self.chance.choice(where), *self.opening(self.keys), '--keep-last', '1']
        self.back_up(beside=(self.chance.uniform(0, self.last_seconds), command))

    def forget(self, before):
        """What a prune may have removed; nobody needs it."""
        gone = before - set(self.listed())
        self.program.tell(f'# pruned: {sorted(gone)}')
        self.expect_kept(gone, [], True, [])
        for uid in gone & set(self.backups):
            del self.backups[uid]
        self.checks.check_all()

    def killed_prune(self):
        home = self.chance.choice(self.homes)
        if os.path.isdir(home):
            before = set(self.listed())
            self.program.run('prune', '--from', home, *self.opening(self.keys), '--keep-last', '1', codes=(0, 1, 3, 11),
                             end=(self.chance.uniform(0, 0.03), signal.SIGKILL))
            self.forget(before)

    def prune(self):
        """By rules, or by name; what goes was to go, and nobody misses it."""
        if not self.backups:
            return
        before, rules = self.listed(), self.chance.random() < 0.7
        where = self.everywhere()
        if rules:  # two backups of one number are refused where rules choose
            where = ['--from', self.chance.choice([home for home in where if home != '--from'])]
        whole = [uid for uid in self.backups if not self.tainted(uid) and os.path.dirname(self.backups[uid].home) in where]
        keep = self.chance.choice([1, 1, 2, 3])
        if rules:
            choice = self.chance.choice([['--keep-last', str(keep)], ['--keep', str(keep), '--keep-daily', '2'], ['--keep-last', str(keep), '--min-age', '3s'],
                                         ['--keep-within', '3s'], ['--keep-hourly', '1', '--keep-label', 'odd %s "label"']])
        else:
            choice = self.chance.sample(sorted(self.backups), min(len(self.backups), self.chance.choice([1, 2])))
        dry = self.program.run('prune', '--json', '--dry-run', *where, *self.opening(self.keys), *choice, codes=(0, 1, 3, 11))
        answer = self.program.run('prune', '--json', *where, *self.opening(self.keys), *choice, codes=(0, 1, 3, 11))
        gone = {record['uid'] for record in answer.records('pruned')}
        if gone != {record['uid'] for record in dry.records('pruned')} and '3s' not in choice:
            raise Wrong('prune --dry-run says something else than prune does')
        if gone != set(before) - set(self.listed()):
            raise Wrong(f'prune says that {sorted(gone)} are gone, which is not so')
        self.expect_kept(gone, whole, rules, choice)
        for uid in gone & set(self.backups):
            del self.backups[uid]
        self.checks.check_all()

    def expect_kept(self, gone, whole, rules, choice):
        for uid, backup in self.backups.items():
            if uid in gone and backup.pinned:
                raise Wrong(f'a pinned backup is gone: {uid}')
            if uid not in gone and backup.origins & gone:
                raise Wrong(f'what {uid} refers to is gone')
        if not rules and gone - set(choice):
            raise Wrong(f'not named, and gone: {gone - set(choice)}')
        left = [record for record in self.listed().values() if record['state'] == 'complete' and not record.get('verified', {}).get('damaged')]
        if rules and whole and not left:
            raise Wrong('no whole backup is left')

    def pin(self):
        for uid in self.chance.sample(sorted(self.backups), min(len(self.backups), 1)):
            backup = self.backups[uid]
            if not backup.hurt:
                self.program.run('unpin' if backup.pinned else 'pin', *self.everywhere(), uid)
                backup.pinned = not backup.pinned

    def move(self):
        """A directory of backups gets another name, or is copied there."""
        i = self.chance.randrange(len(self.homes))
        old, new = self.homes[i], self.homes[i] + 'm'
        if os.path.isdir(old):
            if self.chance.random() < 0.5:
                os.rename(old, new)
            else:
                shutil.copytree(old, new, symlinks=True)
                shutil.rmtree(old)
        self.program.tell(f'# moved: {new}')
        self.homes[i] = new
        for backup in self.backups.values():
            if backup.home and os.path.dirname(backup.home) == old:
                backup.home = os.path.join(new, os.path.basename(backup.home))
        self.checks.check_all()

    def damage(self):
        """Of a file of a backup: bytes are flipped, the end is cut off, or it is gone; for a while, or for good."""
        candidates = sorted(uid for uid in self.backups if not self.backups[uid].hurt)
        if not candidates:
            return
        uid = self.chance.choice(candidates)
        backup = self.backups[uid]
        files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(backup.home) for name in names if not name.endswith('.pin'))
        path = self.chance.choice([name for name in files if name.endswith('.data')] * 3 + files)
        saved = os.path.join(self.folder, 'saved')
        shutil.copy2(path, saved)
        backup.hurt.append(os.path.relpath(path, os.path.dirname(backup.home)))
        self.program.tell(f'# {self.harm(path)}: {path}')
        self.checks.check_all(hit=None if path.endswith(HARMLESS) else uid)
        if self.chance.random() < 0.6:
            self.program.tell('# undone')
            shutil.copy2(saved, path)
            backup.hurt.pop()
            self.checks.check_all()

    def harm(self, path):
        size = os.path.getsize(path)
        kind = self.chance.choice(['flip', 'flip', 'flip', 'wipe', 'cut', 'longer', 'remove'])
        if kind == 'remove':
            os.unlink(path)
        elif kind == 'cut' and size > 0:
            os.truncate(path, self.chance.randrange(size))
        elif kind == 'longer' or size == 0:
            with open(path, 'ab') as file:
                file.write(b'more')
        else:
            at = self.chance.randrange(size)
            with open(path, 'r+b') as file:
                file.seek(at)
                old = file.read(1 if kind == 'flip' else self.chance.choice([4096, 100000]))
                file.seek(at)
                file.write(bytes(byte ^ 0x10 for byte in old))
            kind += f' at {at}'
        return kind

    def change_keys(self):
        """Of all backups that they open: one key more, or one less."""
        self.checks.keys_change()

    # ---- all of it

    def live(self):
        self.back_up()
        kinds = [self.killed, self.prune, self.killed_prune, self.race, self.pin, self.move, self.damage] + ([self.change_keys] if self.keys else [])
        steps = [self.back_up] * 4 + [kind for kind in kinds for _ in range(self.chance.choice([0, 1, 1, 1, 5]))]  # other weights in each seed
        for _ in range(self.chance.randrange(4, 12)):
            step = self.chance.choice(steps)
            self.program.tell(f'# step {step.__name__}')
            step()
        self.checks.check_all(thorough=True)


def memory(folder):
    """A folder on tmpfs for those on a disk, where that keeps attributes; it is faster."""
    path = os.path.join('/dev/shm', 'penstock-life-' + folder.strip('/').replace('/', '-'))
    shutil.rmtree(path, ignore_errors=True)
    try:
        os.mkdir(path)
        os.setxattr(path, 'user.n', b'')
        os.removexattr(path, 'user.n')
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
        return folder
    return path


def one(arguments, seed):
    penstock, folder, writer = arguments
    folder = os.path.join(folder, f'seed-{seed}')
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    program = Program(penstock)
    try:
        Life(program, folder, writer, seed).live()
    except Exception as error:  # whatever it is, the seed is to be seen
        why = str(error) if isinstance(error, Wrong) else traceback.format_exc()
        return seed, why + '\n', '\n'.join(program.story[-60:]), folder
    shutil.rmtree(folder)
    shutil.rmtree(memory(folder), ignore_errors=True)
    return seed, None, len(program.story), folder


def main():
    penstock, folder, writer, first, count = sys.argv[1:6]
    jobs = int(sys.argv[6]) if len(sys.argv) > 6 else 1
    failed = 0
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        work = [pool.submit(one, (penstock, folder, writer), seed) for seed in range(int(first), int(first) + int(count))]
        for done in concurrent.futures.as_completed(work):
            seed, why, story, kept = done.result()
            if why:
                failed += 1
                print(f'{story}\nseed {seed} FAILED: {why}in {kept}', flush=True)
    print(f'{count} seeds from {first}, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
