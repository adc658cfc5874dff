"""What every notebook opens with: the Colab badge and the setup cell, and the settings in them."""

import tomllib
from pathlib import Path

DEFAULTS = {
    "repository": "keras-transformer-course/keras-transformer-course",
    "branch": "main",
    "install": "keras-transformer-course @ git+https://github.com/{repository}@{branch}",
}

BADGE = (
    "[![Open this notebook in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{repository}/blob/{branch}/{path})"
)

SETUP = """\
# Setup: run this cell first. It is the same on a laptop and on Colab (CPU, GPU, TPU).
import os
import subprocess
import sys

try:
    import course.lab
except ImportError:  # a fresh Colab: install the course, leave all that is there as it is
    source = os.environ.get("COURSE_SOURCE", "{install}")
    print("Installing the course. That takes a minute or two.", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "-q", source]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"The course could not be installed from {{source}}.\\n{{done.stderr[-600:]}}\\n"
            "Look at your network connection and run this cell again. Without a network, "
            'set os.environ["COURSE_SOURCE"] to the path of the course or of its wheel.'
        ) from None

from course.lab import check, grade, hint, predict, progress, setup, solution

setup("{lesson}")"""


def settings(root):
    """`[tool.course]` of pyproject.toml: repository, branch, install.

    Args:
        root: the course's folder; without pyproject.toml in it the defaults hold.

    Raises:
        ValueError: naming a setting that does not exist.
    """
    path = Path(root) / "pyproject.toml"
    given = {}
    if path.exists():
        given = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("course", {})
    if unknown := given.keys() - DEFAULTS.keys():
        known = ", ".join(DEFAULTS)
        raise ValueError(f"[tool.course] has {', '.join(sorted(unknown))}; it may have {known}")
    found = DEFAULTS | given
    found["install"] = found["install"].format(**found)
    return found


def badge(root, path):
    """The badge for the notebook at `path`, as markdown."""
    return BADGE.format(path=path, **settings(root))


def setup_cell(root, lesson):
    """The setup cell of a lesson, as code."""
    return SETUP.format(lesson=lesson, install=settings(root)["install"])
