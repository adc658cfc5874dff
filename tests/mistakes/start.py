"""Answers to the exercise of lesson 00, start: what students write, and what each must be told."""

from functools import partial

import numpy as np
from keras import ops

from . import Catalogue

CATALOGUE = Catalogue()
wrong = partial(CATALOGUE.wrong, "start.double")
right = partial(CATALOGUE.right, "start.double")


@right()
def times_two(x):
    return 2 * x


@right()
def added_to_itself(x):
    return x + x


@right()
def with_ops(x):
    return ops.multiply(x, 2.0)


@right()
def with_numpy(x):
    return np.asarray(x) * 2


@right()
def with_a_loop(x):
    rows = [entry + entry for entry in ops.unstack(x)]
    return ops.stack(rows)


@wrong("squared")
def squared(x):
    return x**2


@wrong("squared")
def squared_by_product(x):
    return x * x


@wrong("unchanged")
def unchanged(x):
    return x


@wrong("halved")
def halved(x):
    return x / 2


@wrong("two-added")
def two_added(x):
    return x + 2


@wrong("not-written")
def not_written(x):
    raise NotImplementedError


@wrong("wrong-type")
def printed_instead_of_returned(x):
    print(2 * x)


@wrong("wrong-type")
def returned_as_text(x):
    return "2x"


@wrong("wrong-type")
def returned_as_list(x):
    return (2 * np.asarray(x)).tolist()


@wrong("wrong-shape")
def only_the_first(x):
    return 2 * x[0]


@wrong("wrong-shape")
def concatenated(x):
    return ops.concatenate([x, x])


@wrong("wrong-dtype")
def in_float64(x):
    return 2 * np.asarray(x, "float64")


@wrong("wrong-arguments")
def two_arguments(x, factor):
    return factor * x


@wrong("exception")
def misspelt(x):
    return 2 * X  # noqa: F821 - the mistake


@wrong("too-slow", seconds=1.0)
def never_ends(x):
    while True:
        x = x + 0


@wrong("unrecognised")
def tripled(x):
    return 3 * x
