"""What a classifier has to beat: logistic regression on a bag of words, in NumPy."""

import re

import numpy as np

from course.fine_tuning.metrics import confusion_matrix, scores


class BagOfWords:
    """Logistic regression: a weight for each word, and a bias; the order of words is lost.

    A word of the second text of a pair is another word than the same one of the first.

    Args:
        shared: whether a word that stands in both texts of a pair is a word more. The sum that a
            bag of words is cannot find this out for itself.
        decay: λ of the penalty λ/2 · ‖weights‖².
        steps: of gradient descent with momentum, on all rows at once.
    """

    def __init__(self, shared=False, decay=0.01, steps=300):
        self.shared, self.decay, self.steps = shared, decay, steps

    def fit(self, examples):
        """Learns from `Examples` of two classes; returns itself."""
        self.words = {}
        for bag in self._bags(examples):
            for word in bag:
                self.words.setdefault(word, len(self.words))
        x, y = self._matrix(examples), np.array(examples.labels, float)
        w, b = np.zeros(x.shape[1]), 0.0
        # Half of the inverse of the largest curvature: such a step does not overshoot.
        rate = 0.5 / (_largest(x) / (4 * len(x)) + self.decay)
        speed, bias_speed = np.zeros_like(w), 0.0
        for _ in range(self.steps):
            error = 1 / (1 + np.exp(-(x @ w + b))) - y  # (rows,)
            speed = 0.9 * speed - rate * (x.T @ error / len(y) + self.decay * w)
            bias_speed = 0.9 * bias_speed - rate * error.mean()
            w, b = w + speed, b + bias_speed
        self.weights, self.bias = w, b
        return self

    def predict(self, examples):
        """The class of each of `Examples`: int array `(rows,)`."""
        return (self._matrix(examples) @ self.weights + self.bias > 0).astype(int)

    def score(self, examples):
        """What it is worth on `Examples`: see `scores`."""
        return scores(confusion_matrix(examples.labels, self.predict(examples), 2))

    def _bags(self, examples):
        for text, pair in zip(examples.texts, examples.pairs or [""] * len(examples), strict=True):
            first, second = (set(re.findall(r"\w+|[^\w\s]", t.lower())) for t in (text, pair))
            bag = {(1, word) for word in first} | {(2, word) for word in second}
            # Sorted: sets of strings come in another order in every process.
            yield sorted(bag | {(3, word) for word in first & second if self.shared})

    def _matrix(self, examples):
        x = np.zeros((len(examples), len(self.words)))
        for row, bag in zip(x, self._bags(examples), strict=True):
            row[[self.words[word] for word in bag if word in self.words]] = 1
        return x


def _largest(x):
    """The largest eigenvalue of xᵀx, by power iteration: a full decomposition takes far longer."""
    direction = np.ones(x.shape[1])
    for _ in range(30):
        direction = x.T @ (x @ direction)
        size = np.linalg.norm(direction)
        direction /= size
    return size
