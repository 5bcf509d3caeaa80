"""What has to be so of each backup after each step. Called by life.py; raises Wrong."""
import json
import os
import shutil
import signal
import stat
import subprocess
import time

from program import Wrong, spoken
from truth import differences, digest, look

LOST_NAMES = 'objects are lost, with their names'  # how many, the summary says
LOST_ALL = 'nothing is restored'
GLOB_BYTES = b'*?[]\\'


def regrouped(names):
    """Of some of a tree's names: links to names that are not among them are none."""
    groups = {}
    for path in sorted(names):
        if 'same' in names[path]:
            groups.setdefault(names[path]['same'], []).append(path)
    result = {path: {field: value for field, value in record.items() if field != 'same'} for path, record in names.items()}
    for paths in groups.values():
        for path in paths if len(paths) > 1 else []:
            result[path]['same'] = paths[0]
    return result


def joined(prefix, path):
    return os.path.join(prefix, path) if path else prefix


def placed(prefix, truth):
    """A source's names as they are in a target of several."""
    for path, record in truth.items():
        yield joined(prefix, path), {**record, 'same': joined(prefix, record['same'])} if 'same' in record else record


class Checks:
    def __init__(self, life):
        self.life, self.program, self.chance = life, life.program, life.chance
        self.can_mount = os.geteuid() == 0 and os.access('/dev/fuse', os.W_OK)

    def check_all(self, thorough=False, hit=None):
        listed = self.life.listed()
        self.life.refresh()
        for uid in sorted(self.life.backups):
            if self.life.tainted(uid):
                self.check_tainted(uid, hit == uid)
            elif uid not in listed or listed[uid]['state'] != 'complete':
                raise Wrong(f'backup {uid} is {listed.get(uid, {}).get("state", "gone")}')
            elif thorough or self.chance.random() < 0.5:
                self.check(uid, thorough and self.chance.random() < 0.3)
            else:
                self.on('verify', uid)

    # ---- of what is whole

    def on(self, command, uid, *options, **more):
        return self.program.run(command, *self.life.everywhere(), *self.life.opening(self.life.keys), *options, uid, **more)

    def some_keys(self, uid):
        """Options of one key that opens it, and all that it refers to; or of all keys."""
        closure = [self.life.backups[other].openers for other in {uid} | self.life.backups[uid].origins if other in self.life.backups]
        able = [key for key in self.life.keys if all(not openers or key in openers for openers in closure)]
        return self.life.opening([self.chance.choice(able)] if able else self.life.keys)

    def check(self, uid, thorough):
        self.on('verify', uid)
        target = self.target()
        self.program.run('restore', '--quiet', *self.life.everywhere(), *self.some_keys(uid), '--target', target, uid)
        self.expect_restored(uid, target)
        if thorough:
            ways = [self.find, self.cat, self.one_path, self.diff, self.stats, self.over, self.alone] + ([self.mount] if self.can_mount else [])
            for way in self.chance.sample(ways, 3):
                way(uid)

    def target(self):
        path = os.path.join(self.life.aside, 'target')
        shutil.rmtree(path, ignore_errors=True)
        return path

    def expect_restored(self, uid, target):
        truths = self.life.backups[uid].truths
        for name, root in self.roots(uid, target):
            if name == 'env':
                command = [self.life.writer, 'check', root, 'rows']  # in whichever way it was backed up
                if subprocess.run(command, check=False, stdout=subprocess.PIPE, timeout=120).stdout != truths[name]:
                    raise Wrong(f'the environment of {uid} is another one')
            else:
                self.same(f'{uid}, source {name}', truths[name], look(root))

    def roots(self, uid, target):
        names = sorted(self.life.backups[uid].truths)
        return [(name, os.fsencode(target if len(names) == 1 else os.path.join(target, name))) for name in names]

    def same(self, what, wanted, found):
        lines = differences(wanted, found)
        if lines:
            raise Wrong(f'{what}:\n' + '\n'.join(lines[:10]) + '\n')

    def named(self, uid):
        """(name as restored, source, record) of all that dir: sources have."""
        return [(path, name, record) for name, prefix in self.roots(uid, '') if name != 'env'
                for path, record in placed(prefix, self.life.backups[uid].truths[name])]

    def find(self, uid):
        answer = self.on_id('find', uid, '--json', '**')
        found = {record['name'] for record in answer.records('object') if record['source'] != 'env'}
        wanted = {spoken(path) for path, _, _ in self.named(uid)}
        if found ^ wanted:
            raise Wrong(f'find of {uid}: {sorted(found ^ wanted)[:5]}')

    def on_id(self, command, uid, *options, **more):
        return self.program.run(command, *self.life.everywhere(), *self.some_keys(uid), '--id', uid, *options, **more)

    def cat(self, uid):
        files = [(path, record) for path, _, record in self.named(uid) if record['kind'] == stat.S_IFREG and not path.startswith(b'-')]
        for path, record in self.chance.sample(files, min(len(files), 3)):
            answer = self.on_id('cat', uid, path)
            kept = os.path.join(self.life.folder, 'cat')
            with open(kept, 'wb') as file:
                file.write(answer.out)
            if digest(kept) != record['contents']:
                raise Wrong(f'cat of {path!r} in {uid} gives other bytes')

    def one_path(self, uid):
        names = {path: record for path, _, record in self.named(uid) if path and not set(path) & set(GLOB_BYTES) and not path.startswith(b'-')}
        if not names:
            return
        chosen = self.chance.choice(sorted(names))
        target = self.target()
        self.program.run('restore', '--quiet', *self.life.everywhere(), *self.some_keys(uid), '--target', target, '--path', chosen, uid)
        below = {path: record for path, _, record in self.named(uid) if (path + b'/').startswith(chosen + b'/')}
        found = {path: record for path, record in look(os.fsencode(target)).items() if (path + b'/').startswith(chosen + b'/')}
        self.same(f'restore --path {chosen!r} of {uid}', regrouped(below), regrouped(found))

    def alike(self, uid):
        """Others, of the same sources; if there are none, itself."""
        sources = set(self.life.backups[uid].truths)
        others = [other for other in sorted(self.life.backups) if other != uid and not self.life.tainted(other)]
        return [other for other in others if set(self.life.backups[other].truths) == sources] or [uid]

    def diff(self, uid):
        other = self.chance.choice(self.alike(uid))
        answer = self.program.run('diff', '--json', '--content', *self.life.everywhere(), *self.life.opening(self.life.keys), other, uid)
        found = {record['name'] for record in answer.records('change')}
        one, two = ({spoken(path): record for path, _, record in self.named(which)} for which in (other, uid))
        linked = {path for names in (one, two) for path, record in names.items() if 'same' in record}
        wanted = {path for path in one.keys() | two.keys() if one.get(path) != two.get(path)}
        certain = {path for path in wanted if path not in linked or self.differs(one.get(path), two.get(path))}
        found = {name for name in found if name != 'env' and not name.startswith('env/')}
        if certain - found or found - wanted - linked:
            raise Wrong(f'diff of {other} and {uid}: not said {sorted(certain - found)[:5]}, but {sorted(found - wanted)[:5]}')

    def differs(self, one, other):
        return one is None or other is None or any(one.get(f) != other.get(f) for f in ('kind', 'mode', 'mtime', 'contents', 'owner'))

    def over(self, uid):
        """Restored over another one: all that it has is there, and what only the other has is left alone."""
        target, others = self.target(), self.alike(uid)
        for which in (self.chance.choice(others), uid):
            self.program.run('restore', '--quiet', '--force', *self.life.everywhere(), *self.some_keys(which), '--target', target, which)
        for name, root in self.roots(uid, target):
            if name != 'env':
                truth = self.life.backups[uid].truths[name]
                found = {path: record for path, record in look(root).items() if path in truth}
                for path, record in found.items():  # directories stay, with attributes that only they have
                    if record['kind'] == stat.S_IFDIR == truth[path]['kind']:
                        record['attributes'] = tuple(pair for pair in record['attributes'] if pair[0] in dict(truth[path]['attributes']))
                self.same(f'{uid} over another one, source {name}', truth, regrouped(found))

    def alone(self, uid):
        """With what it refers to it can go to another place; without, that is seen."""
        place = os.path.join(self.life.aside, 'alone')
        shutil.rmtree(place, ignore_errors=True)
        needed = {uid} | self.life.backups[uid].origins
        if needed & self.life.cut_off or len({os.path.dirname(self.life.backups[other].home) for other in needed}) > 1:
            return
        for other in needed:
            home = self.life.backups[other].home
            shutil.copytree(home, os.path.join(place, os.path.basename(home)))
        target = self.target()
        self.program.run('restore', '--quiet', '--from', place, *self.some_keys(uid), '--target', target, uid)
        self.expect_restored(uid, target)
        for other in sorted(self.life.backups[uid].origins)[:1]:
            shutil.rmtree(os.path.join(place, os.path.basename(self.life.backups[other].home)))
            self.program.run('verify', '--from', place, *self.some_keys(uid), uid, codes=(1, 3, 10))
            self.program.run('restore', '--quiet', '--from', place, *self.some_keys(uid), '--target', self.target(), uid, codes=(1, 3, 10))

    def stats(self, uid):
        for record in self.on('stats', uid, '--json').records('source'):
            if record['source'] != 'env' and record['unreadable'] + record['changed'] > 0:
                raise Wrong(f'stats of {uid}: {json.dumps(record)}')

    def mount(self, uid):
        point = os.path.join(self.life.folder, 'point')
        os.makedirs(point, exist_ok=True)
        command = [self.program.path, 'mount', *self.life.everywhere(), *self.some_keys(uid), uid, point]
        self.program.tell(' '.join(command[1:]))
        with open(os.path.join(self.life.folder, 'mount.log'), 'w+', encoding='utf-8', errors='replace') as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            try:
                self.look_mounted(uid, point, server, log)
            finally:
                subprocess.run(['umount', point], check=False, stderr=subprocess.DEVNULL)
                code = server.wait(60)
        if code != 0:
            raise Wrong(f'mount of {uid} ends with {code}')

    def look_mounted(self, uid, point, server, log):
        for _ in range(600):
            if os.path.ismount(point):
                break
            if server.poll() is not None:
                log.seek(0)
                raise Wrong(f'mount of {uid}: {log.read()}')
            time.sleep(0.02)
        for name, root in self.roots(uid, point):
            if name != 'env':
                self.same(f'mount of {uid}, source {name}', self.life.backups[uid].truths[name], look(root))

    # ---- of what is not

    def check_tainted(self, uid, is_hit):
        """Called whole, it is whole; else what is wrong is named, and the rest can be had."""
        verified = self.on('verify', uid, codes=(0, 1, 3, 10, 12))
        if is_hit and verified.code == 0:
            raise Wrong(f'verify finds nothing in {uid}: {self.life.backups[uid].hurt}')
        if is_hit and self.life.backups[uid].hurt[0] not in verified.err + verified.out.decode(errors='replace'):
            raise Wrong(f'verify does not name {self.life.backups[uid].hurt}: {verified.err}')
        target = self.target()
        plain = self.on('restore', uid, '--quiet', '--target', target, codes=(0,) if verified.code == 0 else (0, 1, 3, 10, 12))
        if plain.code == 0:
            self.expect_restored(uid, target)
        target = self.target()
        answer = self.on('restore', uid, '--json', '--keep-going', '--target', target, codes=(0, 1, 3, 10, 12))
        if answer.code == 0:
            self.expect_restored(uid, target)
        elif answer.code == 3 and os.path.isdir(target):
            self.expect_named(uid, target, answer)

    def expect_named(self, uid, target, answer):
        troubles, summary = answer.records('trouble'), answer.records('summary')[0]
        if any(LOST_ALL in record['what'] for record in troubles):
            return
        said = {(record['source'], record.get('path')) for record in troubles}
        lost_names = any(LOST_NAMES in record['what'] for record in troubles)
        missing = 0
        for name, root in self.roots(uid, target):
            truth = self.life.backups[uid].truths[name]
            found = look(root) if os.path.isdir(root) else {}
            if name == 'env':
                continue
            for path in self.wrong_names(truth, found):
                missing += 1
                if (name, spoken(path)) not in said and not lost_names:
                    raise Wrong(f'{name}/{path!r} of {uid} is not as it was, and restore does not say so: {answer.err}')
            self.expect_no_more(uid, truth, found)
        if missing > summary['failed'] + summary['not_set']:
            raise Wrong(f'{missing} objects of {uid} are lost, and restore says {summary}')

    def wrong_names(self, truth, found):
        """Names that are missing, or of other contents or kind. A lost file's other names, and times of what held it, are not its own."""
        for path, record in truth.items():
            other = found.get(path)
            if other is None or any(record.get(field) != other.get(field) for field in ('kind', 'contents', 'link', 'mode', 'owner', 'attributes')):
                yield path

    def expect_no_more(self, uid, truth, found):
        for path in found.keys() - truth.keys():
            if not path.endswith(b'.damaged'):
                raise Wrong(f'{path!r} is restored, and was not in {uid}')

    # ---- of keys

    def key_ids(self):
        """id: name of a key, of those that files hold."""
        ids = {}
        for key in ('a', 'b', 'pair'):
            path = os.path.join(self.life.folder, key)
            if key in self.life.keys:
                with open(path + '.id', encoding='ascii') as file:
                    ids[file.read()] = key
        return ids

    def keys_change(self):
        key = self.chance.choice([key for key in self.life.keys if key != 'phrase'] or [None])
        sealed = [uid for uid, backup in self.life.backups.items() if backup.openers and not self.life.tainted(uid)]
        if not key or not sealed:
            return
        uid, adds = self.chance.choice(sorted(sealed)), self.chance.random() < 0.6
        every = self.chance.random() < 0.5
        end = (self.chance.uniform(0, 0.03), signal.SIGKILL) if self.chance.random() < 0.3 else None
        change = ['--recipient', os.path.join(self.life.folder, 'pair.pub')] if key == 'pair' else ['--new-key-file', os.path.join(self.life.folder, key)]
        if not adds:
            change = ['--key-id', next(name for name, value in self.key_ids().items() if value == key)]
        self.program.run('key', *self.life.everywhere(), *self.life.opening(self.life.keys), *change, 'add' if adds else 'remove', *([] if every else [uid]),
                         codes=(0, 1, 11, 12), end=end)
        for other in sealed:
            self.expect_keys(other, key, adds, every or other == uid, bool(end))
        self.check_all()

    def expect_keys(self, uid, key, adds, is_changed, was_killed):
        """One less, if it was not the last; or one more."""
        openers = set(self.life.backups[uid].openers)
        if is_changed:
            openers = openers | {key} if adds else (openers - {key}) or openers
        answer = self.program.run('key', '--json', *self.life.everywhere(), 'list', uid)
        ids = self.key_ids()
        found = {ids.get(record['id'], 'phrase') for record in answer.records('key')}
        if was_killed and found == self.life.backups[uid].openers:
            openers = found
        if found != openers:
            raise Wrong(f'{uid} is opened by {sorted(found)}, not by {sorted(openers)}')
        self.life.backups[uid].openers = openers
