# ruff: noqa: F821

# %% [markdown]
# # Pretraining
#
# After this lesson you can **prepare** plain text so that it asks its own questions, **repair and count**
# BERT, the model that answers them, and **judge** whether a training run has learned to read or only how
# often each word occurs.
#
# **Time:** 120 minutes, 74 of them for the exercises. **You need:** lessons 01, 04 and 05.
#
# **Where it is used:** lessons 08 and 09 start from the model of this lesson and train it a little further
# for one task. You are here:
#
# ```text
# plain text ─→ PAIRS of texts ─→ HIDDEN tokens ─→ BERT'S ENCODER ─→ two HEADS
#  no labels    [CLS] A [SEP] B     80/10/10       (lesson 04's)   which token?
#                                                            does B follow A?
#                                                                    │
#    a pretrained encoder ←── warm-up, linear decay ←── LOSS at chosen places
#             └─→ fine-tuning (08), questions (09)
# ```

# %% [markdown]
# ## 1. The words on the right
#
# Labels cost money: somebody has to read each text and decide. Text costs nothing. In our small world it is
# the same. Each reader's verdict carries a label; the stories carry none.

# %%
import re
from collections import Counter, defaultdict

import keras
import numpy as np
from keras import ops

from course import data

verdicts = data.load("world-verdicts", "train")
stories, new_stories = (data.load("world-stories", split) for split in ("train", "validation"))


def words(row):
    """The words and marks of a story, between two that say where it begins and ends."""
    return ["<begin>", *re.findall(r"\w+|[^\w\s]", row["text"].lower()), "<end>"]


texts, new_texts = [words(row) for row in stories], [words(row) for row in new_stories]
print(f"{len(verdicts):,} labels, one for each verdict")
print(f"{sum(map(len, texts)):,} words in {len(texts):,} stories, no labels")

# %% [markdown]
# Can plain text ask questions that are worth answering? It can: hide a word, and ask which one it was. A
# model that is good at this has to know which words are names, which verbs need an object, what a market is.
#
# A language model (lesson 10) hides *all* words on the right and asks for the next one. Here is what that
# costs. We fill in hidden words by counting: in all training stories, which word stood most often between
# such neighbours?
#
# **Predict.**

# %% predict="pretraining.both_sides"


# %%
def most_frequent(neighbours):
    """{neighbours: the word that stood there most often}."""
    seen = defaultdict(Counter)
    for text in texts:
        for i in range(2, len(text) - 1):
            seen[neighbours(text, i)][text[i]] += 1
    return {key: counts.most_common(1)[0][0] for key, counts in seen.items()}


before = {"two words before": lambda text, i: (text[i - 2], text[i - 1])}
around = {"one before, one after": lambda text, i: (text[i - 1], text[i + 1])}
for name, neighbours in (before | around).items():
    best = most_frequent(neighbours)
    right = [
        best.get(neighbours(text, i)) == text[i]
        for text in new_texts
        for i in range(2, len(text) - 1)
    ]
    print(f"{name:22} {np.mean(right):.0%} of {len(right):,} words of new stories")

# %% [markdown]
# Take the sentence "Emma took a lantern ▢ ran into the rain." After "a lantern" a full stop is likely. The
# word behind the gap says that it was "and". A model that reads from left to right cannot see it.
#
# Can one take the causal mask away? In lesson 04 we saw what a model does with an answer that it can see: it
# copies it. If every word may look at every other one, the words that are asked for have to be *hidden*. That
# is the idea of **BERT** (Devlin et al. 2019): a **masked language model**. This training without labels is
# called **pretraining**. The labels come later (lesson 08), and fewer of them are needed.

# %% [markdown]
# ## 2. Which tokens are hidden, and how
#
# BERT chooses 15 % of the tokens at random (section 3.1, task 1). They are the ones to be predicted. What
# the model sees in their places:
#
# | share of the chosen | shown | why |
# |---|---|---|
# | 80 % | `[MASK]` | the token has to be found from its neighbours |
# | 10 % | another token, drawn at random | what is visible may be wrong, so the neighbours count there too |
# | 10 % | the token itself | a visible token is mostly right, so it counts too |
#
# Why not hide all of them? Nobody writes `[MASK]` into a text. The model of lesson 08 sees only visible
# tokens, and needs a good vector for each. A model that is asked at `[MASK]` alone never learns to make one.
#
# In numbers, for 100 tokens: 15 are chosen, and of these 12 are hidden, 1.5 are replaced, 1.5 stay. So 88
# tokens are visible, and 1.5 of them are wrong: a visible token is wrong with probability 1.5/88 = 1.7 %.
# But *where a token is asked for* and something is visible, it is wrong every other time.
#
# **Special tokens** (`[CLS]`, `[SEP]`, padding, `[MASK]`, `[UNK]`) are never chosen: they say nothing about
# language. They are never drawn as a replacement either.
#
# By hand. Each token has three random numbers between 0 and 1. The first chooses (below 0.15), the second
# says what is done. The third draws the other token from the list of all ordinary ones; it counts in row 5
# alone, where it draws "bread".
#
# | | token | first | chosen? | second | shown | label |
# |---|---|---|---|---|---|---|
# | 1 | `[CLS]` | 0.08 | special: no | | `[CLS]` | |
# | 2 | emma | 0.61 | no | | emma | |
# | 3 | took | 0.12 | **yes** | 0.35, below 0.8 | `[MASK]` | took |
# | 4 | a | 0.93 | no | | a | |
# | 5 | lantern | 0.04 | **yes** | 0.84, below 0.9 | bread | lantern |
# | 6 | and | 0.33 | no | | and | |
# | 7 | ran | 0.14 | **yes** | 0.97 | ran | ran |
# | 8 | `[SEP]` | 0.02 | special: no | | `[SEP]` | |
#
# Three things to see. The label is always the *original* token. There are labels at chosen places only,
# even where the token is visible. And the decision is made for each token by itself, not for the sentence.

# %% [markdown]
# ### Exercise 1: hide tokens
#
# Write `mask_tokens(ids, draws, special_ids, mask_id, vocab_size, rate=0.15)`. The random numbers are given,
# so that everybody has the same answer.
#
# - `ids`: int32 NumPy array (batch, length). `draws`: float NumPy array (3, batch, length), numbers from 0
#   to below 1. `special_ids`: list of integers, ascending; 0, the id of padding, and `mask_id` are among
#   them. `vocab_size`: there are the ids 0 to `vocab_size − 1`, some of them not special.
# - A token is chosen where `draws[0]` is below `rate` and its id is not in `special_ids`.
# - A chosen token becomes `mask_id` where `draws[1]` is below 0.8; another token where it is 0.8 or more and
#   below 0.9; else it stays. The other token: with the list of all ids that are not special, ascending, and
#   its length $n$, the entry at the whole part of `draws[2]` · $n$. It may be the same token again.
# - Returns two arrays (or lists of rows) of whole numbers, (batch, length) each: the ids that are shown; and
#   the labels, the original id where a token was chosen, 0 elsewhere.
# - It must hold: `ids` stays as it is; no special token is chosen, or drawn; one column works.
# - Example: ids `[[1, 5, 6, 7, 2]]`, special ids `[0, 1, 2, 3]`, `mask_id` 3 and `vocab_size` 8. With
#   `draws[0] = [[0.01, 0.10, 0.60, 0.14, 0.05]]`, `draws[1] = [[0.5, 0.3, 0.9, 0.85, 0.5]]` and 0.5 everywhere
#   in `draws[2]`, the answer is `[[1, 3, 6, 6, 2]]` and `[[0, 5, 0, 7, 0]]`: 5 is hidden, 7 becomes
#   `[4, 5, 6, 7][2]`.
# - Of use: `np.isin(ids, special_ids)`, `np.setdiff1d`, `np.where`, `.astype(int)`. All of NumPy may be used.
# - Not to be called: the classes of `course.pretraining`.


