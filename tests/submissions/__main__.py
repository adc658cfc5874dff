"""Makes the kept samples again: `python -m tests.submissions`."""

from . import HERE, make_submissions

for path in make_submissions(HERE / "attention", "attention"):
    print(path.relative_to(HERE))
