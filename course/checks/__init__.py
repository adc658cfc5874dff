"""What never lives beside a student's code: how exercises are declared, judged and told."""

import functools
import tomllib
from pathlib import Path


@functools.cache
def text_of_checks():
    """What the checks say in every lesson, as the dict of `text.toml`."""
    with open(Path(__file__).parent / "text.toml", "rb") as file:
        return tomllib.load(file)