# %% exercise="pretraining.mask"
def mask_tokens(ids, draws, special_ids, mask_id, vocab_size, rate=0.15):
    """The ids that are shown, and the labels: two arrays (batch, length)."""
    ### BEGIN SOLUTION
    chosen = (draws[0] < rate) & ~np.isin(ids, special_ids)
    ordinary = np.setdiff1d(np.arange(vocab_size), special_ids)
    another = ordinary[(draws[2] * len(ordinary)).astype(int)]
    shown = np.where(draws[1] < 0.8, mask_id, np.where(draws[1] < 0.9, another, ids))
    return np.where(chosen, shown, ids), np.where(chosen, ids, 0)
    ### END SOLUTION


# %%
check(mask_tokens)

# %% [markdown]
# Stuck? Run `hint("pretraining.mask")` in a new cell. From here on the lesson uses the course's own
# functions, so that you can read on with an exercise unsolved.
#
# ### In the library
#
# `Masking` draws the numbers itself, and differs in two points, as the authors' code does. It chooses a
# fixed number of tokens of each row (15 %, rounded, at least one). And it returns the *places* of the
# chosen tokens instead of a label for each token: section 4 says why. The vocabulary is that of the small
# BERT that comes with the course.

# %%
from course import checkpoints, pretraining
from course.pretraining import Masking

tokenizer = checkpoints.load_tokenizer(pretraining.world_bert())


def show(ids, places=()):
    """Tokens as text, those at the places in double brackets."""
    tokens = [tokenizer.id_to_token(int(i)) for i in ids]
    return " ".join(f"⟦{t}⟧" if i in places else t for i, t in enumerate(tokens))


text = "Emma took a lantern and ran into the rain. Nobody had expected that on a Thursday."
ids = np.array([tokenizer.encode(text)], "int32")  # (1, length)
masking = Masking(tokenizer, rate=0.3)
for epoch in range(3):
    masked, places, labels = masking(ids, np.random.default_rng(epoch))
    print(f"epoch {epoch + 1}: {show(masked[0], places[0][labels[0] > 0])}")

# %% [markdown]
# (A rate of 30 %, so that there is more to see.) Each time the sentence is read, other tokens are hidden:
# **dynamic masking**. The authors drew ten versions of each text once and kept them; drawing anew is as good
# or slightly better (Liu et al. 2019, section 4.1) and costs nothing.
#
# A word that the vocabulary does not have is cut into pieces, and one hidden piece is often easy to guess
# from the others. **Whole-word masking** hides all pieces of a word together. A word that has more pieces
# than there is left to choose is passed over:

# %%
ids = np.array([tokenizer.encode("The watchmaker misunderstood the trumpeter.")], "int32")
for whole_words in (False, True):
    masking = Masking(tokenizer, rate=0.5, whole_words=whole_words, mask_share=1, random_share=0)
    masked, _, _ = masking(ids, np.random.default_rng(3))
    print(f"whole_words={whole_words!s:5}  {show(masked[0])}")

# %% [markdown]
# ### What each part is worth
#
# Seven short runs of section 7's one-block model: one as BERT does it, and six with one thing changed, kept with
# the command that made them. All are judged on the same chosen tokens of new verdicts, chosen as BERT does it.
#
# **Predict.**

# %% predict="pretraining.always_mask"

# %%
from course.lab import recorded

parts = recorded("pretraining_parts")
print(parts["command"])
print(parts["hardware"])
print(f"{parts['steps'][-1]} steps, one seed. Right, of the chosen tokens that are …")
print(f"{'run':24}{'loss':>6}{'hidden':>9}{'replaced':>10}{'visible':>9}")
for name in ("all as BERT", "always [MASK]", "5 % chosen", "40 % chosen"):
    run = parts["runs"][name]
    print(
        f"{name:24}{run['loss']:6.2f}{run['hidden']:9.0%}{run['replaced']:10.0%}{run['stayed']:9.0%}"
    )

# %% [markdown]
# The model that saw `[MASK]` at every chosen place is asked for a visible token, and guesses: it is right no
# more often than for hidden ones. BERT's recipe makes it look. In this short run the hidden tokens are found
# more often, too. A likely reason: visible places are the easier questions, and what is learned there helps at
# the hidden ones. The authors compared such recipes on large models after fine-tuning, and found small
# differences only (appendix C.2).
#
# With 40 % chosen, each step has 2.7 times as many questions, and a short run learns faster. **15 % is
# folklore**: the paper gives no reason for it. More hidden tokens are more questions a step and less context
# for each. Wettig et al. 2023 found that 40 % can be better than 15 % for large models, after fine-tuning.

# %% [markdown]
# ## 3. Two texts in a row
#
# Many tasks are about two texts: a question and a passage, two sentences that may mean the same. So BERT
# reads pairs, in one row:
#
# ```text
# tokens   [CLS] did it rain ? [SEP] emma took a lantern . [SEP] [PAD] [PAD]
# segments   0    0   0   0  0   0    1    1   1    1    1   1     0     0
# ```
#
# - `[CLS]` begins each row. Its vector stands for the whole row.
# - `[SEP]` ends each text.
# - **Segment ids** say which text a token belongs to: 0 for `[CLS]`, the first text and its `[SEP]`, 1 for
#   the second text and its `[SEP]`. Padding has 0; nobody looks at it.
#
# A row has room for `max_length` tokens, three of them special. If both texts together are longer than
# `max_length − 3`, something has to go. Cutting the finished row would take the end, that is the second text.
# The authors cut tokens off the *longer* text, one at a time, until it fits. By hand, room for 8 ids: texts
# of 4 and 2 ids have 5 places, so the first loses one. Texts of 9 and 2 ids become 3 and 2; texts of 9 and 7
# ids become 3 and 2 too.

