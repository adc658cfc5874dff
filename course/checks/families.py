"""Slips that every exercise with the same part can hold, written once.

Each family gives {mistake id: function} or functions for the knob of a reference. An exercise takes
what its own sentences have names for.
"""

import numpy as np


def softmax(scores, axis=-1):
    """Softmax in float64 along one axis."""
    scores = np.asarray(scores, "float64")
    e = np.exp(scores - np.max(scores, axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def log_softmax(scores, axis=-1):
    """The logarithm of softmax in float64."""
    scores = np.asarray(scores, "float64")
    scores = scores - np.max(scores, axis=axis, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=axis, keepdims=True))


def softmax_twice(logits):
    """Log-probabilities of probabilities that are taken for logits."""
    return log_softmax(softmax(logits))


def logarithms_with_epsilon():
    """log(p + epsilon) for the epsilons that are usual: [function of logits]."""
    epsilons = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)
    return [lambda z, e=e: np.log(softmax(z) + e) for e in epsilons]


def clipped_logarithms():
    """log of p held between epsilon and 1, or 1 - epsilon: [function of logits]."""
    epsilons = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15)
    lower = [lambda z, e=e: np.log(np.maximum(softmax(z), e)) for e in epsilons]
    return lower + [lambda z, e=e: np.log(np.clip(softmax(z), e, 1 - e)) for e in epsilons]


def over_all_axes(logits):
    """Log-probabilities of a softmax over everything but the batch."""
    logits = np.asarray(logits, "float64")
    return log_softmax(logits.reshape(len(logits), -1)).reshape(logits.shape)


def over_places(logits):
    """Log-probabilities of a softmax along the places, the last axis but one."""
    return log_softmax(logits, axis=-2)


# Other logarithms than the natural one, of the same probabilities.
OTHER_BASES = (
    lambda z: log_softmax(z) / np.log(2),
    lambda z: log_softmax(z) / np.log(10),
)
