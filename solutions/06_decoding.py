# ruff: noqa: F821

# %% [markdown]
# # Decoding
#
# After this lesson you can **search** for a good sentence, greedily and with beams, **draw** one at
# random with temperature, top-k and top-p, and **write** it fast, with a key-value cache.
#
# **Time:** 100 minutes, 74 of them for the exercises. **You need:** lesson 02, and logarithms.
#
# **Where it is used:** whenever a model writes: translation (lesson 05), summaries (lesson 10). You
# are here:
#
# ```text
# source ─→ encoder ─→ decoder ─→ logits of the next word ─→ DECODING ─→ sentence
#               (lesson 04)                               (this lesson)
#                          ↑                                  │
#                          └────────── the words so far ──────┘
# ```

# %% [markdown]
# ## 1. The likeliest next word leads astray
#
# A model reads the words so far and gives a probability to every word that may come next. It does not
# give a sentence. Choosing words, one after another, is **decoding**.
#
# The first idea: take the likeliest word each time. Here is a model of sentences of two words, small
# enough to look at all of it.
#
# | first word | | second word |
# |---|---|---|
# | the | 0.6 | man 0.4, dog 0.35, cat 0.25 |
# | a | 0.4 | dog 0.9, man 0.1 |
#
# The probability of a sentence is the product along its way:
#
# $$P(y \mid x) = \prod_{t=1}^{|y|} P(y_t \mid y_{<t},\, x) \qquad (1)$$
#
# | symbol | what it is |
# |---|---|
# | $y$ | the sentence: words $y_1, y_2, \dots$; $\lvert y \rvert$ is its length |
# | $y_{<t}$ | the words before word $t$ |
# | $x$ | what the sentence is about: the source text, or nothing |
#
# So "the man" has the probability 0.6 · 0.4 = 0.24.
#
# **Predict** whether the likeliest words make the likeliest sentence.

# %% predict="decoding.garden_path"

# %%
from course.lab import beam_tree

first = {"the": 0.6, "a": 0.4}
second = {"the": {"man": 0.4, "dog": 0.35, "cat": 0.25}, "a": {"dog": 0.9, "man": 0.1}}
sentences = {(a, b): first[a] * p for a in first for b, p in second[a].items()}
scores = {(word,): p for word, p in first.items()} | sentences
best = max(sentences, key=sentences.get)
beam_tree(
    scores,
    kept=[("the",), ("the", "man")],
    best=best,
    title="Greedy search goes up (blue); the likeliest sentence is below",
    score_name="probability",
)

# %% [markdown]
# "a dog" has 0.36. Greedy search never looks at it: after the first word there is no way back. Such a
# tempting start is called a **garden path**.

# %% [markdown]
# ## 2. Greedy search
#
# **Greedy search** is nevertheless the first thing to try: it costs one call of the model for each
# word, and with a good model it is often good enough. What it needs:
#
# - a **start**: the ids that the model reads first. A translation starts with a start symbol, a story
#   with a **prompt**, the words that it has to continue;
# - an **end**: an id that says "finished";
# - a largest length, for the case that the end does not come.
#
# Sentences are written in batches, and they end at different times. One that has ended is filled up
# with padding, id 0, while the others go on.

# %% [markdown]
# ### Exercise 1: greedy search
#
# Write `greedy_search(step, prompt, end_id, max_length)`.
#
# - `step`: a function. `step(ids)` takes integers (batch, length), the ids so far, as an array or a
#   tensor, and returns logits (batch, vocab) of the next id, a tensor. What it returns depends on
#   *all* ids. No two logits of one sentence are equal.
# - `prompt`: int32 array (batch, prompt_length), without `end_id` and 0. `end_id`, `max_length`:
#   integers ≥ 1.
# - Returns integers (batch, max_length), an array or a tensor: the ids that you wrote, without the
#   prompt; `end_id` where the sentence ends, and 0 in all places after it.
# - It must hold: each sentence ends by itself; the result has `max_length` columns also when all
#   sentences end early.
# - Example: with `prompt = [[2], [3]]`, `end_id = 1`, `max_length = 3`, where the likeliest id after 2 is
#   3, after 3 is 4 and after 4 is 1, the result is `[[3, 4, 1], [4, 1, 0]]`.
# - Of use: `np.array(step(ids))` turns a tensor into an array.
# - Not to be called: the functions of `course.decoding`.

# %%
import keras
import numpy as np
from keras import ops


