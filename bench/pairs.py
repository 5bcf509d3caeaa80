"""What the comparisons of this folder share: pairs, their ratio and its confidence, and where they
ran. A ratio is met when the lower end of its 95 % confidence interval (bootstrap of the median over
at least 20 pairs) reaches the goal, missed when the upper end does not, else not resolved.
"""

import json
import os
import platform
import random
import statistics
import subprocess

PAIRS_MIN = 20
RESAMPLES = 10000
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class RunFailed(Exception):
    """A measured program ended with an error; the text is its standard error."""


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
    """Kernel, CPUs, commit, and what else the comparison says of its peers and places."""
    facts = {
        "message_type": "environment", "kernel": platform.release(), "cpu": cpu_model(),
        "cpus": sorted(os.sched_getaffinity(0)), "load": os.getloadavg()[0],
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
