"""What a classifier's answers are worth: accuracy, F1 and Matthews' coefficient, with intervals.

All three are computed from one table, which counts how often each class was taken for each. So none
is ever a mean over batches, which for batches of unequal size is another number.
"""

from typing import NamedTuple

import numpy as np
from keras import ops

LEVEL_Z = 1.959963984540054  # 95% of a normal distribution lie within so many deviations
RESAMPLES = 2000
TINY = 1e-6  # below it float32's shares are 0 but for their last digits


class Figure(NamedTuple):
    """A number and the 95% interval around it."""

    value: float
    low: float
    high: float

    def __str__(self):
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def confusion_matrix(labels, predictions, num_labels):
    """How often class i was taken for class j.

    Args:
        labels, predictions: integer arrays `(rows,)`.
        num_labels: number of classes.

    Returns:
        Integer array `(num_labels, num_labels)`; entry `[i, j]` counts rows of class i that were
        said to be j.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape or labels.ndim != 1:
        raise ValueError(
            f"labels {labels.shape} and predictions {predictions.shape}: expected as many of both, "
            "one number a row."
        )
    cells = np.ravel_multi_index((labels, predictions), (num_labels, num_labels))
    return np.bincount(cells, minlength=num_labels**2).reshape(num_labels, num_labels)


def figures(confusion):
    """Accuracy, F1 and Matthews' coefficient of confusion matrices.

    With two classes F1 is that of class 1; with more it is the mean of each class' (macro). Where
    a quotient is 0 / 0, as Matthews' if only one class is ever said, it is 0.

    Args:
        confusion: `(..., classes, classes)`, a tensor or an array.

    Returns:
        {"accuracy", "f1", "matthews"}: float32 tensors `(...)`.

    Reference: Matthews 1975; Gorodkin 2004 for more than two classes.
    """
    confusion = ops.cast(confusion, "float32")
    total = ops.sum(confusion, axis=(-2, -1), keepdims=True)
    shares = confusion / ops.maximum(total, 1.0)
    hits = ops.diagonal(shares, axis1=-2, axis2=-1)  # (..., classes)
    real, said = ops.sum(shares, axis=-1), ops.sum(shares, axis=-2)
    accuracy = ops.sum(hits, axis=-1)
    each = ops.where(real + said > TINY, 2 * hits / ops.maximum(real + said, TINY), 0.0)
    f1 = each[..., 1] if confusion.shape[-1] == 2 else ops.mean(each, axis=-1)
    covariance = accuracy - ops.sum(real * said, axis=-1)
    matthews = covariance
    for share in (real, said):
        spread = ops.sum(share * (1 - share), axis=-1)
        matthews = ops.where(spread > TINY, matthews / ops.sqrt(ops.maximum(spread, TINY)), 0.0)
    return {"accuracy": accuracy, "f1": f1, "matthews": matthews}


def wilson(hits, rows):
    """The 95% interval of a share, by Wilson's score; it never leaves [0, 1].

    Args:
        hits: how many of the rows.
        rows: all of them, at least one.

    Reference: Wilson 1927; Brown, Cai and DasGupta 2001 on why not the textbook's.
    """
    share, z2 = hits / rows, LEVEL_Z**2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = LEVEL_Z / (1 + z2 / rows) * (share * (1 - share) / rows + z2 / (4 * rows**2)) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)


def scores(confusion, seed=0):
    """Accuracy, F1 and Matthews' coefficient with 95% intervals.

    Accuracy's interval is Wilson's. The other two have a bootstrap's: 2,000 times as many rows are
    drawn again, with repetition, and the interval holds the middle 95% of what comes out. It says
    how far the test rows' choice moves the figure, not how far another training seed does.

    Args:
        confusion: see `confusion_matrix`.
        seed: of the bootstrap.

    Returns:
        {"accuracy": `Figure`, "f1": `Figure`, "matthews": `Figure`}.

    Raises:
        ValueError: if there are no rows.

    Reference: Efron 1979.
    """
    confusion = np.asarray(confusion)
    rows = int(confusion.sum())
    if not rows:
        raise ValueError("there are no rows to score.")
    # Drawing rows again is drawing their cells again: one multinomial draw each.
    drawn = np.random.default_rng(seed).multinomial(rows, confusion.ravel() / rows, RESAMPLES)
    again = figures(drawn.reshape(RESAMPLES, *confusion.shape))
    found = {}
    for name, value in figures(confusion).items():
        spread = np.quantile(ops.convert_to_numpy(again[name]), [0.025, 0.975])
        interval = wilson(int(np.trace(confusion)), rows) if name == "accuracy" else spread
        found[name] = Figure(float(value), float(interval[0]), float(interval[1]))
    return found