# %% [markdown]
# ### Exercise 2: two texts in one row
#
# Write `pack_pair(first, second, max_length, start_id, end_id, pad_id=0)`.
#
# - `first`, `second`: lists of integers, the ids of two texts, each with one id at least. `max_length`: an
#   integer, 5 or more. `start_id`, `end_id`, `pad_id`: the ids of `[CLS]`, `[SEP]` and padding; none is
#   in a text.
# - Returns the ids and the segment ids of the row: two lists or arrays of `max_length` whole numbers.
# - It must hold: while both texts together have more than `max_length − 3` ids, the *last* id of the longer
#   one is taken off; if they are equally long, that of the second. Padding stands at the end and has
#   segment 0, whatever `pad_id` is. `first` and `second` stay as they are.
# - Example: `pack_pair([11, 12, 13], [21, 22], 9, 1, 2)` is `[1, 11, 12, 13, 2, 21, 22, 2, 0]` and
#   `[0, 0, 0, 0, 0, 1, 1, 1, 0]`. With `max_length` 7 the ids are `[1, 11, 12, 2, 21, 22, 2]`.
# - Not to be called: the classes of `course.pretraining`.


# %% exercise="pretraining.pack"
def pack_pair(first, second, max_length, start_id, end_id, pad_id=0):
    """Ids and segment ids of `[CLS]` first `[SEP]` second `[SEP]`, padded."""
    ### BEGIN SOLUTION
    first, second = list(first), list(second)
    while len(first) + len(second) > max_length - 3:
        longer = first if len(first) > len(second) else second
        longer.pop()
    ids = [start_id, *first, end_id, *second, end_id]
    segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    rest = max_length - len(ids)
    return ids + [pad_id] * rest, segments + [0] * rest
    ### END SOLUTION


# %%
check(pack_pair)

# %% [markdown]
# ### Does the second follow the first?
#
# BERT's second task is **next-sentence prediction** (section 3.1, task 2). A document is cut in two between
# two of its sentences. In half of the rows the second text is the true one (label 0), in the other half one
# from another document (label 1; also where a document has one sentence alone, so here somewhat more). The
# model has to say which, from the vector of `[CLS]`.
#
# `PretrainingBatches` does both tasks: it cuts, exchanges, packs and hides, anew each epoch. "Sentences" are
# whole runs of sentences, as long as a row allows.

# %%
from course.pretraining import Corpus, PretrainingBatches, documents

corpus = Corpus.of(list(documents(["world-stories"]))[:200], tokenizer)
batches = PretrainingBatches(corpus, tokenizer, batch_size=32, max_length=48, seed=1)
(token_ids, segment_ids, places), (labels, next_labels) = batches[0]
for array in (token_ids, segment_ids, places, labels, next_labels):
    print(array.shape, end=" ")
for row in (int(np.argmax(next_labels == label)) for label in (0, 1)):
    said = "it is from elsewhere" if next_labels[row] else "it follows"
    print(f"\n\n{said}:\n{show(token_ids[row], places[row][labels[row] > 0])}")

# %% [markdown]
# What is known about this task: RoBERTa left it out, trained on the rest, and was as good or slightly better
# on most tasks (Liu et al. 2019, section 4.2). One explanation: a text from another document betrays itself
# by its *topic*, and topics are easy. ALBERT (Lan et al. 2020, section 3.1) therefore asks whether two
# consecutive texts were *swapped*. We keep the task, since official BERT checkpoints have it, and because
# `[CLS]` and the segments come with it.

# %% [markdown]
# ## 4. The loss at the chosen places
#
# The encoder gives each place $j$ of row $b$ a vector $h_{bj}$. At the chosen places we want logits (scores)
# for all $V$ ids. BERT uses the token table once more (Press and Wolf 2017): the logit of an id is the
# product of the vector with *that id's embedding*. The table is **tied**; only a bias is new:
#
# $$z_{bj} = E\, h_{bj} + c, \qquad
# L = \frac{1}{|C|} \sum_{(b,j) \in C} -\log \text{softmax}(z_{bj})_{y_{bj}} \qquad (1)$$
#
# | symbol | what it is | shape |
# |---|---|---|
# | $h_{bj}$ | the vector of a place, after the transform of section 5 | ($d_\text{model}$,) |
# | $E$ | the token table: one row for each id | ($V$, $d_\text{model}$) |
# | $c$ | the bias of the logits | ($V$,) |
# | $z_{bj}$ | the logits of the place | ($V$,) |
# | $C$ | the chosen places of the batch, $\lvert C\rvert$ of them | |
# | $y_{bj}$ | the original id, the label | |
#
# By hand: eight tokens, two of them chosen. The model repeats what it sees, so at the six visible places
# "its loss" is 0.01 each. At the two chosen ones it is 4 and 2.
#
# | mean | how | value |
# |---|---|---|
# | over the chosen places | (4 + 2) / 2 | **3** |
# | over all places | (4 + 2 + 6 · 0.01) / 8 | 0.76 |
# | chosen ones, divided by all places | (4 + 2) / 8 | 0.75 |
#
# **Predict** what an accuracy over all tokens says.

# %% predict="pretraining.copy"

# %%
rng, originals, shown, chosen = np.random.default_rng(0), [], [], []
for row in verdicts[:500]:
    ids = np.array([tokenizer.encode(row["text"], special=False)], "int32")  # (1, length)
    masked, places, labels = Masking(tokenizer)(ids, rng)
    originals += ids[0].tolist()
    shown += masked[0].tolist()
    chosen += np.isin(np.arange(ids.size), places[0][labels[0] > 0]).tolist()
same, chosen = np.array(originals) == np.array(shown), np.array(chosen)
print(f"a model that repeats what it sees: right at {same.mean():.0%} of all tokens")
print(f"                                   right at {same[chosen].mean():.0%} of the chosen ones")

# %% [markdown]
# So only chosen places may count. And there is a second reason to pick them out: cost. For base BERT a place's
# logits are $d_\text{model} \cdot V$ = 768 · 30,522 = 23 million multiplications. At 15 % of the places that
# is much less than at all of them. So batches hold **positions**, (batch, places), and the vectors there are
# gathered *before* they meet the table. Rows with fewer chosen tokens than others are filled up: position 0,
# label 0 (the id of padding, which is never a label).

# %% [markdown]
# ### Exercise 3: the loss at the chosen places
#
# Write equation (1) as `masked_lm_loss(sequence, positions, labels, table, bias, pad_id=0)`.
#
# - `sequence`: float32 tensor (batch, length, $d_\text{model}$), the vectors $h$. `positions`: int32 tensor
#   (batch, places), places in the *own* row. `labels`: int32 tensor (batch, places), `pad_id` where a place
#   only fills up. `table`: float32 tensor ($V$, $d_\text{model}$). `bias`: float32 tensor ($V$,). `pad_id`: a
#   Python integer from 0 to $V - 1$.
# - Returns a number or a scalar tensor.
# - It must hold: the mean is over all places of the batch that have a label; whether a place counts is said
#   by its label alone (a position may be 0); with no label at all the loss is 0; another `pad_id` works;
#   logits may be in the hundreds.
# - Example: `sequence = [[[1, 0], [0, 1]]]`, `positions = [[1, 0]]`, `labels = [[2, 0]]`, `table = [[0, 0],
#   [1, 0], [0, 2]]` and a bias of zeros. The vector at place 1 has the logits (0, 0, 2), so the loss is
#   log(1 + 1 + e²) − 2 = 0.24. The second place has no label.
# - Of use: `ops.take_along_axis(sequence, positions[..., None], axis=1)` gathers vectors row by row;
#   `ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)`.
# - Not to be called: the classes of `course.pretraining`.


