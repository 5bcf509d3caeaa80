"""What benches share that run a backup beside something else on its disk."""
import json
import os
import random
import shutil
import statistics
import subprocess

import pairs as shared

CHANGED = 3  # exit code: some files were


def add_options(parser, rounds, seconds):
    parser.add_argument("--penstock", required=True, help="the program to measure")
    parser.add_argument("--place", required=True, help="directory on the disk to work in")
    parser.add_argument("--pace", action="append", default=[], help="default: max and auto")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seconds", type=int, default=seconds)
    parser.add_argument("--mib", type=int, default=4096, help="of files of 64 MiB")
    parser.add_argument("--ldms", type=int, default=1)
    parser.add_argument("--job", choices=("backup", "verify", "restore"), default="backup",
                        help="what is run where nothing runs beside it; else it is a backup")
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


def run_alone(arguments, place, pace):
    """Seconds: of a backup its own; of what reads one, from the disk, those of the process."""
    if arguments.job == "backup":
        prepare(place)
        return back_up(arguments, place, pace)["elapsed_ns"] / 1e9
    backups, target = (os.path.join(place, name) for name in ("backups", "restored"))
    shutil.rmtree(target, ignore_errors=True)
    shared.forget_pages(backups)
    os.sync()
    return shared.timed([arguments.penstock, arguments.job, "--from", backups, "--ldms", str(arguments.ldms),
                         "--pace", pace, "--quiet",
                         *(["--target", target] if arguments.job == "restore" else [])])[0]


def measure_alone(arguments, place):
    if arguments.job != "backup":
        back_up(arguments, place, "max")
    times = {pace: [] for pace in arguments.pace}
    lot = random.Random(1)
    for _ in range(arguments.rounds):
        for pace in lot.sample(arguments.pace, len(arguments.pace)):
            times[pace].append(run_alone(arguments, place, pace))
    first = times[arguments.pace[0]]
    for pace in arguments.pace:
        ratios = [other / one for one, other in zip(first, times[pace])]
        low, high = shared.confidence_interval(ratios)
        figures = {"message_type": "pace-alone", "job": arguments.job, "pace": pace, "pairs": len(ratios),
                   "seconds": round(statistics.median(times[pace]), 3),
                   "ratio": round(statistics.median(ratios), 3), "low": round(low, 3),
                   "high": round(high, 3)}
        print(json.dumps(figures) if getattr(arguments, "json", False) else
              "{job} {pace:6} {seconds} s alone, {ratio} [{low}, {high}] of the first pace's, {pairs} "
              "pairs".format(**figures), flush=True)