# %% exercise="decoding.greedy"
def greedy_search(step, prompt, end_id, max_length):
    """The likeliest next id, again and again: (batch, max_length)."""
    ### BEGIN SOLUTION
    ids = np.array(prompt)  # (batch, prompt_length)
    done = np.zeros(len(ids), bool)
    for _ in range(max_length):
        chosen = np.array(step(ids)).argmax(axis=-1)  # (batch,)
        chosen = np.where(done, 0, chosen)
        ids = np.concatenate([ids, chosen[:, None]], axis=1)
        done = done | (chosen == end_id)
    return ids[:, -max_length:]
    ### END SOLUTION


# %%
check(greedy_search)

# %% [markdown]
# Stuck? Run `hint("decoding.greedy")` in a new cell. From here on the lesson uses the course's own
# functions, so that you can read on with an exercise unsolved.
#
# We need a model that writes. The quickest one counts: how often does each word of the course's stories
# follow the two words before it? Where a pair of words is rare, the last word alone decides. Such a
# **trigram model** knows no grammar and no plot, but it has all that decoding needs: a start, logits,
# and mistakes.

# %%
import re

from course import data


def tokens(text):
    return re.findall(r"\w+|[^\w\s]", text.lower())


stories = [tokens(row["text"]) for row in data.load("world-stories", "train")]
names, numbers = np.unique(np.concatenate([["."], *stories]), return_inverse=True)
stream = numbers + 1  # all stories one after another; id 0 is the padding
words = ["", *names]
id_of = {word: i for i, word in enumerate(words)}
vocab = len(words)
print(f"{len(stories):,} stories, {len(stream):,} words, {vocab - 1:,} of them different")

# %%
pair = stream[:-1] * vocab + stream[1:]  # each two neighbours as one number
after_one = np.bincount(pair, minlength=vocab**2).reshape(vocab, vocab) + 1e-3
after_one /= after_one.sum(1, keepdims=True)  # (vocab, vocab): P(next | last word)

frequent, counts = np.unique(pair, return_counts=True)
frequent = frequent[counts >= 8]
row_of = np.tile(np.arange(vocab), vocab)  # for each pair, its row in the table below
row_of[frequent] = vocab + np.arange(len(frequent))
rows = row_of[pair[:-1]]
seen = (rows >= vocab) & (stream[2:] > 0)
place = (rows[seen] - vocab) * vocab + stream[2:][seen]
after_two = np.bincount(place, minlength=len(frequent) * vocab).reshape(-1, vocab)
after_two = after_two / np.maximum(after_two.sum(1, keepdims=True), 1)
mixed = 0.9 * after_two + 0.1 * after_one[frequent % vocab]
table = np.log(np.concatenate([after_one, mixed])).astype("float32")
print(f"{len(table):,} rows of logits, one for each word and each frequent pair")

# %% [markdown]
# The functions of `course.decoding` take any model with two methods:
#
# - `start_cache(inputs, max_length)` makes whatever the model wants to remember;
# - `step(ids, cache, index)` takes the newest ids and that memory, and returns logits and new memory.
#
# Our model remembers one word, the one before the newest. A Transformer remembers keys and values:
# that is section 6.


# %%
class TrigramModel(keras.layers.Layer):
    """Logits from the last two words."""

    def __init__(self):
        super().__init__()
        self.row_of = keras.Variable(row_of, dtype="int32", trainable=False)
        self.table = keras.Variable(table, trainable=False)

    def start_cache(self, prompts, max_length):
        return ops.full((ops.shape(prompts)[0], 1), id_of["."], "int32")  # the word before

    def step(self, ids, cache, index):
        ids = ids if len(ids.shape) == 2 else ids[:, None]  # (batch, how many are new)
        last_two = ops.concatenate([cache, ops.cast(ids, cache.dtype)], axis=1)[:, -2:]
        row = ops.take(self.row_of, last_two[:, 0] * vocab + last_two[:, 1])
        return ops.take(self.table, row, axis=0), last_two[:, 1:]


model = TrigramModel()


def encode(*texts):
    return np.array([[id_of["."], *map(id_of.get, tokens(text))] for text in texts], "int32")


def decode(ids):
    return " ".join(words[i] for i in np.array(ids) if i)


# %%
from course import decoding

prompts = encode("she", "then")
for ids in decoding.greedy(model, prompts, max_length=25, end_id=id_of["."]):
    print("greedy:", decode(ids))