# %% exercise="pretraining.loss"
def masked_lm_loss(sequence, positions, labels, table, bias, pad_id=0):
    """Equation (1): a scalar."""
    ### BEGIN SOLUTION
    vectors = ops.take_along_axis(sequence, positions[..., None], axis=1)
    logits = ops.matmul(vectors, ops.transpose(table)) + bias  # (batch, places, V)
    losses = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    real = ops.cast(ops.not_equal(labels, pad_id), "float32")  # (batch, places)
    return ops.sum(losses * real) / ops.maximum(ops.sum(real), 1.0)
    ### END SOLUTION


# %%
check(masked_lm_loss)

# %% [markdown]
# ## 5. BERT's encoder
#
# In the middle of BERT are the encoder blocks of lesson 04, post-norm, with three settings of its own: GELU in
# the network, dropout 0.1 everywhere, and $\epsilon = 10^{-12}$ in the normalizations. What is new are its two ends.
#
# ```text
# token ids    segment ids    0, 1, 2, …
#     ↓             ↓              ↓
# token table  segment table  position table
#     └─────────────┼──────────────┘
#                   + ─→ LayerNorm ─→ blocks of lesson 04, padding masked
#                                                │
#         ┌──────────────────────────────────────┴──┐
#  vector of [CLS]                        vectors at chosen places
#    Dense, tanh: pooled                    Dense, GELU, LayerNorm
#    Dense(2): does it follow?              · token tableᵀ + bias: which token?
# ```
#
# **Embeddings.** Three learned tables: a row for each id, for each position (so `max_length` is a hard
# limit, lesson 03), for each of the two segments. They are *added*, then normalized. By hand, with a width
# of 2: token (1, 2), position (1, −1), segment (1, 0). The sum is (3, 1), its mean 2 and its standard
# deviation 1, so LayerNorm gives (1, −1).
#
# **GELU** (Hendrycks and Gimpel 2016) is a smooth ReLU: $x$ times the probability that a normally
# distributed number is smaller than $x$.
#
# $$\text{GELU}(x) = \frac{x}{2}\left(1 + \text{erf}\frac{x}{\sqrt 2}\right) \qquad (2)$$
#
# erf is the error function, a smooth step from −1 to 1. An approximation with tanh is in use as well. At
# $x = 1$ the first gives 0.84134, the second 0.84119: a small difference, and enough for two models to
# disagree after twelve blocks. **A trap in Keras:** `keras.activations.gelu(x)` is equation (2), but
# `ops.gelu(x)` is the approximation, unless you write `approximate=False`. The released BERT weights were
# trained with equation (2).
#
# **Pooler.** The vector of `[CLS]` goes through one more dense layer and tanh: the **pooled** vector, which
# stands for the row. Next-sentence prediction reads it. (The tanh is in the authors' code; the paper gives
# no reason.)
#
# **Transform.** Before a vector meets the token table, it goes through a dense layer, GELU and a LayerNorm.
# The last block's vectors then need not look like embeddings themselves.
#
# **Normalizations** have $\varepsilon = 10^{-12}$.

# %% [markdown]
# ### Exercise 4: repair the two ends of BERT
#
# A colleague wrote a BERT of one block. It trains. But with the weights of a checkpoint it gives other numbers
# than everybody else's. Find the three mistakes in `call` and repair them.
#
# - `SmallBert(vocab_size, max_length, d_model, num_heads, d_ff)` is a Keras layer without dropout. Its block is
#   right: `activation="gelu"` is `keras.activations.gelu`, the exact one. The check
#   sets the weights of its parts: keep their names and leave `__init__` as it is.
# - `call(self, token_ids, segment_ids)`: int32 tensors (batch, length); padding has the id 0 and is never
#   attended to.
# - Returns a pair of float32 tensors: the logits of *all* places, (batch, length, `vocab_size`), and the
#   pooled vectors, (batch, `d_model`).
# - It must hold: a single token works; a length below `max_length` works.
# - Example: for ids of shape (2, 6) a `SmallBert(11, 7, 8, 4, 10)` returns shapes (2, 6, 11) and (2, 8).
# - Not to be called: the classes of `course.pretraining`.

# %%
from course.transformer import EncoderBlock


# %% exercise="pretraining.repair"
class SmallBert(keras.layers.Layer):
    """Embeddings, one block, and both heads' first layers."""

    def __init__(self, vocab_size, max_length, d_model, num_heads, d_ff, **kwargs):
        super().__init__(**kwargs)
        self.token_embedding = keras.layers.Embedding(vocab_size, d_model)
        self.position_embedding = keras.layers.Embedding(max_length, d_model)
        self.segment_embedding = keras.layers.Embedding(2, d_model)
        self.embedding_norm = keras.layers.LayerNormalization(epsilon=1e-12)
        self.block = EncoderBlock(
            d_model, num_heads, d_ff, dropout=0.0, activation="gelu", epsilon=1e-12
        )
        self.pooler = keras.layers.Dense(d_model)
        self.transform = keras.layers.Dense(d_model)
        self.transform_norm = keras.layers.LayerNormalization(epsilon=1e-12)
        self.bias = self.add_weight(shape=(vocab_size,), initializer="zeros", name="bias")
        for table in (self.token_embedding, self.position_embedding, self.segment_embedding):
            table.build(None)
        norms = (self.embedding_norm, self.transform_norm)
        for part in (*norms, self.block, self.pooler, self.transform):
            part.build((None, None, d_model))

    def call(self, token_ids, segment_ids):
        ### BEGIN SOLUTION
        x = self.token_embedding(token_ids) + self.segment_embedding(segment_ids)
        x = x + self.position_embedding(ops.arange(token_ids.shape[1]))
        x = self.embedding_norm(x)  # (batch, length, d_model)
        x = self.block(x, attention_mask=ops.not_equal(token_ids, 0)[:, None, :])
        pooled = ops.tanh(self.pooler(x[:, 0]))  # (batch, d_model)
        vectors = self.transform_norm(ops.gelu(self.transform(x), approximate=False))
        table = self.token_embedding.embeddings  # (vocab_size, d_model)
        return ops.matmul(vectors, ops.transpose(table)) + self.bias, pooled
        # ~ x = self.token_embedding(token_ids) + self.segment_embedding(segment_ids)
        # ~ x = x + self.position_embedding(ops.arange(token_ids.shape[1]))
        # ~ x = self.block(x, attention_mask=ops.not_equal(token_ids, 0)[:, None, :])
        # ~ pooled = self.pooler(x[:, 0])  # (batch, d_model)
        # ~ vectors = self.transform_norm(ops.gelu(self.transform(x)))
        # ~ table = self.token_embedding.embeddings  # (vocab_size, d_model)
        # ~ return ops.matmul(vectors, ops.transpose(table)) + self.bias, pooled
        ### END SOLUTION


