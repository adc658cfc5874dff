"""Submissions graded a minute, ours and nbgrader's, on the same class in one run.

    python benchmarks/grading.py [--students 24] [--nbgrader 24] [--record]

The class hands in lesson 02 honestly: every exercise right, half of them, a slip in each, or none.
Each grader is timed as an instructor starts it, its own start-up included: `course grade` and
`nbgrader autograde`. The time for a class of 200 is start-up plus 200 at the measured rate. Last,
`course check` on one notebook from a cold terminal. `--nbgrader 0` leaves nbgrader out; `--record`
writes benchmarks/results/grading.json.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _harness import record

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "grading.json"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
KINDS = ("right", "partly_right", "wrong", "unsolved")
CONFIG = "c = get_config()\nc.ClearSolutions.enabled = False\nc.Execute.timeout = 300\n"


def run(command, cwd, **environment):
    """Runs a command to its end; gives its seconds."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "PYTHONPATH": str(ROOT), "COURSE_OFFLINE": "1"} | environment
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - started


def hand_in(folder, students, samples, file, inside=""):
    """Writes the class: the honest samples, in turn; gives {student: kind}."""
    kinds = {f"student-{i:03}": KINDS[i % len(KINDS)] for i in range(students)}
    for student, kind in kinds.items():
        target = folder / student / inside
        target.mkdir(parents=True)
        shutil.copy(samples / kind / file, target / file)
    return kinds


def ours(folder, students, samples, file):
    """(seconds for the class, seconds for a class of one) of `course grade`."""
    hand_in(folder / "one", 1, samples, file)
    hand_in(folder / "class", students, samples, file)
    command = ["course.cli", "grade"]
    one = run([*command, folder / "one", "--out", folder / "one-out", "--seed", "1"], folder)
    everyone = run([*command, folder / "class", "--out", folder / "out", "--seed", "1"], folder)
    return everyone, one


def theirs(folder, students, samples, file):
    """Seconds for the class of `nbgrader autograde`."""
    from course import authoring

    (folder / "nbgrader_config.py").write_text(CONFIG)
    authoring.release("attention", folder / "source" / "attention", root=ROOT)
    home = {"HOME": str(folder), "JUPYTER_CONFIG_DIR": str(folder), "COURSE_SEED": "1"}
    run(["nbgrader", "generate_assignment", "attention"], folder, **home)
    hand_in(folder / "submitted", students, samples, file, "attention")
    return run(["nbgrader", "autograde", "attention"], folder, **home)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", type=int, default=24, help="submissions that we grade")
    parser.add_argument("--nbgrader", type=int, default=24, help="submissions that it grades")
    parser.add_argument("--record", action="store_true", help=f"write results/{RESULT.name}")
    arguments = parser.parse_args()

    from submissions import make_submissions

    from course import exercises, runtime

    file = exercises.about("attention").file
    rows, load = {}, os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        make_submissions(scratch / "samples", "attention")
        (scratch / "ours").mkdir()
        seconds, one = ours(scratch / "ours", arguments.students, scratch / "samples", file)
        # Start-up shows in the difference between a class and a class of one.
        each = max(1e-9, (seconds - one) / max(1, arguments.students - 1))
        rows["course grade"] = {
            "submissions": arguments.students,
            "seconds": seconds,
            "a minute": 60 * arguments.students / seconds,
            "a minute, started": 60 / each,
            "class of 200, s": one + 199 * each,
        }
        if arguments.nbgrader:
            (scratch / "theirs").mkdir()
            seconds = theirs(scratch / "theirs", arguments.nbgrader, scratch / "samples", file)
            rate = 60 * arguments.nbgrader / seconds
            rows["nbgrader autograde"] = {
                "submissions": arguments.nbgrader,
                "seconds": seconds,
                "a minute": rate,
                "a minute, started": rate,  # it starts anew for each
                "class of 200, s": 200 * 60 / rate,
            }
        notebook = scratch / "samples" / "right" / file
        check = run(["course.cli", "check", notebook], scratch)

    columns = list(rows["course grade"])
    print(f"{'':20}" + "".join(f"{column:>19}" for column in columns))
    for name, row in rows.items():
        print(f"{name:20}" + "".join(f"{row[column]:19.1f}" for column in columns))
    if "nbgrader autograde" in rows:
        ratio = rows["course grade"]["a minute"] / rows["nbgrader autograde"]["a minute"]
        print(f"\nours is {ratio:.1f} times as fast, start-up included")
    print(f"course check, one notebook from a cold terminal: {check:.1f} s")
    machine = f"{runtime.cores()} cores, {platform.machine()}, load {load:.1f} at the start"
    print(machine, runtime.versions())
    if arguments.record:
        result = {
            "command": " ".join(["python benchmarks/grading.py", *sys.argv[1:]]),
            "machine": machine,
            "versions": runtime.versions(),
            "rows": rows,
            "check_seconds": check,
        }
        record("grading", result)


if __name__ == "__main__":
    main()