# %% [markdown]
# ## 3. Beams
#
# Looking at all sentences is impossible: with 1,500 words there are $1500^{10}$ sentences of ten words.
# **Beam search** keeps a few: the $k$ likeliest beginnings, the **beams**. In each round
#
# 1. every beam is continued with every word;
# 2. of all these continuations, the $k$ likeliest stay.
#
# Products of many probabilities become too small for a computer, so we add logarithms:
#
# $$\log P(y \mid x) = \sum_{t=1}^{|y|} \log P(y_t \mid y_{<t},\, x) \qquad (2)$$
#
# By hand, with $k = 2$, on the tree above. Round 1 keeps "the" (log 0.6 = −0.51) and "a" (log 0.4 =
# −0.92). Round 2:
#
# | beam | its score | man | dog | cat |
# |---|---|---|---|---|
# | the | −0.51 | −0.51 − 0.92 = −1.43 | −0.51 − 1.05 = −1.56 | −0.51 − 1.39 = −1.90 |
# | a | −0.92 | −0.92 − 2.30 = −3.22 | −0.92 − 0.11 = **−1.02** | |
#
# The best two are "a dog" (−1.02) and "the man" (−1.43). The garden path is passed, for twice the work.
# Here each beam has one child left; in general one may have two of them and another none.

# %% [markdown]
# ### Exercise 2: the best continuations
#
# Write one round: `best_continuations(log_probs, scores, k)`.
#
# - `log_probs`: float32 array (beams, vocab): row $b$ holds log P of each next id after beam $b$.
#   `scores`: float32 array (beams,): log P of each beam; `-np.inf` for one that is out of the race.
#   `k`: an integer ≤ beams · vocab.
# - Returns three arrays (or tensors) of shape (k,), for the k continuations with the largest log P, the
#   largest first: the `parents` (which beam each one continues), the `ids` (with what), and their
#   `scores`, log P of the whole continuation. No two that can be among the best are equal.
# - Example: log_probs `[[-0.9, -1.1, -1.4], [-2.3, -0.1, -3.0]]`, scores `[-0.5, -0.9]`, k = 2: parents
#   `[1, 0]`, ids `[1, 0]`, scores `[-1.0, -1.4]`.
# - Of use: `np.argsort(x, axis=None)` gives the places of the *flattened* array, in rising order.
# - Not to be called: the functions of `course.decoding`.


# %% exercise="decoding.continuations"
def best_continuations(log_probs, scores, k):
    """The k best continuations of all beams: parents, ids, scores, (k,) each."""
    ### BEGIN SOLUTION
    total = scores[:, None] + log_probs  # (beams, vocab)
    best = np.argsort(-total, axis=None)[:k]  # (k,): places in the flat table
    parents, ids = best // total.shape[1], best % total.shape[1]
    return parents, ids, total[parents, ids]
    ### END SOLUTION


# %%
check(best_continuations)

# %% [markdown]
# ## 4. Length
#
# Sentences end at different lengths, and comparing them is the delicate part. Each word adds a negative
# number to (2). So log P prefers **short** sentences, however good the long ones are. By hand:
#
# | sentence | log P | $\lvert y \rvert$ | log P / $\lvert y \rvert$ |
# |---|---|---|---|
# | no . | −2.0 | 2 | −1.0 |
# | no , she had a dog . | −4.2 | 7 | **−0.6** |
#
# The first wins by log P, the second per word. So finished sentences are compared by
#
# $$\text{score}(y) = \frac{\log P(y \mid x)}{|y|^{\alpha}} \qquad (3)$$
#
# where $|y|$ counts the words that were written, the end included and the start not. With the **length
# penalty** $\alpha = 0$ nothing is divided; $\alpha = 1$ is the mean of a word. (The name is odd: a
# larger $\alpha$ favours *longer* sentences. Wu et al. 2016, section 7, divide by another function of
# the length. This one is the commonest.)
#
# A sentence that has ended must be taken out of the race and kept apart. If not, it is continued after
# its end, or pushed out by beginnings whose worst part is still to come.