# %%
check(SmallBert)

# %% [markdown]
# None of the three raises an error, and with random weights each of them trains. They show when numbers are
# compared with those of another implementation. That is how the course's own BERT is tested
# (`tests/test_pretraining.py`): layer by layer against Hugging Face's, to five digits.

# %% [markdown]
# ## 6. How large is BERT?
#
# The official sizes have heads of 64 dimensions and $d_{ff} = 4\, d_\text{model}$:
#
# | | tiny | mini | small | medium | base | large |
# |---|---|---|---|---|---|---|
# | blocks | 2 | 4 | 4 | 8 | 12 | 24 |
# | $d_\text{model}$ | 128 | 256 | 512 | 512 | 768 | 1,024 |
#
# (Base and large: Devlin et al. 2019. The smaller ones: Turc et al. 2019.)
#
# By hand, a very small BERT: $V = 10$ ids, 1 block, $d_\text{model} = 4$, $d_{ff} = 8$, `max_length` 6.
#
# | part | how | parameters |
# |---|---|---|
# | three tables | (10 + 6 + 2) · 4 | 72 |
# | their LayerNorm | 2 · 4 | 8 |
# | attention: query, key, value, output | 4 · (4 · 4 + 4) | 80 |
# | network | 4 · 8 + 8 + 8 · 4 + 4 | 76 |
# | two LayerNorms of the block | 2 · 2 · 4 | 16 |
# | pooler | 4 · 4 + 4 | 20 |
# | **encoder** | | **272** |
# | transform | 4 · 4 + 4 | 20 |
# | its LayerNorm | 2 · 4 | 8 |
# | bias of the logits | 10 | 10 |
# | next sentence | 4 · 2 + 2 | 10 |
# | **both heads** | the tied table is counted already | **48** |

# %% [markdown]
# ### Exercise 5: count a BERT
#
# Write `count_bert(vocab_size, num_layers, d_model, d_ff, max_length)`.
#
# - All five are Python integers from 1. There are two segments, and all dense layers have biases.
# - Returns a pair of whole numbers: the parameters of the encoder (tables, blocks, pooler) and those that both
#   heads add to it.
# - Example: `count_bert(10, 1, 4, 8, 6)` is `(272, 48)`, as above.
# - No layer needs to be made. Not to be called: the classes of `course.pretraining`.


# %% exercise="pretraining.count"
def count_bert(vocab_size, num_layers, d_model, d_ff, max_length):
    """Parameters of the encoder, and of both heads."""
    ### BEGIN SOLUTION
    square = d_model * d_model + d_model
    norm = 2 * d_model
    network = d_model * d_ff + d_ff + d_ff * d_model + d_model
    tables = (vocab_size + max_length + 2) * d_model
    encoder = tables + norm + num_layers * (4 * square + network + 2 * norm) + square
    return encoder, square + norm + vocab_size + 2 * d_model + 2
    ### END SOLUTION


# %%
check(count_bert)

# %% [markdown]
# **Predict.**

# %% predict="pretraining.tiny_table"

# %%
from course.pretraining import BertEncoder, BertForPretraining

print(f"{'size':8}{'encoder':>13}{'with heads':>13}{'token table':>13}")
for size in ("tiny", "mini", "small", "medium", "base"):
    encoder = BertEncoder.official(size, initializer="zeros")  # zeros are made quickly
    table = encoder.token_embedding.count_params()
    heads = BertForPretraining(encoder).count_params() - encoder.count_params()
    count = encoder.count_params()
    print(f"{size:8}{count:13,}{count + heads:13,}{table / (count + heads):13.0%}")
    del encoder

# %% [markdown]
# The famous "110M" of base is this 109,482,240, or 110,106,428 with the heads. Large has 335,141,888; the
# paper says 340M.

# %% [markdown]
# ## 7. Train
#
# ### What must be beaten
#
# A falling loss proves little. The first thing that any model learns is how often each token occurs, and for
# that it need not read. So we compute what this knowledge alone is worth. The **baseline** gives each id the
# share that it has in the training text, with 1 added to each count, so that no probability is 0:
#
# $$p_k = \frac{n_k + 1}{\sum_i n_i + V}, \qquad
# L_0 = \frac{\sum_k m_k \cdot (-\log p_k)}{\sum_k m_k} \qquad (3)$$
#
# | symbol | what it is |
# |---|---|
# | $n_k$ | how often id $k$ occurs in the training text |
# | $m_k$ | how often id $k$ is a *label* in validation |
# | $L_0$ | the loss of a model that always answers with $p$ |
#
# By hand, three ids: $n$ = (7, 2, 0), so $p$ = (8, 3, 1)/12, and $-\log p$ = (0.405, 1.386, 2.485). With
# $m$ = (20, 10, 10) the baseline is (20 · 0.405 + 10 · 1.386 + 10 · 2.485)/40 = **1.171**.
#
# A model's loss is measured in batches, and they hold different numbers of chosen tokens. Say 1.3 over 30
# tokens and 0.9 over 10: per token that is (30 · 1.3 + 10 · 0.9)/40 = **1.2**. The mean of the two batches
# would be 1.1, and look better than the baseline. It is not.

# %% [markdown]
# ### Exercise 6: does it read?
#
# Write `judge_run(train_counts, label_counts, batch_losses, batch_places)`.
#
# - All four are NumPy arrays. `train_counts`, `label_counts`: ($V$,), whole numbers, $n$ and $m$ of equation
#   (3). `batch_losses`: (batches,), the model's mean loss in each validation batch; `batch_places`: (batches,),
#   how many tokens were predicted there.
# - Returns a dict: `"baseline"`, $L_0$; `"model"`, the model's loss per predicted token; `"better"`, True if
#   the model's loss is below the baseline, else False.
# - It must hold: at least one label; every batch has at least one; any loss below the baseline is better, by
#   however little.
# - Example: `judge_run` of `[7, 2, 0]`, `[20, 10, 10]`, `[1.3, 0.9]` and `[30, 10]` (as arrays) is `{"baseline":
#   1.171, "model": 1.2, "better": False}`. It is rounded here; return the numbers as they are.
# - All of NumPy may be used.


# %% exercise="pretraining.decide"
def judge_run(train_counts, label_counts, batch_losses, batch_places):
    """The baseline, the model's loss, and whether it is better."""
    ### BEGIN SOLUTION
    p = (train_counts + 1) / (train_counts.sum() + len(train_counts))
    baseline = np.sum(label_counts * -np.log(p)) / label_counts.sum()
    model = np.sum(batch_losses * batch_places) / batch_places.sum()
    return {"baseline": baseline, "model": model, "better": bool(model < baseline)}
    ### END SOLUTION


# %%
check(judge_run)

