"""setup: the first cell of every notebook."""

import os
from pathlib import Path

from course import exercises, runtime
from course.lab import cell_runs, naming
from course.lab.display import Shown, escape, shell, table


@naming.understood
def setup(lesson=None, save_to_drive=False, solutions=True, mine=False):
    """Gets a notebook ready: picks the backend, imports Keras quietly, says what it found.

    It is called like this: `setup("attention")`.

    Args:
        lesson: the lesson: its name, its number, or the name of its notebook.
        save_to_drive: on Colab, keeps progress and runs in your Google Drive, so that they
            outlive the session. Colab asks for your permission.
        solutions: whether `solution(...)` may show solutions after three tries; a handout of an
            instructor may say False.
        mine: whether models run on your own parts, those of every exercise that has passed its
            check and passes it again now; `use_library()` goes back.
    """
    if lesson is None:
        names = ", ".join(f'"{name}"' for name in exercises.lessons())
        raise naming.Misuse(f"Say which lesson this is: setup(...) with one of {names}.")
    lesson = naming.lesson(lesson)
    about = exercises.about(lesson)
    naming.set_current_lesson(lesson)
    if not solutions:
        os.environ["COURSE_SOLUTIONS"] = "0"
    cell_runs.watch(shell())
    if save_to_drive:
        _use_drive()
    runtime.start()
    runtime.seed_everything(int(os.environ.get("COURSE_SEED", 0)))
    memory = runtime.memory_gb()
    device = f"{runtime.accelerator().upper()}, {runtime.cores()} CPU cores"
    rows = [
        ("lesson", f"{about.number} {about.title}, about {about.minutes} minutes"),
        ("device", device + (f", {memory:.0f} GB memory" if memory else "")),
        ("backend", os.environ.get("KERAS_BACKEND") or runtime.choose_backend()),
        ("versions", ", ".join(f"{n} {v}" for n, v in runtime.versions().items())),
        ("to run all", f"about {about.seconds} s on 2 CPU cores"),
        ("progress in", str(runtime.home())),
    ]
    if runtime.on_colab() and not save_to_drive:
        rows.append(
            ("keep it", f'setup("{lesson}", save_to_drive=True) keeps progress in your Drive')
        )
    text = "\n".join(f"{name:12}{value}" for name, value in rows)
    html = table(("", ""), rows, caption=f"Ready: {about.title}")
    Shown(text, html + f"<p>{escape('Run the cells from top to bottom.')}</p>").show()
    if mine:
        from course.lab.use_mine import load_all

        load_all()


def _use_drive():
    """Mounts Google Drive and puts COURSE_HOME there."""
    try:
        from google.colab import drive
    except ImportError:
        print("save_to_drive works on Colab. Here progress is kept on this machine already.")
        return
    drive.mount("/content/drive")
    home = Path("/content/drive/MyDrive") / runtime.DISTRIBUTION
    home.mkdir(parents=True, exist_ok=True)
    os.environ["COURSE_HOME"] = str(home)