# %% [markdown]
# ### Exercise 3: repair a beam search
#
# A colleague's beam search runs, and its sentences are strange: they go on after their end, and with
# more beams they get worse. Repair `beam_search(step, start_id, end_id, num_beams, max_length, alpha)`.
#
# - `step`: as in exercise 1, called with integers (beams, length). `start_id`, `end_id`, `num_beams`,
#   `max_length`: integers. `alpha`: a float ≥ 0.
# - In each round all beams are continued with all ids, and the best `num_beams` of these continuations
#   by log P are parted: those that end with `end_id` are finished and kept apart, the others are the
#   beams of the next round. Ended sentences are not replaced in that round: the next starts with fewer beams, and
#   again keeps the best `num_beams` of their continuations.
# - The search ends after `max_length` rounds, or when no beams are left. Beams that have not ended by
#   then compete with the finished sentences.
# - Returns two values for the sentence with the largest score (3): its ids as an array (length,),
#   without the start, with the end if it has one; and that score, a number.
# - Example: for the tree of section 1, with every sentence ending after two words, `num_beams = 2` and
#   `alpha = 0`, the result is the ids of "a", "dog" and the end, and −1.02.
# - Not to be called: the functions of `course.decoding`.


# %% exercise="decoding.beam"
def beam_search(step, start_id, end_id, num_beams, max_length, alpha):
    """The best sentence that the beams find, and its score."""
    ### BEGIN SOLUTION
    beams, finished = [([start_id], 0.0)], []
    for _ in range(max_length):
        logits = np.array(step(np.array([ids for ids, _ in beams])), "float64")
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))  # (beams, vocab)
        continuations = [
            ([*ids, following], log_p + row[following])
            for (ids, log_p), row in zip(beams, log_probs)
            for following in range(len(row))
        ]
        best = sorted(continuations, key=lambda beam: -beam[1])[:num_beams]
        finished += [beam for beam in best if beam[0][-1] == end_id]
        beams = [beam for beam in best if beam[0][-1] != end_id]
        if not beams:
            break
    score, ids = max((p / (len(ids) - 1) ** alpha, ids) for ids, p in finished + beams)
    return np.array(ids[1:]), score
    # ~ beams = [([start_id], 0.0)]
    # ~ for _ in range(max_length):
    # ~     logits = np.array(step(np.array([ids for ids, _ in beams])), "float64")
    # ~     log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))  # (beams, vocab)
    # ~     continuations = [
    # ~         ([*ids, following], log_p + row[following])
    # ~         for (ids, log_p), row in zip(beams, log_probs)
    # ~         for following in range(len(row))
    # ~     ]
    # ~     beams = sorted(continuations, key=lambda beam: -beam[1])[:num_beams]
    # ~ ids, log_p = beams[0]
    # ~ return np.array(ids[1:]), log_p
    ### END SOLUTION


# %%
check(beam_search)

# %% [markdown]
# The library's search does the same for many sentences at once, in one compiled loop. It differs in one
# thing: it fills the beams up after some have ended, as Hugging Face's `generate` does, so that $k$
# beginnings are always alive. Without a source, it continues prompts:

# %%
for alpha in (0.0, 1.0):
    found, scores = decoding.beam_search(
        model, prompts, max_length=25, end_id=id_of["."], num_beams=4, length_penalty=alpha
    )
    for ids, score in zip(found, scores):
        print(f"α = {alpha:.0f}, score {float(score[0]):6.2f}: {decode(ids[0])}")

# %% [markdown]
# Three rounds of a search with three beams, drawn. Bold beginnings stay; of the others, the best are
# shown in grey.


# %%
def look(prompt, num_beams, rounds):
    """Scores of the beginnings that each round looks at, and those that it keeps."""
    beams, scores, kept = {(): 0.0}, {}, []
    for _ in range(rounds):
        found = {}
        for path, log_p in beams.items():
            last_two = [*prompt, *map(id_of.get, path)][-2:]
            logits = table[row_of[last_two[0] * vocab + last_two[1]]]  # (vocab,): they are log P
            for i in np.argsort(-logits)[:3]:
                found[*path, str(words[i])] = log_p + float(logits[i])
        best = sorted(found, key=found.get, reverse=True)
        scores |= {path: found[path] for path in best[: num_beams + 2]}
        kept += best[:num_beams]
        beams = {path: found[path] for path in best[:num_beams]}
    return scores, kept


scores, kept = look(prompts[0], num_beams=3, rounds=3)
beam_tree(
    scores,
    kept,
    best=kept[-3],
    root="she",
    title="Three rounds with three beams: bold stays, grey goes",
    score_name="log probability",
)

# %% [markdown]
# **Predict** what more beams do.

# %% predict="decoding.wider"

# %%
from course.lab import curves