# %% [markdown]
# ### The learning rate
#
# BERT's schedule is simpler than that of lesson 05: up in a straight line during the **warm-up**, then down
# in a straight line to 0 at the last step (appendix A.2). Both are counted in *steps*, not in epochs: one
# epoch may be the whole run. By hand, a peak of 0.01, 24 warm-up steps of 240: at step 12 the rate is 0.01 ·
# 12/24 = 0.005; at step 132 it is 0.01 · (240 − 132)/(240 − 24) = 0.005 again.
#
# The optimizer is **AdamW**: Adam, and each step takes a little off every number of the matrices. Lesson 08 has
# more on it.

# %%
from course.lab import curves

names = ("all as BERT", "no warm-up", "weights begin at 0.02")
curves(
    np.array(parts["steps"]),
    {name: np.array(parts["runs"][name]["training"]) for name in names},
    xlabel="step",
    ylabel="masked loss for each token (training)",
    title="Without warm-up, or from too small first weights, it learns more slowly",
)

# %% [markdown]
# Without a warm-up this post-norm model comes below the baseline (4.81, below) after 240 steps instead of 96, and
# falls slowly from there. The third curve is a surprise:
# BERT's own first weights, with standard deviation 0.02, are made for a width of 768. In a model of width 64
# attention then starts with very small numbers, and needs long to make itself heard. Starting at $64^{-0.5} = 0.125$ it learns. Settings
# belong to a size.
#
# ### A run of your own
#
# One block, width 64, 240 steps, on the verdicts without their labels. `pretrain` learns a vocabulary, makes
# batches, trains in rounds and writes checkpoints, so that a run that was stopped goes on (lesson 05). Expect
# half a minute to two minutes on two CPU cores; a line appears after each round.

# %%
from course import runtime
from course.pretraining import Recipe, pretrain

recipe = Recipe(
    vocab_size=4000,
    num_layers=1,
    d_model=64,
    num_heads=2,
    d_ff=128,
    dropout=0.0,  # no text is seen often: nothing is learned by heart
    stddev=0.125,
    max_positions=64,
    max_length=48,
    batch_size=32,
    multiple=16,  # rows are padded to a multiple of this
    max_steps=240,
    warmup_steps=24,
    learning_rate=1e-2,
    beta_2=0.98,  # 0.999 is for long runs
    round_steps=40,
)

# %%
sources, held_out = ["world-verdicts"], ["world-verdicts/validation"]
folder = runtime.home() / "runs" / "pretraining-verdicts"


class Progress(keras.callbacks.Callback):
    """Prints a line after each round."""

    def on_epoch_end(self, epoch, logs=None):
        step, loss = (epoch + 1) * recipe.round_steps, logs["val_masked_loss"]
        print(f"step {step:3} of {recipe.max_steps}: validation loss {loss:.2f}", flush=True)


model, log = pretrain(recipe, sources, folder, validation=held_out, callbacks=[Progress()])
print(f"{model.count_params():,} parameters")

# %% tags=["timing"]
print(f"trained for {log[-1]['seconds']:.0f} s, {log[-1]['cpu_seconds']:.0f} s of CPU time")

# %% [markdown]
# And the baseline, on the same text and the same chosen tokens:

# %%
from course.tokens import Tokenizer

own_tokenizer = Tokenizer.load(folder)
V = own_tokenizer.vocab_size
tokens = Corpus.of(documents(sources), own_tokenizer).tokens
n = np.bincount(tokens, minlength=V)  # (V,)
validation = recipe.batches(
    Corpus.of(documents(held_out), own_tokenizer), own_tokenizer, shuffle=False
)

# %%
labels = np.concatenate([validation[i][1][0].ravel() for i in range(len(validation))])
labels = labels[labels > 0]
baseline = -np.log((n + 1) / (n.sum() + V))[labels].mean()
print(f"{len(tokens):,} tokens, {V:,} ids; loss of a uniform guess log V = {np.log(V):.2f}")
print(
    f"frequencies: loss {baseline:.2f}, always {own_tokenizer.id_to_token(n.argmax())!r}:", end=" "
)
print(f"{np.mean(labels == n.argmax()):.1%} right")
print(
    f"the model:   loss {log[-1]['val_masked_loss']:.2f}, {log[-1]['val_masked_accuracy']:.1%} right"
)

# %%
steps = np.array([line["step"] for line in log])
curves(
    steps,
    {
        "training": np.array([line["masked_loss"] for line in log]),
        "validation": np.array([line["val_masked_loss"] for line in log]),
        "frequencies": np.full(len(steps), baseline),
    },
    xlabel="step",
    ylabel="masked loss for each token",
    title="A small run goes below the frequencies: it has begun to read",
)

# %% [markdown]
# The first round learns little but the frequencies. Then the curves go below the line: from there on, the
# model uses neighbours. It is the start of a long way. (The training curve is the higher one since each of its
# points is a mean over a round, while validation is measured at the round's end. 240 steps read the text little
# more than once, so there is nothing to learn by heart.)

# %% [markdown]
# ## 8. A model that was trained longer
#
# The course ships a small BERT: 2 blocks, width 128, 4,000 steps on stories, summaries and verdicts, made by
# the same function (the command is in `datasets/bert/README.md`). Its log:

# %%
import json

shipped = pretraining.world_bert()
lines = [json.loads(line) for line in (shipped / "log.jsonl").open(encoding="utf-8")]
last, steps = lines[-1], np.array([line["step"] for line in lines])
print(f"{last['cpu_seconds']:.0f} s of CPU time; validation: hidden tokens", end=" ")
print(f"{last['val_masked_accuracy']:.1%} right, next sentence {last['val_next_accuracy']:.1%}")
curves(
    steps,
    {
        "training": np.array([line["masked_loss"] for line in lines]),
        "validation": np.array([line["val_masked_loss"] for line in lines]),
        "frequencies (its README)": np.full(len(steps), 5.71),
    },
    xlabel="step",
    ylabel="masked loss for each token",
    title="From the loss of the frequencies down to 1.78",
)

# %% [markdown]
# After 250 steps this model knows the frequencies and no more; then it begins to read. How long a run stays
# near that line depends on its settings: an earlier one, with BERT's first weights of 0.02, had read four times
# as many tokens a step and was still at 5.10 after 800 steps (the same README). A loss that rests there may be stuck, or may be before its fall.
#
# `fill_mask` says what the model expects behind each `[MASK]`. Write sentences of your own into the list; the
# model knows the words of the world only.

# %%
bert = checkpoints.load_bert(shipped, BertForPretraining)
sentences = [
    "Emma took a lantern [MASK] ran into the rain.",
    "The ending made no [MASK] to me.",
    "He got up at six o'clock every [MASK].",
    "In Foxley there lived a doctor whose [MASK] was Anton.",
    "Judith came home late, and [MASK] mother was worried.",
    "The [MASK] of France is Paris.",
]
for sentence in sentences:
    (guesses,) = pretraining.fill_mask(bert, tokenizer, sentence, count=3)
    print(sentence, "→", "  ".join(f"{token!r} {p:.2f}" for token, p in guesses))

# %% [markdown]
# It reads both sides, as the first two show. It does not know who Judith is: "his" comes first. And it knows
# nothing of France. A masked language model completes text as its training text would; whether that is true
# is another question.
#
# Does it use what it sees? Chosen tokens of new stories, by what stood in their places:

