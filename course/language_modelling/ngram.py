"""The baseline of every language model: n-grams with interpolated Kneser-Ney smoothing."""

import math
from collections import Counter, defaultdict

import numpy as np


class KneserNey:
    """Counts of n-grams, smoothed: what came after these tokens, and if nothing did, after fewer.

    Of the highest order it counts how often an n-gram occurs; of lower orders in how many different
    contexts. From each count a discount is taken, and what that leaves is given to the next lower
    order; below the lowest every id is equally likely.

    Args:
        documents: list of lists of ids, each with its start and end.
        vocab_size: number of ids.
        order: n; 5 looks at four tokens before.
        discount: between 0 and 1; None estimates one for each order, n₁ / (n₁ + 2 n₂) from the
            numbers of n-grams that were counted once and twice.

    Reference: Kneser & Ney 1995; Chen & Goodman 1999, "An empirical study of smoothing techniques
    for language modeling", section 4.1.6, equation 4.34.
    """

    def __init__(self, documents, vocab_size, order=5, discount=None):
        if order < 1:
            raise ValueError(f"order = {order}: an n-gram has at least 1 token.")
        self.vocab_size, self.order = vocab_size, order
        counts = [Counter() for _ in range(order + 1)]  # counts[n]: of n-grams
        for document in documents:
            ids = tuple(map(int, document))
            for at in range(1, len(ids)):  # the first id is read, and never asked for
                for n in range(1, min(order, at + 1) + 1):
                    counts[n][ids[at - n + 1 : at + 1]] += 1
        for n in range(order - 1, 0, -1):
            # In how many contexts; what begins a document has none and keeps its count.
            wider = Counter(gram[1:] for gram in counts[n + 1])
            for gram in counts[n]:
                counts[n][gram] = wider[gram] or counts[n][gram]
        self.counts, self.discounts = counts, [0.0] * (order + 1)
        self.totals = [defaultdict(int) for _ in range(order + 1)]
        self.kinds = [defaultdict(int) for _ in range(order + 1)]
        for n in range(1, order + 1):
            once, twice = (sum(c == k for c in counts[n].values()) for k in (1, 2))
            estimated = once / (once + 2 * twice) if once and twice else 0.5
            self.discounts[n] = estimated if discount is None else discount
            for gram, count in counts[n].items():
                self.totals[n][gram[:-1]] += count
                self.kinds[n][gram[:-1]] += 1

    def probability(self, context, token):
        """P(token | context).

        Args:
            context: sequence of ids; the last order - 1 of them count.
            token: an id.
        """
        p = 1 / self.vocab_size
        context = tuple(map(int, context))
        for n in range(1, self.order + 1):
            if n - 1 > len(context):
                break
            before = context[len(context) - n + 1 :]
            total = self.totals[n].get(before, 0)
            if not total:
                break
            left = self.discounts[n] * self.kinds[n][before] / total
            count = self.counts[n].get((*before, int(token)), 0)
            p = max(count - self.discounts[n], 0) / total + left * p
        return p

    def token_nll(self, documents):
        """-log P of each token after the first: a list of arrays, as `scoring.token_nll`."""
        return [
            np.array(
                [
                    -math.log(self.probability(ids[max(0, at - self.order + 1) : at], ids[at]))
                    for at in range(1, len(ids))
                ],
                "float32",
            )
            for ids in documents
        ]