held_out = [tokens(row["text"]) for row in data.load("world-stories", "test")]
known = [t[:2] for t in held_out if t[0] in id_of and t[1] in id_of][:60]
beginnings = encode(*map(" ".join, known))  # 60 stories' first two words
widths, lengths = [1, 4, 16], {0.0: [], 1.0: []}
for alpha, mean_lengths in lengths.items():
    for width in widths:
        settings = {"num_beams": width, "length_penalty": alpha}
        found, _ = decoding.beam_search(
            model, beginnings, max_length=25, end_id=id_of["."], **settings
        )
        mean_lengths.append((np.array(found[:, 0]) > 0).sum(-1).mean())
curves(
    widths,
    {f"α = {alpha:.0f}": values for alpha, values in lengths.items()},
    xlabel="number of beams",
    ylabel="words in a sentence, mean",
    title="Without a length penalty, more beams find shorter sentences",
    logx=True,
    ylim=(0, None),
)

# %% [markdown]
# Without division, a wider search finds what (2) likes best: little. This is known from large
# translation models, too. With very many beams the best-scoring sentence can be the *empty* one (Stahlberg
# and Byrne 2019), and quality falls past a handful of beams (Koehn and Knowles 2017, section 3.6). So a
# search that finds less of what the model likes can be the better one: the model's probabilities are not
# quality. In practice: 4 to 5 beams, and $\alpha$ between 0.6 and 1, chosen on validation data.

# %% [markdown]
# ## 5. Drawing at random
#
# For a translation we want *the* sentence. For a story, a likely sentence is a dull one, and the same
# each time. There one **samples**: each next word is drawn at random, as often as its probability says.
#
# The trouble is the tail. A thousand words with 0.0002 each have 0.2 together: every fifth word is a
# bad one. Three remedies change the distribution before the draw.
#
# **Temperature** divides the logits by $T$ before the softmax:
#
# $$p_i = \frac{\exp(z_i / T)}{\sum_j \exp(z_j / T)} \qquad (4)$$
#
# where $z_i$ is the logit of word $i$. By hand, for the logits 2, 1, 0:
#
# | $T$ | logits / T | probabilities |
# |---|---|---|
# | 0.5 | 4, 2, 0 | 0.87, 0.12, 0.02 |
# | 1 | 2, 1, 0 | 0.67, 0.24, 0.09 |
# | 2 | 1, 0.5, 0 | 0.51, 0.31, 0.19 |
#
# **Predict.**

# %% predict="decoding.cold"

# %%
for temperature in (0.5, 1.0, 2.0):
    probabilities = ops.softmax(np.array([2.0, 1.0, 0.0]) / temperature)
    print(f"T = {temperature}:", ops.convert_to_numpy(probabilities).round(2))

# %% [markdown]
# **Top-k** (Fan et al. 2018) keeps the $k$ likeliest words. With $k = 2$ the row for $T = 1$ becomes 0.665
# and 0.245, divided by their sum 0.910: 0.73, 0.27, 0.
#
# The same $k$ is too large where one word is certain, and too small where hundreds are possible. **Top-p**,
# or nucleus sampling (Holtzman et al. 2020), adapts: it keeps the *fewest* of the likeliest words that
# together reach the probability $p$. The word that crosses $p$ belongs to them. By hand, for 0.67, 0.24,
# 0.09:
#
# | $p$ | sums 0.67, 0.91, 1 | kept |
# |---|---|---|
# | 0.6 | the first reaches it | 1 word |
# | 0.7 | the second crosses it | 2 words: 0.73, 0.27, 0 |
# | 0.95 | the third crosses it | all 3 |
#
# Used together, the order is: temperature, then top-k, then top-p of what is left (its sum made 1 again).

# %% [markdown]
# ### Exercise 4: temperature, top-k, top-p
#
# Write `next_distribution(logits, temperature=1.0, k=None, p=None)`.
#
# - `logits`: float32 array (batch, vocab). `temperature`: a float > 0, 0.001 too. `k`: an integer from 1 to vocab,
#   or None: keep all. `p`: a float, 0 < p < 1, or None: keep all.
# - Returns an array or a tensor of floats (batch, vocab): the probabilities with which the next id is
#   drawn, after temperature, top-k and top-p in this order. Each row sums to 1; what is left out has 0.
# - It must hold: `logits` stays as it is; every id stays in its place; each row is filtered by itself; the id that crosses $p$ is
#   kept, so that at least one is. No two logits of a row are equal.
# - Example: `next_distribution(np.array([[0.0, 2.0, 1.0]]), p=0.7)` is `[[0, 0.73, 0.27]]`.
# - Of use: a logit of `-np.inf` has probability 0; `np.cumsum` adds up from left to right.
# - Not to be called: the functions of `course.decoding`.