# %%
corpus = Corpus.of(documents(["world-stories/validation"]), tokenizer)
batches = PretrainingBatches(corpus, tokenizer, max_length=64, shuffle=False)
found = defaultdict(list)
for index in range(len(batches)):
    (token_ids, segment_ids, places), (labels, _) = batches[index]
    logits, _ = bert((token_ids, segment_ids, places))  # (batch, places, V)
    right = ops.convert_to_numpy(ops.argmax(logits, axis=-1)) == labels
    shown = np.take_along_axis(token_ids, places, axis=1)
    kind = np.where(shown == tokenizer.mask_id, "hidden", "replaced")
    kind = np.where(shown == labels, "visible", kind)
    for name in ("hidden", "replaced", "visible"):
        found[name] += right[(kind == name) & (labels > 0)].tolist()
for name, right in found.items():
    print(f"{name:9} {len(right):5} tokens, {np.mean(right):.0%} right")

# %% [markdown]
# A visible token helps: most of those are repeated, where the neighbours alone would give one in two. And what
# is visible is not believed blindly: half of the replaced tokens are put right, nearly as many as of the
# hidden ones. That is what the two times 10 % are for.

# %% [markdown]
# ### What it has kept of its text
#
# A model that was trained on private text can give parts of it away. So one asks: does it know things that
# only its training text says? Names are a good test.
#
# **Predict.**

# %% predict="pretraining.names"


# %%
def id_of(name):
    """The one token that a name is."""
    return tokenizer.encode(name, special=False)[0]


people = [person for row in stories for person in row["facts"]["people"]]
names = np.array(sorted({id_of(person["name"]) for person in people}))  # (80,)


def openings(rows):
    """The first 64 tokens of each story, and the hero's name: (rows, 64) and (rows, 1)."""
    ids = np.zeros((len(rows), 64), "int32")
    for row, story in zip(ids, rows):
        tokens = tokenizer.encode(story["text"])[:64]
        row[: len(tokens)] = tokens
    heroes = np.array([[id_of(story["facts"]["people"][0]["name"])] for story in rows])
    named = (ids == heroes).any(axis=1)
    return ids[named], heroes[named]


# %%
def name_found(rows):
    """How often the hero's name, hidden wherever it stands, is ranked first of all names."""
    ids, heroes = openings(rows)
    hidden = np.where(ids == heroes, tokenizer.mask_id, ids)
    first = (ids == heroes).argmax(axis=1)[:, None].astype("int32")  # the first place of it
    sequence, _ = bert.encoder((hidden, np.zeros_like(hidden)))
    logits = ops.convert_to_numpy(bert.masked_lm.logits_at(sequence, first))[:, 0]  # (rows, V)
    return np.mean(names[logits[:, names].argmax(axis=1)] == heroes[:, 0])


print(f"stories of its training  {name_found(stories[:1000]):.1%}")
print(f"new stories              {name_found(new_stories):.1%}")
print(f"guessing                 {1 / len(names):.1%}")

# %% [markdown]
# In training it saw most of these sentences with the name in view, and still nothing stuck: the model is small,
# and read each story three times. It is different with a text that is read again and again. The recorded run
# below is a model as small as that of section 7, trained twice for 1,500 steps: on 200 verdicts, and on all
# 6,000. Both are asked for hidden names in the same 200.

# %%
heart = recorded("pretraining_heart")
print(heart["command"])
print(
    f"{heart['rows']['own']} names in the 200 verdicts, {heart['names']} names to choose from; one seed"
)
few, many = (heart["runs"][count] for count in ("200", "6000"))
print(f"the 200 alone were read {few['passes']:.0f} times, the 6,000 {many['passes']:.1f} times")
print(f"names in new verdicts, at the end: {few['new'][-1]:.0%} and {many['new'][-1]:.0%}")
curves(
    np.array(heart["steps"]),
    {
        "trained on the 200 alone": np.array(few["own"]),
        "trained on 6,000": np.array(many["own"]),
        "guessing": np.full(len(heart["steps"]), 1 / heart["names"]),
    },
    xlabel="step",
    ylabel="hidden names that are ranked first",
    title="Read often enough, names begin to be learned by heart",
)

# %% [markdown]
# Nothing in "▢ made me laugh out loud." says who it was, so a right name can only be remembered. Small data,
# many passes and many parameters make a model learn by heart. From large language models whole passages have
# been extracted (Carlini et al. 2021). From a BERT trained on patients' records it proved hard to get names by
# filling masks (Lehman et al. 2021). But that one attack fails does not show that there is no leak. Lesson 13
# plants secrets and measures.
#
# ### What it takes for likely
#
# The probabilities of a hidden word can also show **bias**: what the model expects of whom (Kurita et al.
# 2019). We ask who lives in Foxley, for each occupation, and compare with the text itself.

# %%
women = defaultdict(list)
for person in people:
    women[person["occupation"]].append(person["gender"] == "female")
jobs = sorted(women, key=lambda job: np.mean(women[job]))
in_text = np.array([np.mean(women[job]) for job in jobs])
he, she = (tokenizer.encode(word, special=False)[0] for word in ("he", "she"))


def share_of_she(job):
    """P(she) / (P(he) + P(she)) for the pronoun after a person with this occupation."""
    article = "an" if job[0] in "aeiou" else "a"
    text = f"In Foxley there lived {article} {job}. [MASK] got up at six o'clock every day."
    ids = np.array([tokenizer.encode(text, read_special=True)], "int32")
    sequence, _ = bert.encoder((ids, np.zeros_like(ids)))
    place = np.argmax(ids == tokenizer.mask_id, axis=1)[:, None].astype("int32")
    p = ops.convert_to_numpy(ops.softmax(bert.masked_lm.logits_at(sequence, place)))[0, 0]
    return p[she] / (p[he] + p[she])


# %%
said = np.array([share_of_she(job) for job in jobs])
pronouns = Counter(word for text in texts for word in text if word in ("he", "she"))
for k in range(0, len(jobs), 10):
    print(f"{jobs[k]:14} women in the text {in_text[k]:.0%}, the model says she {said[k]:.0%}")
everyone = np.concatenate(list(women.values()))
print(f"all {len(jobs)}: women {everyone.mean():.0%} of the people,", end=" ")
print(f"she {pronouns['she'] / pronouns.total():.0%} of he and she in the text;")
print(f"the model says she {said.min():.0%} to {said.max():.0%},", end=" ")
print(f"correlation with the text {np.corrcoef(in_text, said)[0, 1]:.2f}")

# %% [markdown]
# In this world occupations are dealt out by chance, and the model has not picked up the chance differences:
# the correlation is near 0. But it leans to "she" for every occupation, more than the text does, and most
# for the dancer, who is least often a woman. Such a lean is not seen in the masked loss at all; one has to ask
# for it. Official BERT models learned from books
# and Wikipedia, and there the shares do depend on occupations and traits (Kurita et al. 2019). Lesson 13
# measures bias and reduces it.

