"""Task 1: which tokens are hidden, and what stands in their places (section 3.1)."""

import math
import re

import numpy as np

SPECIAL = re.compile(r"\[(PAD|UNK|CLS|SEP|MASK|unused\d+)\]")


def mask_tokens(
    ids: np.ndarray,
    draws: np.ndarray,
    special_ids: np.ndarray | list[int],
    mask_id: int,
    vocab_size: int,
    rate: float = 0.15,
    *,
    mask_share: float = 0.8,
    random_share: float = 0.1,
    pad_id: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Hides tokens by numbers that were drawn: behind `[MASK]`, behind another token, or not.

    Args:
        ids: integer array `(batch, length)`.
        draws: float array `(3, batch, length)`, from 0 to below 1. A token is chosen where the
            first is below `rate`. The second says what becomes of it: `[MASK]` below `mask_share`,
            another token in the `random_share` after it, else it stays. The third says which other.
        special_ids: ids that are never chosen, nor put in a token's place.
        mask_id: the id of `[MASK]`.
        vocab_size: number of ids.
        rate: the share that is chosen.
        mask_share: share of the chosen tokens that `[MASK]` hides.
        random_share: share of them that another token hides.
        pad_id: the label where nothing is to be predicted.

    Returns:
        The ids that are shown, and the labels: the id that stood there where a token was chosen.
        Integer arrays `(batch, length)` both.

    Reference: Devlin et al. 2019, section 3.1, task 1, and appendix A.1.
    """
    chosen = (draws[0] < rate) & ~np.isin(ids, special_ids)
    ordinary = np.setdiff1d(np.arange(vocab_size), special_ids)
    other = ordinary[(draws[2] * len(ordinary)).astype(int)]
    hidden = np.where(draws[1] < mask_share + random_share, other, ids)
    hidden = np.where(draws[1] < mask_share, mask_id, hidden)
    return np.where(chosen, hidden, ids), np.where(chosen, ids, pad_id)


class Masking:
    """Chooses tokens to be predicted and hides them: 80 % behind `[MASK]`, 10 % behind another.

    The other 10 % stay as they are, so that the model has to think about every token: it cannot
    know which of those that it sees are to be predicted. Special tokens are never chosen, `[UNK]`
    among them, and never put in a token's place.

    Args:
        tokenizer: a `Tokenizer`.
        rate: the share of a row's tokens that is chosen, rounded to the next whole number, at least
            one.
        whole_words: whether pieces of a word are chosen together. Words are taken in a random order
            while they fit into the same number; one that does not fit is left out.
        mask_share, random_share: of the chosen tokens; the rest stays.

    Call arguments:
        ids: integer array `(rows, length)`.
        rng: a NumPy generator.

    Returns:
        The ids with hidden tokens, `(rows, length)`; the places of those that were chosen, in
        order, `(rows, places)`, and 0 where a row has fewer; the ids that stood there, `(rows,
        places)`, and pad_id where a row has fewer. All int32.

    Reference: Devlin et al. 2019, section 3.1, task 1, and appendix A.1; whole words as in the
    authors' code.
    """

    def __init__(
        self, tokenizer, rate=0.15, *, whole_words=False, mask_share=0.8, random_share=0.1
    ):
        if not 0 < rate < 1 or min(mask_share, random_share) < 0 or mask_share + random_share > 1:
            raise ValueError(
                f"rate = {rate}, mask_share = {mask_share}, random_share = {random_share}: "
                "expected a rate between 0 and 1, and shares of 0 or more that sum to at most 1."
            )
        self.rate, self.whole_words = rate, whole_words
        self.mask_share, self.random_share = mask_share, random_share
        self.mask_id, self.pad_id = tokenizer.mask_id, tokenizer.pad_id
        tokens, bpe = tokenizer.vocabulary, tokenizer.kind == "bpe"
        self.special = np.array([bool(SPECIAL.fullmatch(token)) for token in tokens])
        self.special_ids = np.flatnonzero(self.special)
        self.num_ordinary = len(tokens) - len(self.special_ids)
        continues = [not t.startswith("Ġ") if bpe else t.startswith("##") for t in tokens]
        self.continues = np.array(continues) & ~self.special

    def places(self, length):
        """The most tokens that can be chosen of a row of so many."""
        return math.ceil(self.rate * length)

    def __call__(self, ids, rng):
        chosen = self.choose(ids, rng)  # (rows, length)
        most = self.places(ids.shape[1])
        positions = np.argsort(~chosen, axis=1, kind="stable")[:, :most]  # chosen ones first
        real = np.arange(most) < chosen.sum(axis=1, keepdims=True)  # (rows, places)
        tokens = np.take_along_axis(ids, positions, axis=1)
        # Drawn for the places alone; the first of `draws` says which of them are real.
        kind, other = rng.random(real.shape), rng.integers(0, self.num_ordinary, real.shape)
        draws = np.stack([np.where(real, 0.0, 1.0), kind, (other + 0.5) / self.num_ordinary])
        shown, labels = mask_tokens(
            tokens,
            draws,
            self.special_ids,
            self.mask_id,
            len(self.special),
            self.rate,
            mask_share=self.mask_share,
            random_share=self.random_share,
            pad_id=self.pad_id,
        )
        masked = ids.astype("int32")
        rows, places = np.nonzero(real)
        masked[rows, positions[rows, places]] = shown[rows, places]
        return masked, np.where(real, positions, 0).astype("int32"), labels.astype("int32")

    def choose(self, ids, rng):
        """Which tokens are to be predicted: boolean `(rows, length)`."""
        free = ~self.special[ids]  # (rows, length)
        wanted = free.sum(axis=1)
        wanted = np.where(wanted > 0, np.maximum(np.rint(self.rate * wanted), 1), 0).astype(int)
        noise = np.where(free, rng.random(ids.shape), 2.0)  # what is special comes last
        if not self.whole_words:
            rank = np.argsort(np.argsort(noise, axis=1), axis=1)
            return rank < wanted[:, None]
        before = np.pad(free, ((0, 0), (1, 0)))[:, :-1]  # whether the token before may be chosen
        begins = free & ~(self.continues[ids] & before)
        place = np.arange(ids.shape[1])
        head = np.maximum.accumulate(np.where(begins, place, 0), axis=1)  # of each token's word
        size = np.zeros(ids.shape, int)
        np.add.at(size, (np.arange(len(ids))[:, None], head), free)  # tokens, at a word's head
        words = np.argsort(np.where(begins, noise, 2.0), axis=1)  # heads in a random order
        chosen, total = np.zeros(ids.shape, bool), np.zeros(len(ids), int)
        for word in words.T[: int(begins.sum(axis=1).max(initial=0))]:
            more = size[np.arange(len(ids)), word]
            fits = (more > 0) & begins[np.arange(len(ids)), word] & (total + more <= wanted)
            chosen[fits, word[fits]] = True
            total += np.where(fits, more, 0)
            if (total == wanted).all():
                break
        return free & np.take_along_axis(chosen, head, axis=1)