# %% exercise="decoding.filtered"
def next_distribution(logits, temperature=1.0, k=None, p=None):
    """Temperature, top-k, top-p: probabilities (batch, vocab)."""
    ### BEGIN SOLUTION
    z = logits / temperature
    if k is not None:
        smallest = np.sort(z, axis=-1)[:, -k][:, None]  # (batch, 1): the k-th largest
        z = np.where(z >= smallest, z, -np.inf)
    if p is not None:
        falling = -np.sort(-z, axis=-1)  # (batch, vocab)
        q = np.array(ops.softmax(falling, axis=-1))
        keep = np.cumsum(q, axis=-1) - q < p  # what the likelier ones have is not enough yet
        smallest = np.where(keep, falling, np.inf).min(axis=-1, keepdims=True)
        z = np.where(z >= smallest, z, -np.inf)
    return ops.softmax(z, axis=-1)
    ### END SOLUTION


# %%
check(next_distribution)

# %% [markdown]
# The same prompt, continued in five ways. The seed is fixed: the same seed gives the same sentences.

# %%
ways = {
    "plain": {},
    "temperature 0.5": {"temperature": 0.5},
    "temperature 2": {"temperature": 2.0},
    "top-k 10": {"top_k": 10},
    "top-p 0.8": {"top_p": 0.8},
}
twice = encode("on saturday", "on saturday")
for way, settings in ways.items():
    found = decoding.sample(
        model, twice, max_length=20, end_id=id_of["."], seed=3, suppress_ids=(0,), **settings
    )
    for ids in found:
        print(f"{way:16} on saturday {decode(ids)}")

# %% [markdown]
# What do the remedies cost? We draw 500 sentences in each way and count two things: how many of the
# words are *rare* where they stand (probability below 1 % after the two words before), and how many
# different sentences there are.

# %%
start = encode("on saturday")[0]
many = np.tile(start, (500, 1))
print(f"{'':16} rare words   different sentences")
for way, settings in ways.items():
    found = np.array(
        decoding.sample(
            model, many, max_length=20, end_id=id_of["."], seed=0, suppress_ids=(0,), **settings
        )
    )
    text = np.concatenate([many, found], axis=1)  # (500, 3 + 20)
    rows = row_of[text[:, 1:-1] * vocab + text[:, 2:]]  # of each two neighbours
    log_p = table[rows[:, :-1], text[:, 3:]]  # (500, 20): of each word that was drawn
    rare = (log_p < np.log(0.01))[found > 0].mean()
    different = len({tuple(row) for row in found.tolist()}) / len(found)
    print(f"{way:16} {rare:10.1%}   {different:19.1%}")

# %% [markdown]
# Low temperature, top-k and top-p all trade variety for safety; none is free. Temperature 2 does the opposite.
#
# **Repetition.** Likely text goes round in circles. Our model must do so in greedy search: once the same two
# words come again, so does everything after them. Large models, which see far more than two words, do it
# as well (Holtzman et al. 2020, section 4). The **repetition penalty** (Keskar et al. 2019, section 4.1) divides the logit of every
# word that is already there by $\theta$, for example 1.2. A negative logit is multiplied by it instead,
# since dividing would bring it nearer to 0, and so help the word. Our logits are log-probabilities, all
# negative: a word with log P = −1 that has been used gets −1.2.

# %%
endless = encode("on saturday")
for penalty in (1.0, 1.3):
    ids = decoding.greedy(model, endless, max_length=150, end_id=-1, repetition_penalty=penalty)
    text = decode(ids[0])
    print(f"θ = {penalty}: “a storm came” {text.count('a storm came')} times; … {text[-160:]}\n")

# %% [markdown]
# The first circle is broken, and in its place another phrase may come again. Where the model is sure, log P is
# near 0, and 1.3 times nearly nothing is nearly nothing. On a network's logits, which can be large and
# positive, the same $\theta$ does more. So a good $\theta$ for one model says little about the next. It also
# punishes "the" and the full stop, which have to come again: use it sparingly, and not in translation.