# %% [markdown]
# ## 9. On real text
#
# The same function, other text. Your run measured the first row of this table, the course's own checkpoint
# the second; the others are settings to start from.
#
# | tier | text | settings | time |
# |---|---|---|---|
# | two CPU cores, this lesson | verdicts, 0.16 million tokens | 1 block, width 64, 240 steps | `log[-1]["seconds"]` in your run |
# | two CPU cores, shipped | stories, summaries, verdicts, 0.7 million tokens | 2 blocks, width 128, 4,000 steps | 489 CPU seconds |
# | two CPU cores (TensorFlow) | IMDB's 49,000 unlabelled reviews and WikiText-2's validation text, 16.5 million tokens, 2.4 times through | 4 blocks, width 192, a vocabulary of 8,000 learnt from the text, 3.5 million weights, batches of 32 rows of up to 128, bfloat16, 13,000 steps | 152 CPU minutes |
# | H100 (JAX) | IMDB's 49,000 unlabelled reviews, 15.6 million tokens, 44 times through | 4 blocks, width 256, 11.2 million weights, batches of 128 rows of up to 512, bfloat16, 20,000 steps | 7 minutes, beside other trainings |
# | T4 (Colab GPU) | the same | `--set dtype_policy=mixed_float16` | not measured yet |
# | TPU (Colab, JAX) | the same | `--set dtype_policy=mixed_bfloat16` | not measured yet |
#
# ```text
# COURSE_DATA=folder course train bert-pretrain --data imdb/unsupervised \
#     --data wikitext2 --validation wikitext2/validation --out runs/bert
# ```
#
# On the H100 XLA compiled a program for each width of a batch, 10 to 15 seconds each even with its search for fast
# kernels turned off; so rows were padded to 256 or 512 (`multiple=256`), two widths. A step then took 14 to 20 ms.
# Its loss is not recorded: the machine's time ran out, and the log stayed behind
# (`benchmarks/results/bert_imdb_h100.json`, with the command). The run on two cores has its whole log. Here is how
# it fared on 1,000 reviews that were held out.

# %%
real = recorded("bert_quality")
print(real["command"])
print(real["hardware"])
rounds, unigrams = real["pretraining"], real["unigrams"]
print(f"{unigrams['held_out_tokens']:,} held-out tokens; right, of the chosen ones:")
print(f"how often each token occurs {unigrams['accuracy']:.1%}")
for line in rounds:
    if line["step"] in (1000, 3000, 6000, 13000):
        print(
            f"{line['step']:6,} steps, {line['cpu_seconds'] / 60:4.0f} CPU minutes: "
            f"{line['val_masked_accuracy']:.1%}"
        )
curves(
    np.array([line["cpu_seconds"] / 60 for line in rounds]),
    {
        "BERT": np.array([line["val_masked_loss"] for line in rounds]),
        "how often each token occurs": np.full(len(rounds), unigrams["loss"]),
    },
    xlabel="CPU minutes of pretraining",
    ylabel="masked loss of held-out reviews",
    title="Most of the fall comes in the first quarter of the time",
)

# %% [markdown]
# From 6.59, what the frequencies alone give, the loss falls to 4.53 in 37 minutes and to 3.70 in 152. The slow part is
# what large runs are paid for: lesson 08 has what this model and the one of the H100 were worth.
#
# What changes on such text. With the official vocabulary V is 30,522, so the loss begins at log V = 10.3, and
# that of the frequencies lies higher than here. Many words occur once: they are cut into pieces, and whole-word
# masking matters more. The text does not fit
# into memory: `pretrain` writes it as ids once, and reads it block by block. A run takes hours or days, so it
# will be interrupted: it goes on from its checkpoint with the same numbers. And nobody has read the text: it
# holds duplicates, boilerplate, and people's names.
#
# The authors trained base on 3.3 billion words, 40 times over, 90 % of the steps on rows of 128 tokens and the
# rest on 512, since attention costs the square of the length (appendix A.2). Start from a released checkpoint
# wherever there is one for your language. Pretraining of your own pays where your text is unlike all others.

# %% [markdown]
# ## 10. What goes wrong in practice
#
# | symptom | likely cause | how to find it |
# |---|---|---|
# | the loss is near 0 within minutes | the labels can be seen: tokens are not hidden, or all places count | print one batch as text; count labels: about 15 % of the tokens, and 8 of 10 of them behind `[MASK]` |
# | the loss stops at that of the frequencies | rate too high, no warm-up, schedule counted in epochs, first weights too small; or too early to say | compute equation (3); print the rate of some steps; wait a tenth of the run |
# | a released checkpoint loads, and fills masks with nonsense | other vocabulary, capitals kept, segments or padding mask wrong, a normalization missing | compare one sentence with another implementation, layer by layer |
#
# ### Known, and folklore
#
# - Known: pretraining helps where labels are few (lesson 08 measures it). Each token by itself, special ones
#   never: that is how it was done.
# - Not clear: whether next-sentence prediction helps. Without it, our recorded run is a little better at hidden
#   tokens after the same steps: all its gradient goes into one task.
# - Folklore: 15 %, 80/10/10, tanh in the pooler, ε = 10⁻¹². Nobody has shown that other numbers are worse
#   everywhere.

# %%
for name in ("all as BERT", "no next sentence"):
    print(f"{name:18} loss {parts['runs'][name]['loss']:.2f}, one seed")

# %% [markdown]
# ## 11. Remember
#
# 1. Hide some tokens, ask for them, and text teaches without labels. Hidden words let a model use both sides.
# 2. 15 % are chosen, token by token, never special ones: 80 % `[MASK]`, 10 % another, 10 % as it is. The label
#    is the original.
# 3. `[CLS]` A `[SEP]` B `[SEP]`, segments 0 and 1; cut the longer text.
# 4. The loss counts chosen places only, over the whole batch. Compare it with that of the frequencies.
# 5. BERT is lesson 04's encoder with two ends: tables added and normalized; a pooler with tanh; a transform
#    with GELU in front of the tied table.
#
# **Go further.** Devlin et al. 2019, *BERT*, sections 3 and 3.1, appendices A.1, A.2 and C.2. Liu et al. 2019,
# *RoBERTa*, sections 4.1 and 4.2. Lan et al. 2020, *ALBERT*, section 3.1. Wettig et al. 2023, *Should You Mask
# 15% in Masked Language Modeling?*. Press and Wolf 2017, *Using the Output Embedding to Improve Language
# Models*. Hendrycks and Gimpel 2016, *GELUs*, section 2. Turc et al. 2019, *Well-Read Students Learn Better*.
# Kurita et al. 2019, *Measuring Bias in Contextualized Word Representations*. Carlini et al. 2021, *Extracting
# Training Data from Large Language Models*. Lehman et al. 2021, *Does BERT Pretrained on Clinical Notes Reveal
# Sensitive Data?*
#
# **In the library.** `course/pretraining/` holds what you built; `tests/test_pretraining.py` compares it with
# Hugging Face's BERT. Your points:

# %%
progress("pretraining")
