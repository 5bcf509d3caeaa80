"""What the comparisons of this folder share: pairs, their ratio and its confidence, and where they
ran. A ratio is met when the lower end of its 95 % confidence interval (bootstrap of the median over
at least 20 pairs) reaches the goal, missed when the upper end does not, else not resolved.
"""

import contextlib
import glob
import json
import os
import platform
import random
import resource
import signal
import statistics
import subprocess
import sys
import time

PAIRS_MIN = 20
RESAMPLES = 10000
END_PATIENCE_S = 5
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class RunFailed(Exception):
    """A measured program ended with an error; the text is its standard error."""


def children(process):
    """The ids of those of any of its threads."""
    found = []
    for name in glob.glob(f"/proc/{process}/task/*/children"):
        try:
            with open(name, encoding="ascii") as file:
                found += map(int, file.read().split())
        except OSError:  # it has just ended
            pass
    return found


def descendants(process):
    return [one for child in children(process) for one in (child, *descendants(child))]


def has_ended(process):
    """Whether it is gone, or a zombie."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def end_descendants():
    """What a child has started outlives it otherwise. Returns when all have ended, or after a while."""
    deadline = time.monotonic() + END_PATIENCE_S
    told = set()
    while time.monotonic() < deadline:
        for process in descendants(os.getpid()):
            if process not in told and not has_ended(process):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)
            told.add(process)
        if all(has_ended(process) for process in told):
            return
        time.sleep(0.02)


def run(main):
    """main(), which removes what it has made and ends what it has started when it is terminated, too. A penstock
    that is given no --pace, here or in the environment, spares nobody: what another pace costs, bench/pace_pairs says."""
    os.environ.setdefault("PENSTOCK_PACE", "max")

    def leave(number, _):
        for other in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(other, signal.SIG_IGN)
        end_descendants()
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    return main()


def timed(command):
    """Returns the seconds that the command took, and those of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RunFailed(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def make_files(folder, count, file_bytes):
    """A thousand files a directory, of bytes that do not compress, and that are nowhere the same: who stores
    the same bytes once would have little to read."""
    lot = random.Random(4)
    block_bytes = 1 << 24
    for number in range(count):
        directory = os.path.join(folder, str(number // 1000))
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, str(number)), "wb") as file:
            for at in range(0, file_bytes, block_bytes):
                file.write(lot.randbytes(min(block_bytes, file_bytes - at)))


def make_environment(folder, rows):
    """An LMDB environment with so many rows of 1000 bytes."""
    os.mkdir(folder)
    value = random.Random(5).randbytes(1000).hex()
    with subprocess.Popen(["mdb_load", folder], stdin=subprocess.PIPE, text=True) as load:
        load.stdin.write("VERSION=3\nformat=bytevalue\ntype=btree\n"
                         f"mapsize={rows * 8192}\nmaxreaders=126\nHEADER=END\n")
        for row in range(rows):
            load.stdin.write(f" {row:016x}\n {value}\n")
        load.stdin.write("DATA=END\n")
    if load.returncode != 0:
        raise RunFailed(f"mdb_load {folder}: exit {load.returncode}")


def files_below(folder):
    return [name for name in glob.glob(os.path.join(folder, "**"), recursive=True)
            if os.path.isfile(name)]


def forget_pages(folder):
    """What lies in the folder is read from the disk again."""
    for name in files_below(folder):
        fd = os.open(name, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def remember_pages(folder):
    """What lies in the folder is read from the page cache."""
    for name in files_below(folder):
        with open(name, "rb", buffering=0) as file:
            while file.read(1 << 22):
                pass


def confidence_interval(ratios):
    """95 % interval of the median, by bootstrap."""
    lot = random.Random(2)
    medians = sorted(statistics.median(lot.choices(ratios, k=len(ratios)))
                     for _ in range(RESAMPLES))
    return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES) - 1]


def judge(low, high, goal, pairs):
    if pairs < PAIRS_MIN:
        return f"not resolved (fewer than {PAIRS_MIN} pairs)"
    if low >= goal:
        return "met"
    return "missed" if high < goal else "not resolved"


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def cpu_model():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def print_environment(as_json, **more):
    """Host, kernel, CPUs, commit, command, and what else the comparison says of its peers and places."""
    facts = {
        "message_type": "environment", "host": platform.node(), "kernel": platform.release(), "cpu": cpu_model(),
        "cpus": sorted(os.sched_getaffinity(0)), "numa_nodes": len(glob.glob("/sys/devices/system/node/node[0-9]*")),
        "load": os.getloadavg()[0], "command": " ".join(sys.argv),
        "pace": os.environ.get("PENSTOCK_PACE"),
        "commit": first_line(["git", "-C", ROOT, "describe", "--always", "--dirty"]), **more,
    }
    if as_json:
        print(json.dumps(facts), flush=True)
        return
    for name, value in facts.items():
        if name != "message_type":
            print(f"{name}: {value}")
    print(flush=True)


def file_system(folder):
    return first_line(["stat", "-f", "-c", "%T", folder])


def mount_options(folder):
    return first_line(["findmnt", "-n", "-o", "SOURCE,FSTYPE,OPTIONS", "-T", folder])