# %% [markdown]
# ## 6. The key-value cache
#
# Each round reads the ids so far and needs the logits after the last one. The simple loop puts all ids
# through the model again. For $n$ words it puts 1 + 2 + … + $n$ = $n(n+1)/2$ of them through all layers:
# for 5 words 15 instead of 5, for 100 words 5,050 instead of 100.
#
# That is not needed. In a decoder no word sees a later one (lesson 02's causal mask), so what was
# computed for the earlier words does not change. And the new word needs only two things of them: their
# **keys** and **values** in each layer. The **key-value cache** keeps these. One round then puts *one*
# word through the layers: its query meets the keys in the cache, its own key and value are added.
#
# By hand, with one layer and $d = 1$: the cache holds the keys 1, 0 and the values 10, 20. The third word
# has query 1, key 1, value 60. After writing, the keys are 1, 0, 1 and the values 10, 20, 60. The scores are
# 1 · 1, 1 · 0, 1 · 1 = 1, 0, 1, the weights 0.42, 0.16, 0.42, and the output is 4.22 + 3.11 + 25.34 = 32.67.
#
# A compiled loop cannot use arrays that grow. So the cache has its full length from the start, word $t$
# (counted from 0) is written into **row $t$**, and a mask hides the rows after $t$.

# %% [markdown]
# ### Exercise 5: repair a cache
#
# This step of attention runs, and its first word is already wrong. Repair `attend_with_cache(query,
# key, value, key_cache, value_cache, t)`.
#
# - `query`, `key`, `value`: float32 arrays (d,), of the new word. `key_cache`, `value_cache`: float32
#   arrays (max_length, d). Rows 0 to t − 1 hold the words before; the rows after them hold whatever an
#   earlier sentence left there. `t`: an integer, 0 ≤ t < max_length, the place of the new word.
# - Returns three arrays (or tensors): the output (d,), softmax(q · k / √d) over rows 0 to t, the new word
#   included, times the values; and the two caches with the new word in row t, (max_length, d) each. The
#   other rows stay.
# - It must hold: the arrays that are passed in are not changed; the first and the last place work.
# - Example: `attend_with_cache` of the numbers above, with d = 1 and t = 2, gives the output `[32.7]`.


# %% exercise="decoding.cache"
def attend_with_cache(query, key, value, key_cache, value_cache, t):
    """One step of attention: the output, and the caches with the new word."""
    ### BEGIN SOLUTION
    key_cache, value_cache = key_cache.copy(), value_cache.copy()
    key_cache[t], value_cache[t] = key, value
    scores = key_cache @ query / len(query) ** 0.5  # (max_length,)
    scores[t + 1 :] = -np.inf
    weights = np.exp(scores - scores.max())
    weights /= weights.sum()
    return weights @ value_cache, key_cache, value_cache
    # ~ key_cache, value_cache = key_cache.copy(), value_cache.copy()
    # ~ row = min(t + 1, len(key_cache) - 1)
    # ~ key_cache[row], value_cache[row] = key, value
    # ~ scores = key_cache @ query / len(query) ** 0.5  # (max_length,)
    # ~ weights = np.exp(scores - scores.max())
    # ~ weights /= weights.sum()
    # ~ return weights @ value_cache, key_cache, value_cache
    ### END SOLUTION


# %%
check(attend_with_cache)

# %% [markdown]
# Does a cache change the result? It must not. `course.transformer.Transformer` has both ways; here with
# random weights:

# %%
from course.transformer import Transformer

keras.utils.set_random_seed(0)
transformer = Transformer(2, 32, 4, 64, source_vocab_size=50, target_vocab_size=50)
source = np.random.default_rng(0).integers(4, 50, (3, 7)).astype("int32")
with_cache = decoding.greedy(transformer, source, max_length=8, start_id=1, end_id=2)

ids = np.ones((3, 1), "int32")
for _ in range(8):
    logits = transformer((source, ids))[:, -1]  # everything again for each word
    ids = np.concatenate([ids, np.array(ops.argmax(logits, axis=-1))[:, None]], axis=1)
print("the same ids:", bool((np.array(with_cache) == ids[:, 1:]).all()))

# %% [markdown]
# **Predict** what one more word costs.

# %% predict="decoding.cache"

# %% [markdown]
# These figures come from a run that is kept with the course, with its command: the time of one more id
# after so many others, for 16 sentences at once.

# %%
from course.lab import recorded

run = recorded("decoding_speed")
print(run["command"])
print(run["hardware"])
before, cached, uncached = (run[n] for n in ("ids_before", "with_cache_ms", "without_cache_ms"))
curves(
    before,
    {"without a cache": uncached, "with a cache": cached},
    xlabel="ids before it",
    ylabel="time of one more id (ms)",
    title=f"After {before[-1]} ids, one more takes {uncached[-1] / cached[-1]:.0f} times as long "
    "without a cache",
    logx=True,
    logy=True,
)

