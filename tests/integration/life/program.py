"""The program under test, as a user runs it: what it may answer, and how it names things."""
import json
import os
import signal
import subprocess

LIMIT = 120  # seconds after which a command hangs
CODES = {0, 1, 2, 3, 10, 11, 12, 130}


class Wrong(Exception):
    pass


def spoken(name):
    """A name as --json has it."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return ''.join(chr(byte) if byte < 0x80 else '\\x%02x' % byte for byte in name)


class Answer:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err.decode(errors='replace')

    def records(self, kind=None):
        found = [json.loads(line) for line in self.out.splitlines()]
        return [record for record in found if kind is None or record['message_type'] == kind]


class Program:
    """Remembers what it ran, for the story of a seed that fails."""

    def __init__(self, path):
        self.path, self.story = path, []
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith('PENSTOCK_')} | {'LC_ALL': 'C', 'TZ': 'UTC'}

    def tell(self, text):
        self.story.append(text)

    def run(self, *arguments, codes=(0,), end=None):
        """`end`: after so many seconds this signal ends it; killed, it has no exit code."""
        command = [self.path, *arguments]
        self.tell(' '.join(repr(a) if ' ' in a else a for a in map(os.fsdecode, arguments)))
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment)
        try:
            out, err = child.communicate(timeout=end[0] if end else LIMIT)
        except subprocess.TimeoutExpired:
            child.send_signal(end[1] if end else signal.SIGKILL)
            out, err = self.ended(child)
            if not end:
                raise Wrong(f'hangs: {err.decode(errors="replace")}') from None
            self.tell(f'  {end[1].name} after {end[0]:.3f} s')
            codes = (*codes, 130)
        is_killed = end and child.returncode == -end[1]  # SIGINT does so too before it is waited for
        answer = Answer(None if is_killed else child.returncode, out, err)
        if answer.code is not None:
            self.judge(answer, codes)
        return answer

    def ended(self, child):
        try:
            return child.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            child.kill()
            raise Wrong(f'a signal does not end it: {child.communicate()[1].decode(errors="replace")}') from None

    def judge(self, answer, codes):
        self.tell(f'  exit {answer.code}')
        if answer.code not in CODES or 'Sanitizer' in answer.err or 'ssertion' in answer.err:
            raise Wrong(f'it crashed, exit code {answer.code}: {answer.err}')
        if answer.code not in codes:
            raise Wrong(f'exit code {answer.code}, expected {codes}: {answer.err}{answer.out[-2000:].decode(errors="replace")}')
