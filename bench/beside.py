"""What benches share that run a backup beside something else on its disk."""
import json
import os
import shutil
import subprocess
import threading
import time

import pairs as shared

CHANGED = 3  # exit code: some files were
WRITE_BYTES = 8192
WRITTEN_BYTES = 64 << 20


class Writer:
    """A thread that writes 8 KiB and syncs it, as often as that, until its end, and how long its syncs took, in seconds."""

    def __init__(self, place, every_seconds):
        self.fd = os.open(os.path.join(place, "synced"), os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(self.fd, bytes(WRITTEN_BYTES), 0)
        os.fsync(self.fd)
        self.every_seconds, self.took, self.stops = every_seconds, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        data, offset = os.urandom(WRITE_BYTES), 0
        while not self.stops.wait(self.every_seconds):
            began = time.perf_counter()
            os.pwrite(self.fd, data, offset)
            os.fdatasync(self.fd)
            self.took.append(time.perf_counter() - began)
            offset = (offset + WRITE_BYTES) % WRITTEN_BYTES

    def end(self):
        self.stops.set()
        self.thread.join()
        os.close(self.fd)
        return self.took


def add_options(parser, rounds):
    parser.add_argument("--penstock", required=True, help="the program to measure")
    parser.add_argument("--place", required=True, help="directory on the disk to work in")
    parser.add_argument("--pace", action="append", default=[], help="default: max and auto")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--mib", type=int, default=4096, help="of files of 64 MiB")
    parser.add_argument("--ldms", type=int, default=1)
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="of each backup")


def prepare(place):
    """The source leaves the page cache, the last backup the disk, and that is over."""
    shared.forget_pages(os.path.join(place, "source"))
    shutil.rmtree(os.path.join(place, "backups"), ignore_errors=True)
    os.sync()


def back_up(arguments, place, pace, source="source", changes=False):
    """changes: others write the source, so some of its files may be reported."""
    source = os.path.join(place, source)
    target = os.path.join(place, "backups")
    done = subprocess.run([arguments.penstock, "backup", "--source", f"dir:{source}", "--to", target,
                           "--ldms", str(arguments.ldms), "--pace", pace, "--json", "--quiet",
                           *arguments.options], capture_output=True, text=True, check=False)
    if done.returncode != 0 and not (changes and done.returncode == CHANGED):
        raise shared.RunFailed(f"backup at {pace}: exit {done.returncode}\n{done.stderr}")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return next(record for record in records if record.get("message_type") == "summary" and "pace" in record)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