# %% [markdown]
# The cache is paid for in memory: 2 (keys and values) · layers · $d_\text{model}$ · length numbers for each
# sentence *and each beam*. A translator's decoder keeps as much again for cross-attention, with the length of
# the source; that part is written once and only read. With 24 layers, $d_\text{model}$ = 1,024 and 2,048 words in 16 bits that is
# 2 · 24 · 1,024 · 2,048 · 2 bytes = 201 MB for one sentence of a language model. Large models let several
# query heads share one key and value head, **grouped-query attention** (Ainslie et al. 2023), and keep a
# fraction of that. After each round of a beam search its rows must
# also follow their beams, since a beam may have two children.

# %% [markdown]
# ## 7. On real sentences
#
# A Transformer of 4 + 4 layers that has learned to translate Multi30k's captions writes captions that it has not
# seen. Hugging Face's Marian got the same weights and wrote the same ids, greedily and with beams
# (`tests/test_decoding.py` proves that it does; the line below says for how many sentences it did here).

# %%
trained = recorded("decoding_trained")
print(trained["command"])
print(trained["hardware"])
print(f"{trained['sentences']} sentences of {trained['data']}; weights: {trained['weights']}")
for way, result in trained["speed"].items():
    print(f"{way:24} {result['sentences_per_second']:8.1f} sentences a second")
for search in ("greedy", "beam 4"):
    ours, theirs = (trained["speed"][f"{search}, {whose}"] for whose in ("ours", "Marian"))
    print(
        f"{search}: {theirs['same_ids']:.0%} of the sentences have the same ids; "
        f"{ours['mean_ids']} ids each, {ours['never_ended']} end only at {trained['length']}"
    )

# %% [markdown]
# Three things to see. Four beams cost about twice as much as greedy search, here and in Marian, and not four
# times: the beams of a sentence are rows of one batch. Without a cache all is slower, most of all one sentence at
# a time, as tutorials have it.
#
# And why is one library faster than the other with the same weights and ids? **Sentences end at different times.**
# Most are done after a dozen ids, a few need many more, and in greedy search one never ends. Marian goes on
# computing for all until the last is done. Our search takes those that are done out of the batch. Where no sentence
# ends, nothing can be taken out; that is the next comparison, with random weights that never choose the end:

# %%
for way in ("greedy, ours", "greedy, Marian", "beam 4, ours", "beam 4, Marian"):
    print(f"{way:24} {run['speed'][way]['sentences_per_second']:8.1f} sentences a second")

# %% [markdown]
# To repeat it on your machine, run the command above in a clone of the course. `COURSE_DATA` names a folder
# that holds `multi30k/`; without it, and without a network, the embedded sentences are used.

# %% [markdown]
# ## 8. What goes wrong in practice
#
# | symptom | likely cause | how to find it |
# |---|---|---|
# | more beams give shorter, worse translations | log P is compared without a length penalty | print the mean length for 1, 4 and 16 beams |
# | training looked fine, and every translation is wrong from the first word on | the cache is written one row late, or read one row short | compare the cached logits with one whole pass, place by place |
# | a batch gives other text than each sentence alone | a sentence is written on after its end, or padding of the prompt is looked at | write three sentences alone and together, and compare |

# %% [markdown]
# ## 9. Remember
#
# 1. A model gives probabilities of the next word. Decoding turns them into a sentence, and changes what you
#    get as much as training does.
# 2. Greedy search takes the likeliest word and can miss the likeliest sentence. Beam search keeps $k$
#    beginnings.
# 3. log P prefers short sentences: divide by $|y|^\alpha$, and keep finished sentences apart.
# 4. Temperature divides logits. Top-k keeps $k$ words, top-p the fewest that reach $p$, the one that crosses
#    it included.
# 5. With a key-value cache, one word goes through the layers in each round. Word $t$ goes into row $t$.
#
# **Go further.** Wu et al. 2016, *Google's Neural Machine Translation System*, section 7. Koehn and Knowles
# 2017, *Six Challenges for Neural Machine Translation*, section 3.6. Stahlberg and Byrne 2019, *On NMT Search
# Errors and Model Errors*. Holtzman et al. 2020, *The Curious Case of Neural Text Degeneration*. Fan et al.
# 2018, *Hierarchical Neural Story Generation*. Keskar et al. 2019, *CTRL*, section 4.1.
#
# **In the library.** `course/decoding/` holds what you built, for batches, compiled, on TensorFlow and JAX.
# Your points:

# %%
progress("decoding")
