# ruff: noqa: F821

# %% [markdown]
# # Translation
#
# After this lesson you can **write** the loss that a translator learns from, **train** one with a
# schedule and checkpoints that survive an interruption, and **judge** it with a score that you can
# compute by hand.
#
# **Time:** 120 minutes, 75 of them for the exercises. **You need:** lessons 01 and 04, logarithms.
#
# **Where it is used:** lessons 07, 08 and 10 train with the same loss, schedule and checkpoints. You
# are here:
#
# ```text
# sentence pairs ─→ ids, batches ─→ Transformer ─→ LOSS ─→ gradients ─┐
#                   (lesson 01)     (lesson 04)    MASK    SCHEDULE   │
#                                        ↑         SMOOTHING          │
#                                        └────────────────────────────┘
# BLEU ←─ translations ←─ decoding (06) ←─ trained weights: CHECKPOINTS
# ```

# %% [markdown]
# ## 1. Right most of the time, and not one word
#
# A model is trained on batches of sentences. Short ones are filled up with padding. Our sentences are
# the simplest of the course's small world: the 11,465 English–German pairs, 38 % of 30,000, that use the
# core words only. Section 8 says what the whole set costs.

# %%
import keras
import numpy as np
from keras import ops

from course import data

PAIR, LEVEL = "en-de", 1  # "en-zh" is Chinese; level 2: all sentences


def load(split):
    """Sentence pairs (source, target) of a split, up to the level."""
    rows = data.load(f"world-{PAIR}", split)
    return [(row["source"], row["target"]) for row in rows if row["level"] <= LEVEL]


pairs, held_out = load("train"), load("validation")
print(f"{len(pairs):,} pairs to learn from, {len(held_out)} to choose with")
for source, target in pairs[:3]:
    print("  ", source, "|", target)

# %%
from course.tokens import Tokenizer

texts = [text for pair in pairs for text in pair]
tokenizer = Tokenizer.learn(texts, vocab_size=2000, kind="wordpiece", lowercase=False)
ids = tokenizer.encode(pairs[0][1])
print(" ".join(tokenizer.id_to_token(i) for i in ids))
print("the decoder reads ", ids[:-1])
print("and should answer ", ids[1:])

# %% [markdown]
# One vocabulary serves both languages. `[CLS]` is the start symbol, `[SEP]` the end symbol. The last two
# lines are the shift of lesson 04: the decoder reads the target without its last id, the **labels** are
# the target without its first. Padding has the id 0.
#
# **Predict** what an accuracy says that does not know about padding.

# %% predict="translation.padding_only"

# %%
chosen = np.random.default_rng(0).choice(len(pairs), 64, replace=False)
rows = [tokenizer.encode(pairs[i][1])[1:] for i in chosen]
labels = np.zeros((64, max(map(len, rows))), "int32")  # (batch, length)
for row, found in zip(labels, rows):
    row[: len(found)] = found

# A "model" that gives padding the logit 8 and everything else 0, whatever it reads.
logits = np.zeros((*labels.shape, tokenizer.vocab_size), "float32")  # (batch, length, V)
logits[..., 0] = 8
losses = ops.convert_to_numpy(
    ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
)  # (batch, length)
real = labels != 0
print(f"places that are padding: {1 - real.mean():.0%}")
print(
    f"accuracy over all places {np.mean(logits.argmax(-1) == labels):.0%}, loss {losses.mean():.2f}"
)
print(
    f"over real tokens         {np.mean(logits.argmax(-1)[real] == labels[real]):.0%}, "
    f"loss {losses[real].mean():.2f}"
)

# %% [markdown]
# This model cannot say a word, and over all places it looks half trained. The figures also change with
# the batch: one long sentence adds padding to all the others, and "improves" them.
#
# ### The mean over real tokens
#
# $$L = \frac{\sum_{b,j} m_{bj}\, \ell_{bj}}{\sum_{b,j} m_{bj}}, \qquad
# \ell_{bj} = -\log p_{bj}(y_{bj}) \qquad (1)$$
#
# | symbol | what it is | shape |
# |---|---|---|
# | $y_{bj}$ | the label at place $j$ of sentence $b$ | (batch, length) |
# | $p_{bj}$ | the model's probabilities there, the softmax of its **logits** (scores) | (batch, length, $V$) |
# | $V$ | the number of ids in the vocabulary | |
# | $\ell_{bj}$ | the **cross-entropy** of the place: 0 if the label had probability 1 | (batch, length) |
# | $m_{bj}$ | 1 where the label is a real token, 0 where it is padding | (batch, length) |
#
# $\log$ is the natural logarithm. $e^L$ is the **perplexity**: a model of perplexity 5 is as unsure as
# one that chooses between 5 words at random.
#
# By hand, two sentences, three places, and a model that knows padding when it sees it:
#
# | | place 1 | place 2 | place 3 |
# |---|---|---|---|
# | sentence 1 | 2 | 1 | 3 |
# | sentence 2 | 4 | 0.1 (padding) | 0.1 (padding) |
#
# | mean | how | value |
# |---|---|---|
# | over real tokens | (2 + 1 + 3 + 4) / 4 | **2.5** |
# | over all places | (2 + 1 + 3 + 4 + 0.1 + 0.1) / 6 | 1.7 |
# | masked, divided by all places | (2 + 1 + 3 + 4) / 6 | 1.67 |
# | of the two sentences' means | ((2 + 1 + 3)/3 + 4) / 2 | 3 |
#
# The last one gives the word of a short sentence more weight than that of a long one. The same happens
# in a mean over *batches* that hold different numbers of tokens.

# %% [markdown]
# ### Exercise 1: loss and accuracy over real tokens
#
# Write `masked_scores(labels, logits, pad_id=0)`.
#
# - `labels`: int32 tensor (batch, length). `logits`: float32 tensor (batch, length, $V$). `pad_id`: a
#   Python integer, the id of padding in `labels`.
# - Returns two numbers or scalar tensors `loss, accuracy`: equation (1), and the share of real tokens
#   whose largest logit is the label's.
# - It must hold: the mean is over all real tokens of the batch together; what stands at padded places
#   changes nothing; with no real token both are 0; another `pad_id` works; logits may be in the
#   hundreds, where probabilities round to 0.
# - Example: labels `[[1, 2]]` and logits `[[[0, 2, 0], [0, 0, 0]]]` give the losses 0.24 and 1.10, so
#   the loss is 0.67. In the second place all logits are equal, and `argmax` takes the first: accuracy
#   0.5. With labels `[[1, 0]]` it is 0.24 and 1.
# - Of use: `ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)`;
#   `ops.cast(condition, "float32")` makes numbers of truth values; `ops.cast(ops.argmax(logits, axis=-1),
#   "int32")`.
# - Not to be called: the functions of `course.translation`.


# %% exercise="translation.masked"
def masked_scores(labels, logits, pad_id=0):
    """Equation (1), and the accuracy: two scalars."""
    ### BEGIN SOLUTION
    losses = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    hits = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), labels)
    real = ops.cast(ops.not_equal(labels, pad_id), "float32")  # (batch, length)
    count = ops.maximum(ops.sum(real), 1.0)
    return ops.sum(losses * real) / count, ops.sum(ops.cast(hits, "float32") * real) / count
    ### END SOLUTION


# %%
check(masked_scores)

# %% [markdown]
# Stuck? Run `hint("translation.masked")` in a new cell. From here on the lesson uses the course's own
# functions, so that you can read on with an exercise unsolved.

# %% [markdown]
# ## 2. Softer targets
#
# Equation (1) is lowest where the label has probability 1. To get there, its logit has to grow without
# end. The model becomes surer than it has reason to be. **Label smoothing** (Szegedy et al. 2016,
# section 7; Vaswani et al. 2017, section 5.4) asks for a little less: it takes a share ε from the label
# and spreads it evenly over all ids. Padding is never right, so here it gets none:
#
# $$q_k = (1 - \varepsilon)\,[k = y] + \frac{\varepsilon}{V - 1}\,[k \ne \text{pad}], \qquad
# \ell = -\sum_k q_k \log p_k \qquad (2)$$
#
# | symbol | what it is |
# |---|---|
# | $k$ | an id, 0 to $V - 1$; $y$ is the label, pad the id of padding |
# | $[\dots]$ | 1 where it holds, else 0 |
# | $\varepsilon$ | epsilon, the **smoothing**: 0.1 in the paper |
# | $q_k$ | the target: what we ask the model to say. It sums to 1 |
# | $p_k$ | what it says: the softmax over all $V$ ids, padding too |
#
# The label is one of the $V - 1$ real ids, so it has its small share as well: $1 - \varepsilon +
# \varepsilon/(V-1)$ together.
#
# By hand, four ids of which 0 is padding, $\varepsilon = 0.3$, and the label 1. The model says
# $p = (0.1, 0.6, 0.2, 0.1)$:
#
# | id | 0 padding | 1 label | 2 | 3 | sum |
# |---|---|---|---|---|---|
# | $q_k$ | 0 | 0.7 + 0.1 | 0.1 | 0.1 | 1 |
# | $-\log p_k$ | 2.303 | 0.511 | 1.609 | 2.303 | |
# | product | 0 | 0.409 | 0.161 | 0.230 | **0.800** |
#
# Without smoothing the loss is 0.511. Other rules are in use. Shared by all four ids, padding too, $q$
# is (0.075, 0.775, 0.075, 0.075) and the loss 0.862. Shared by the two wrong ids alone, $q$ is (0, 0.7,
# 0.15, 0.15) and the loss 0.944. Compare losses only where the rule is the same.
#
# **Predict.**

# %% predict="translation.floor"

# %%
V, epsilon = 2000, 0.1
other = epsilon / (V - 1)  # the share of each real id that is not the label
label = 1 - epsilon + other
for p in (0.99999, label):
    rest = (1 - p) / (V - 2)  # V - 2 ids are neither padding nor the label
    loss = -label * np.log(p) - (V - 2) * other * np.log(rest)
    print(f"probability of the label {p:.5f}: loss {loss:.2f}")

# %% [markdown]
# The second one says $p = q$, and nothing has a lower loss. So with smoothing the loss of a perfect model
# is not 0: it is 1.08 here, the **entropy** of $q$. Therefore logs show the plain cross-entropy of
# equation (1) too, under the name `nll` (negative log-likelihood).

# %% [markdown]
# ### Exercise 2: the smoothed loss
#
# Write equation (2), its mean over real tokens, as `smoothed_loss(labels, logits, smoothing=0.1,
# pad_id=0)`.
#
# - `labels`: int32 tensor (batch, length). `logits`: float32 tensor (batch, length, $V$), $V \ge 3$.
#   `smoothing`: a Python number, ε, from 0 to 1. `pad_id`: a Python integer from 0 to $V - 1$.
# - Returns a number or a scalar tensor.
# - It must hold: ε is shared evenly by all ids but `pad_id`, the label included; the softmax runs over
#   all ids; padded places do not count; the mean is over all real tokens of the batch; with none it is 0.
#   With `smoothing=0` it is the loss of exercise 1. Logits may be in the hundreds.
# - Example: labels `[[1]]`, logits `[[[log 0.1, log 0.6, log 0.2, log 0.1]]]` and smoothing 0.3 give
#   0.800, as above.
# - Of use: `ops.log_softmax(logits, axis=-1)`, `ops.one_hot(labels, V)`; `log_p[..., pad_id]` is one
#   column.
# - Not to be called: the functions of `course.translation`.


# %% exercise="translation.smoothing"
def smoothed_loss(labels, logits, smoothing=0.1, pad_id=0):
    """The mean of equation (2) over real tokens: a scalar."""
    ### BEGIN SOLUTION
    vocab_size = logits.shape[-1]
    log_p = ops.log_softmax(logits, axis=-1)  # (batch, length, V)
    own = ops.sum(ops.one_hot(labels, vocab_size) * log_p, axis=-1)  # (batch, length)
    everyone = ops.sum(log_p, axis=-1) - log_p[..., pad_id]  # all real ids
    losses = -(1 - smoothing) * own - smoothing / (vocab_size - 1) * everyone
    real = ops.cast(ops.not_equal(labels, pad_id), "float32")
    return ops.sum(losses * real) / ops.maximum(ops.sum(real), 1.0)
    ### END SOLUTION


# %%
check(smoothed_loss)

# %% [markdown]
# ## 3. How fast to learn
#
# The optimizer is **Adam** (Kingma and Ba 2015). It divides each weight's step by the size of its recent
# gradients, so every weight moves by about the **learning rate**, whether its gradients are large or
# small.
#
# **Predict.**

# %% predict="translation.warm_up"

# %% [markdown]
# So the rate starts small and grows: the **warm-up**. Near the end large steps only jump around the best
# place, so it falls again. The paper does both with one line (section 5.3, equation 3):
#
# $$\text{lrate} = d_\text{model}^{-0.5} \cdot
# \min\left(\text{step}^{-0.5},\; \text{step} \cdot \text{warmup\_steps}^{-1.5}\right) \qquad (3)$$
#
# | symbol | what it is |
# |---|---|
# | step | the number of the update, counted from **1** |
# | warmup_steps | the step at which the rate is largest: 4,000 in the paper |
#
# The second term grows in a straight line. The first falls, at first quickly, then slowly. They meet at
# step = warmup_steps, where both are $\text{warmup\_steps}^{-0.5}$.
#
# By hand, $d_\text{model} = 64$ and 100 warm-up steps. The factor is $1/\sqrt{64} = 0.125$:
#
# | step | step^−0.5 | step · 100^−1.5 | rate |
# |---|---|---|---|
# | 1 | 1 | 0.001 | 0.125 · 0.001 = 0.000125 |
# | 100 | 0.1 | 0.1 | 0.125 · 0.1 = 0.0125 |
# | 400 | 0.05 | 0.4 | 0.125 · 0.05 = 0.00625 |
#
# After four times the warm-up the rate is half of its peak. After sixteen times it is a quarter.

# %% [markdown]
# ### Exercise 3: the schedule
#
# Keras asks a schedule before each update: "so many updates are done, what is the rate of the next?" It
# counts from **0**. Write `learning_rate(step, d_model, warmup_steps)` for that.
#
# - `step`: integer tensor, the updates that are done: a scalar, or of any shape. The paper's step is one
#   more. `d_model`, `warmup_steps`: Python integers.
# - Returns the rate of equation (3), a number or a float tensor of the shape of `step`.
# - It must hold: at `step = 0` the rate is small and not 0; a tensor of many steps works.
# - Example: with `d_model` 64 and `warmup_steps` 100, `step = [0, 99, 399]` gives `[0.000125, 0.0125,
#   0.00625]`.
# - Of use: `ops.cast(step, "float32")`, `ops.minimum(a, b)`.
# - Not to be called: the schedules of `course.training`.


# %% exercise="translation.schedule"
def learning_rate(step, d_model, warmup_steps):
    """Equation (3) for a count of updates that starts at 0."""
    ### BEGIN SOLUTION
    step = ops.cast(step, "float32") + 1.0
    return d_model**-0.5 * ops.minimum(step**-0.5, step * warmup_steps**-1.5)
    ### END SOLUTION


# %%
check(learning_rate)

# %%
from course.lab import curves
from course.training import InverseSquareRoot

steps = np.arange(0, 1000, 5)
curves(
    steps + 1,
    {
        f"warm-up {warmup}": ops.convert_to_numpy(InverseSquareRoot(64, warmup)(steps))
        for warmup in (50, 100, 400)
    },
    xlabel="step, counted from 1",
    ylabel="learning rate",
    title="A longer warm-up has a lower peak; all end on the same line",
)

# %% [markdown]
# In practice the whole curve is multiplied by a number, so that the peak can be chosen by itself. Our
# translator has its peak at 0.006. What happens without the schedule? Each line is one run of the small
# translator of this lesson, the first 300 steps, kept with the command that made it.

# %%
from course.lab import recorded

parts = recorded("translation_parts")
print(parts["command"])
print(parts["hardware"])
runs = parts["runs"]
low, high = (name for name in runs if name.startswith("constant"))
for name in (low, high):
    print(f"{name}: {runs[name]['broke'] or 'it ended'}")
curves(
    {
        name: np.array(parts["steps"][: len(runs[name]["val_nll"])])
        for name in ("as in the lesson", low, high)
    },
    {name: np.array(runs[name]["val_nll"]) for name in ("as in the lesson", low, high)},
    xlabel="step",
    ylabel="validation nll for each token",
    title="A constant rate five times as high learns next to nothing",
)

# %% [markdown]
# With the high rate the model never learns to translate: its curve goes flat at 3.1, and its BLEU, a score
# from 0 to 100 that section 6 explains, is 1. Nothing warns you: no error, no NaN. (Some runs do end in NaN;
# `train_translator` then stops and says so.)
#
# At its own peak, 0.006, this small pre-norm model learns without a warm-up too, and is even ahead for the
# first 180 steps. Honestly: here the warm-up gains little. It lets you choose a high peak without a search,
# and it becomes necessary with post-norm and depth (lesson 04, section 4).

# %% [markdown]
# ## 4. One batch, put together
#
# A training step reads a batch and lowers its loss. Three things have to be right at once. The decoder
# reads the *shifted* target. The loss leaves padding out. And **dropout**, which sets some numbers to 0
# at random so that the model relies on no single one, acts in training and never in validation: Keras
# models take `training=True` or `training=False` for that.
#
# If you write a Keras model yourself: `fit` tells it that it trains by the argument `training` of its
# `call`, and `call` has to hand it on to the layers with dropout. A model without that argument trains
# with no dropout at all, and nothing says so. This course's own models once did. What showed it was a
# run on the 29,000 captions of section 8: the training loss went to 0.26, the validation loss, best at
# step 2,500 with 2.17, up to 2.79.

# %% [markdown]
# ### Exercise 4: repair the loss of a batch
#
# A colleague's translator reaches a training loss near 0 within minutes, and writes nonsense. His
# validation figures change each time they are computed. Find the three mistakes and repair them.
#
# `batch_loss(model, source_ids, target_ids, start_id, pad_id=0, training=False)`
#
# - `model`: called as `model((source_ids, decoder_ids), training=...)`, it returns logits (batch,
#   length, $V$), a row for each of the decoder's ids. Dropout acts where `training` is True.
# - `source_ids`: int32 tensor (batch, source_length). `target_ids`: int32 tensor (batch, length), each
#   row ends with the end symbol and is filled up with `pad_id`; no start symbol is in it. `start_id`,
#   `pad_id`: Python integers. `training`: True or False.
# - Returns a number or a scalar tensor: the plain cross-entropy of equation (1), where the labels are the
#   whole of `target_ids` and the decoder reads `start_id`, then `target_ids` without its last column.
# - It must hold: targets of one word work; another `pad_id` works. Each batch has a real token.
# - Example: with `target_ids = [[5, 6, 3]]` and `start_id = 2` the model is given `[[2, 5, 6]]`.
# - Not to be called: the functions of `course.translation`.


# %% exercise="translation.repair"
def batch_loss(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    """The mean cross-entropy of a batch, over real tokens."""
    ### BEGIN SOLUTION
    start = ops.full((target_ids.shape[0], 1), start_id, dtype="int32")
    decoder_ids = ops.concatenate([start, target_ids[:, :-1]], axis=1)  # (batch, length)
    logits = model((source_ids, decoder_ids), training=training)
    losses = ops.sparse_categorical_crossentropy(target_ids, logits, from_logits=True)
    real = ops.cast(ops.not_equal(target_ids, pad_id), "float32")
    return ops.sum(losses * real) / ops.sum(real)
    # ~ logits = model((source_ids, target_ids), training=True)
    # ~ losses = ops.sparse_categorical_crossentropy(target_ids, logits, from_logits=True)
    # ~ return ops.mean(losses)
    ### END SOLUTION


# %%
check(batch_loss)

# %% [markdown]
# ## 5. Train
#
# The library puts the pieces together. `train_translator` learns a vocabulary, makes batches of sentences
# of similar length (lesson 01), and trains in **rounds**. After each round it writes a **checkpoint**:
# the weights, Adam's memory, the step, the place in the shuffled data and the state of the random
# numbers. If the machine stops, run the cell again: it goes on from the last checkpoint, and ends with
# the numbers of a run that was never stopped.
#
# The run lives in a folder. On Colab a session's disk is lost when it ends: call
# `setup("translation", save_to_drive=True)` in the first cell, and the folder is in your Google Drive.
#
# Expect one to a few minutes on two CPU cores; a line appears after each round.

# %%
from course import runtime
from course.translation import Recipe, train_translator

recipe = Recipe(
    vocab_size=2000,
    kind="wordpiece",
    num_layers=2,
    d_model=64,
    num_heads=4,
    d_ff=128,
    dropout=0.0,  # the rule is simple, and no sentence comes often: nothing is learned by heart
    max_tokens=1024,  # ids of a batch, padding included, on each side
    max_steps=900,
    learning_rate=0.006,
    warmup_steps=100,
    label_smoothing=0.1,
    round_steps=90,
    keep=3,  # the last 3 checkpoints are averaged in the end
)
folder = runtime.home() / "runs" / f"translation-{PAIR}-level-{LEVEL}"


class Progress(keras.callbacks.Callback):
    """Prints a line after each round."""

    def on_epoch_end(self, epoch, logs=None):
        step = (epoch + 1) * recipe.round_steps
        print(
            f"step {step:4} of {recipe.max_steps}: validation nll {logs['val_nll']:.2f}", flush=True
        )


translator, log = train_translator(
    recipe, pairs, folder, validation=held_out, callbacks=[Progress()]
)
print(f"{translator.model.count_params():,} parameters")

# %% tags=["timing"]
print(f"trained for {log[-1]['seconds']:.0f} s, {log[-1]['cpu_seconds']:.0f} s of CPU time")

# %%
curves(
    np.array([line["step"] for line in log]),
    {
        "training, smoothed loss": np.array([line["loss"] for line in log]),
        "training, nll": np.array([line["nll"] for line in log]),
        "validation, nll": np.array([line["val_nll"] for line in log]),
    },
    xlabel="step",
    ylabel="loss for each token",
    title="The smoothed loss stops near its floor of 1.1, the plain one near 0.2",
)

# %% [markdown]
# A model that says exactly what smoothing asks for gives each label the probability 0.9, so its nll is
# −log 0.9 = 0.11. That is where the optimum of the *smoothed* loss puts the plain curves. Without smoothing
# they could fall below it, towards 0.
#
# Training and validation go down together: the sentences come from a grammar, and the model learns the
# grammar. With real text the two part, and the training curve goes on falling alone. Then the recipe's
# `patience`, a number of rounds without a better validation, stops the run, and `load_translator(folder, "best")` gives you the checkpoint with the best validation.
#
# The last three checkpoints are **averaged**, weight by weight (the paper averages five, section 6.1).
# Late steps jump around a good place; their mean lies nearer to it. That is the translator that we use:

# %%
test = load("test")
for (source, target), said in zip(test[:6], translator([source for source, _ in test[:6]])):
    print(f"{'=' if said == target else '≠'} {source} | {said}")

# %% [markdown]
# None of these sentences was in training. How good is that? Reading is the best way to judge, and the
# slowest. We need a number.

# %% [markdown]
# ## 6. BLEU
#
# **BLEU** (Papineni et al. 2002) compares a translation with a **reference**, one that people made. It
# asks: how many of its words, and of its runs of 2, 3 and 4 words, stand in the reference? A run of $n$
# words is an **n-gram**.
#
# $$\text{BLEU} = 100 \cdot \text{BP} \cdot \Big(\prod_{n=1}^{N} p_n\Big)^{1/N}, \qquad
# \text{BP} = \begin{cases} 1 & c > r \\ e^{1 - r/c} & 0 < c \le r \\ 0 & c = 0 \end{cases} \qquad (4)$$
#
# | symbol | what it is |
# |---|---|
# | $N$ | the longest n-gram, 4 |
# | $p_n$ | **modified precision**: n-grams of the translations that match, divided by all n-grams of the translations |
# | $c$, $r$ | the number of words of all translations, of all references |
# | BP | **brevity penalty**: it punishes translations that are too short |
#
# *Modified* means **clipped**: an n-gram matches at most as often as the reference has it. All counts are
# summed over the whole test set before one divides.
#
# By hand. The reference has six words: "the dog sleeps on the sofa". The translation has five:
# "dog dog sleeps on the".
#
# | $n$ | n-grams of the translation, those that match in bold | $p_n$ |
# |---|---|---|
# | 1 | **dog**, dog, **sleeps**, **on**, **the** | 4/5: "dog" stands in the reference once |
# | 2 | dog dog, **dog sleeps**, **sleeps on**, **on the** | 3/4 |
# | 3 | dog dog sleeps, **dog sleeps on**, **sleeps on the** | 2/3 |
# | 4 | dog dog sleeps on, **dog sleeps on the** | 1/2 |
#
# The product is 4/5 · 3/4 · 2/3 · 1/2 = 1/5, its fourth root 0.669. With $c = 5$ and $r = 6$ the penalty is
# $e^{1 - 6/5} = 0.819$. BLEU = 100 · 0.819 · 0.669 = **54.8**. Without the penalty it would be 66.9, without
# clipping 57.9.
#
# The product becomes 0 as soon as one $p_n$ is 0. A single sentence often has no 4-gram right, so BLEU is a
# score of test sets, not of sentences.

# %% [markdown]
# ### Exercise 5: BLEU
#
# Write equation (4) as `corpus_bleu(hypotheses, references, max_order=4)`.
#
# - `hypotheses`, `references`: lists of equal length, one entry a sentence; each entry is a list of words
#   (strings), possibly empty. `max_order`: an integer ≥ 1, $N$.
# - Returns a number from 0 to 100.
# - It must hold: matches and n-grams are summed over all sentences before dividing, and so are $c$ and
#   $r$; a sentence shorter than $n$ words has no n-grams; if some $p_n$ has no match or no n-gram at all,
#   BLEU is 0; with no word at all in the translations it is 0. Nothing is smoothed.
# - Example: `corpus_bleu(["dog dog sleeps on the".split()], ["the dog sleeps on the sofa".split()])` is
#   54.75.
# - Of use: `collections.Counter`. For two Counters `a & b` keeps the smaller count of each key, and
#   `sum(a.values())` is its total. A list cannot be a key, `tuple(words)` can.
# - Not to be called: sacreBLEU, `course.translation.bleu`.


# %% exercise="translation.bleu"
def corpus_bleu(hypotheses, references, max_order=4):
    """Equation (4): a number from 0 to 100."""
    ### BEGIN SOLUTION
    from collections import Counter
    from math import exp

    product = 1.0
    for n in range(1, max_order + 1):
        matches = total = 0
        for hypothesis, reference in zip(hypotheses, references):
            ours, theirs = (
                Counter(tuple(words[k : k + n]) for k in range(len(words) - n + 1))
                for words in (hypothesis, reference)
            )
            matches += sum((ours & theirs).values())
            total += sum(ours.values())
        if matches == 0:
            return 0.0
        product *= matches / total
    c, r = (sum(len(words) for words in side) for side in (hypotheses, references))
    penalty = 1.0 if c > r else exp(1 - r / c)
    return 100 * penalty * product ** (1 / max_order)
    ### END SOLUTION


# %%
check(corpus_bleu)

# %% [markdown]
# ### One score, one signature
#
# How does one divide a text into words? "Sofa." may be one word or two, and BLEU changes with it. So
# published scores cannot be compared unless everybody divides alike. **sacreBLEU** (Post 2018) does it for
# you: it takes plain strings, and gives a **signature** that says how. Report both.

# %%
from course.translation import bleu, chrf

print(bleu(["dog dog sleeps on the"], ["the dog sleeps on the sofa"]))

# %% [markdown]
# The same number as by hand. In the signature, `tok:13a` is the way to divide, `case:mixed` says that
# capitals count, `smooth:exp` that a $p_n$ without a match is replaced by a small number.
#
# **chrF** (Popović 2015) looks at runs of *letters* instead. A word with a wrong ending is then half right,
# and languages without spaces need no division into words.
#
# **Predict.**

# %% predict="translation.bleu_synonym"

# %%
reference = ["the car is fast"]
for said in ("the automobile is quick", "the car is slow"):
    print(
        f"{said:24} BLEU {bleu([said], reference)['score']:5.1f}, chrF {chrf([said], reference)['score']:.1f}"
    )

# %% [markdown]
# Neither score knows what a sentence means. They are useful to compare two versions of one system on many
# sentences, and poor at saying whether one sentence is right. Newer scores are trained models, such as
# COMET (Rei et al. 2020); they follow people's judgements better and are harder to explain.

# %% [markdown]
# ### How good is our translator?
#
# Three sets of sentences that were not in training. `test` has other sentences of the same kinds. In
# `test_combinations` each sentence joins two words that no training sentence joins. In
# `test_constructions` all words are known and the pattern is not: "Although it was raining, …" at the
# beginning, when training has "although" only at the end.
#
# **Predict.**

# %% predict="translation.held_out"

# %%
told = {}
for split in ("test", "test_combinations", "test_constructions"):
    sources, targets = zip(*load(split))
    said = told[split] = translator(sources)
    exact = np.mean([a == b for a, b in zip(said, targets)])
    score = bleu(said, targets)
    print(
        f"{split:20} {len(sources):4} sentences  BLEU {score['score']:5.1f}  "
        f"chrF {chrf(said, targets)['score']:5.1f}  word for word right {exact:.0%}"
    )
print(score["signature"])

# %%
unlike = [
    (source, target, said)
    for (source, target), said in zip(load("test_constructions"), told["test_constructions"])
    if said != target
]
for source, target, said in unlike[::40][:4]:
    print(source)
    print("   should be", target)
    print("   is       ", said)

# %% [markdown]
# On sentences of the kinds that it has seen, nearly every one is right word for word. With new pairs of words
# it loses about a fifth of its BLEU: it has learned some words only beside their usual neighbours. New
# constructions it does not get right, although it knows each word: it has learned the patterns of its
# sentences, not German grammar. The constructions are held out on purpose. Without them a test set that
# looks like the training set would have told us that the problem is solved.

# %% [markdown]
# ### Where it looks
#
# The cross-attention of lesson 04, now of a trained model: a row for each German token, a column for each
# English one. `recorded_weights` keeps the weights of every attention that is called inside it.

# %%
from course.attention import recorded_weights
from course.lab import attention_map

learned, model = translator.tokenizer, translator.model
good = [n for n, (_, target) in enumerate(test) if told["test"][n] == target]
at = next((n for n in good if "yesterday" in test[n][0]), 0)
english, german = test[at][0], told["test"][at]
source_ids = np.array([learned.encode(english)[1:]])  # (1, source length)
target_ids = np.array([learned.encode(german)])  # (1, target length + 1)
with recorded_weights() as kept:
    model((source_ids, target_ids[:, :-1]))
crossing = [weights for path, weights in kept if "cross_attention" in path]
weights = ops.convert_to_numpy(crossing[-1])[0].mean(axis=0)  # (target, source): mean of the heads
attention_map(
    weights,
    [learned.id_to_token(i) for i in target_ids[0, 1:]],
    [learned.id_to_token(i) for i in source_ids[0]],
    title="Each German word looks at its English source",
)

# %% [markdown]
# Nobody told the model which word belongs to which: it found out from whole sentences. One German word can
# look at several English ones, and the order differs. The end symbols and full stops look anywhere: what
# they need, the decoder knows already. (A weight is still no explanation, lesson 02.)

# %% [markdown]
# ### Exercise 6: choose a checkpoint, and say what it is worth
#
# A run leaves many checkpoints. Which one do you use, and what do you report? Whoever takes the one with
# the best *test* score has chosen with the answers at hand: on new text it will be worse. So one chooses on
# validation, and looks at the test set once.
#
# Write `choose_checkpoint(steps, train_loss, validation_bleu, test_bleu)`.
#
# - All four are NumPy arrays of the same length, one entry a checkpoint: its step (integers, ascending),
#   its training loss, its BLEU on validation and on test.
# - Returns a dict: `"step"`, the step of the checkpoint with the highest validation BLEU, the earliest if
#   several have it; and `"test"`, the test BLEU of *that* checkpoint.
# - Example: steps `[100, 200, 300]`, validation `[20, 30, 25]` and test `[22, 28, 31]` give `{"step": 200,
#   "test": 28}`, whatever the training loss.
# - All of NumPy may be used.


# %% exercise="translation.choose"
def choose_checkpoint(steps, train_loss, validation_bleu, test_bleu):
    """The step chosen on validation, and the test score to report."""
    ### BEGIN SOLUTION
    at = np.argmax(validation_bleu)
    return {"step": int(steps[at]), "test": float(test_bleu[at])}
    ### END SOLUTION


# %%
check(choose_checkpoint)

# %% [markdown]
# ## 7. What each part is worth
#
# The recorded runs once more, each with one part left out. **Confidence** is the probability that the
# model gives to its own best guess, averaged over all tokens. A model is **calibrated** if it is right as
# often as it is sure: confidence and accuracy agree. The **calibration error** sorts the tokens into ten
# groups by confidence and averages the gap between the two.

# %%
print(f"{parts['steps'][-1]} steps, {parts['sentences']} validation sentences, greedy, one seed")
print(f"{'run':24}{'BLEU':>6}{'train loss':>12}{'nll':>7}{'accuracy':>10}{'sure':>8}{'gap':>7}")
for name, found in runs.items():
    if found["broke"]:
        print(f"{name:24}  broke off: {found['broke']}")
        continue
    print(
        f"{name:24}{found['bleu']:6.1f}{found['loss'][-1]:12.2f}{found['val_nll'][-1]:7.2f}"
        f"{found['accuracy']:10.1%}{found['confidence']:8.1%}{found['calibration_error']:7.3f}"
    )

# %% [markdown]
# Read the columns one by one.
#
# - **Padding counted.** It has the lowest training loss of all, because padding is easy. It translates no
#   better than the run without smoothing, which differs in nothing else. A loss is comparable only with one that
#   counts the same places. (Here 28 % of the places are padding, in the batch of section 1 it
#   was 44 %.)
# - **No smoothing.** BLEU and accuracy are as good. Its nll is lower, as the paper says it would be:
#   "this hurts perplexity" (section 5.4). The paper found a higher BLEU with smoothing; on this small world
#   we do not.
# - **Calibration.** The smoothed model is right more often than it is sure. It is asked for 90 % and gives
#   less. On large models smoothing often makes probabilities *better*, because those are too sure without
#   it (Müller et al. 2019); here it makes them worse. Measure it where you need probabilities.
#
# One seed and 300 steps: read nothing into differences of two or three BLEU.

# %% [markdown]
# ## 8. Larger, and on real data
#
# The same function trains every size. Your run measured the first row of this table; the others are
# settings to start from, with the command.
#
# | tier | data | settings | time |
# |---|---|---|---|
# | two CPU cores, this lesson | 11,465 pairs | 2 + 2 blocks, width 64, batches of 1,024 ids, 900 steps | `log[-1]["seconds"]` in your run |
# | T4 (Colab GPU) | Multi30k, 29,000 pairs | 4 + 4 blocks, width 128, batches of 4,096 ids, 8,000 steps | above 57 s, see below |
# | two CPU cores | Multi30k | the same | 0.5 s a step, measured over the 8,000 steps of the run below |
# | TPU (Colab, JAX) | Multi30k | the same, `--set max_tokens=16384 --set max_steps=2000` | above 2 s, see below |
# | H100 (JAX) | Multi30k | as on the T4 | 76 s until 13 shapes of batches were compiled, then 4.7 ms a step, measured without dropout |
# | H200 | Multi30k | the same as for the TPU, `--set dtype_policy=mixed_bfloat16` | above 0.5 s, see below |
#
# No T4, TPU or H200 was at hand, so their times are **floors**, by arithmetic. A step on 4,096 source and 4,096
# target ids multiplies each encoder vector with 0.52 million weights, each decoder vector with 0.79 million and
# the output's 1.02 million, two operations a weight, and three times as many for the gradients: 6 · 4,096 · 2.33
# million = 57 billion operations. 8,000 steps are $4.6 \cdot 10^{14}$. A T4 can do at most $8.1 \cdot 10^{12}$ a
# second in 32 bits, a TPU v5e $1.97 \cdot 10^{14}$ and an H200 $9.9 \cdot 10^{14}$ in bfloat16 (their makers' figures).
# The H100's measured 4.7 ms a step are far above its floor: a model this small leaves such a chip idle, and
# compiling took longer than all steps would. Larger batches and fewer steps are what `max_tokens` is for.
#
# ```text
# COURSE_DATA=folder course train translation --data multi30k --pair en-de \
#     --out runs/multi30k --set cooldown_steps=1500 --set keep=3 \
#     --test test_2016_flickr
# ```
#
# **Cooldown** is a setting that the paper has not. The root falls slowly: at step 8,000 the rate is still half
# of its peak, and such steps shake the weights around a good place. So over the last 1,500 steps the rate also
# falls in a straight line to 0.
#
# For all 30,000 sentences of the small world, set `LEVEL = 2` in the first cell, and in the recipe
# `vocab_size=6000`, `max_tokens=1280`, `learning_rate=0.008`. With 900 steps, about twice the computing time of this lesson,
# BLEU on 300 sentences of `test` was 85 (one seed). A likely reason: a third of the 3,238 German words occur
# less than ten times in training, and so many steps are under three passes over the data. Longer runs are not
# measured yet. For Chinese, set `PAIR = "en-zh"`, and give `language="zh"` to `bleu`, so that it counts
# characters.
#
# **Multi30k** holds 29,000 captions of photos, English and German, written by people (Elliott et al. 2016).
# What changes on such text: many words occur once, so words are divided into pieces; one sentence has many
# good translations and the reference is only one of them, so BLEU stays far below 100; dropout and
# averaging matter, because a model can learn 29,000 captions by heart. Two scores should stand beside every
# result: that of copying the source, and that of the nearest sentence of the training set.
#
# Here are two runs with the model of the T4 above. In the first the dropout did not act (section 4 tells
# why), so that it did learn them by heart.

# %%
runs = recorded("translation_losses")
for name, run in runs.items():
    print(f"{name}: {run['note']}")
curves(
    {
        f"{which}, {name}": np.array([line["step"] for line in run["log"]])
        for name, run in runs.items()
        for which in ("training", "validation")
    },
    {
        f"{which}, {name}": np.array([line[key] for line in run["log"]])
        for name, run in runs.items()
        for which, key in (("training", "nll"), ("validation", "val_nll"))
    },
    xlabel="step",
    ylabel="nll for each token",
    title="Without dropout the captions are learned by heart",
)

# %% [markdown]
# Without dropout the validation loss rises after step 2,500, while the training loss goes on falling. A run
# that prints its training loss alone would look fine to the end. With a dropout of 0.3 the validation loss
# has come down to 1.74 at step 6,500, below 2.17, the best of the first run. There the cooldown begins: 1,500
# steps later it is 1.67, and BLEU of the validation sentences by greedy search has gone from 37.2 to 38.5. (The
# training loss is measured while numbers are dropped, so it says little here.)
#
# What the second run is worth, on test sentences that nothing was chosen by:

# %%
result = recorded("translation_multi30k")
print(result["command"])
print(result["hardware"])
print(f"{result['steps']:,} steps in {result['minutes']:.0f} minutes. {result['note']}")
print(f"Search: {result['search']}; {result['signature']}")
for split, score in result["bleu"].items():
    trivial = ", ".join(f"{name} {score}" for name, score in result["baselines"][split].items())
    print(f"{split:18} BLEU {score:.1f}, chrF {result['chrf'][split]:.1f}; trivial: {trivial}")

# %% [markdown]
# Is our code any good? `torch.nn.Transformer`, PyTorch's own layers, learned from the same batches in the same
# order, with the same sizes, vocabulary, loss and schedule, on the same two cores. Every 500 steps both
# translated the validation sentences by greedy search. Compare such curves by *time*: a library that needs twice
# as long for a step has to learn twice as much in it.

# %%
print(result["note_torch"])
ours, theirs = result["curve"], result["curve_torch"]
ours = [point for point in ours if point["seconds"] <= theirs[-1]["seconds"]]
both = {"course.transformer": ours, "torch.nn.Transformer": theirs}
curves(
    {name: np.array([point["seconds"] / 60 for point in points]) for name, points in both.items()},
    {name: np.array([point["bleu"] for point in points]) for name, points in both.items()},
    xlabel="minutes of training",
    ylabel="BLEU, validation",
    title="The same model, the same steps, two libraries",
)
# %% [markdown]
# ## 9. What goes wrong in practice
#
# | symptom | likely cause | how to find it |
# |---|---|---|
# | the loss falls to nearly 0 within minutes, translations are nonsense | the decoder's input is not shifted: it reads the answer | compare the input with the labels of one batch, id by id |
# | the loss looks good and depends on the batch size | padding counts, or the mean is one over batches | compute it for one batch and for the same batch with ten more columns of padding |
# | the loss rises to that of guessing after some hundred steps, and stays | the learning rate is too high, or there is no warm-up | halve the peak, double the warm-up; print the rate of the first steps |
#
# A fourth: a BLEU that nobody else can reach. Look for its signature, and for lower-cased or divided
# references.

# %% [markdown]
# ## 10. Remember
#
# 1. The loss is a mean over real tokens: mask, sum, divide once.
# 2. Label smoothing asks for a little less than certainty. The smoothed loss has a floor above 0; watch the
#    plain one.
# 3. The rate grows in a line, then falls with the root of the step. The paper counts from 1, Keras from 0.
# 4. A run writes checkpoints with everything that the next step depends on. Choose on validation, report
#    test once.
# 5. BLEU: clipped n-gram precisions, geometric mean, brevity penalty, over a whole test set, with its
#    signature.
#
# **Go further.** Vaswani et al. 2017, *Attention Is All You Need*, sections 5 and 6.1. Szegedy et al. 2016,
# *Rethinking the Inception Architecture*, section 7. Müller et al. 2019, *When Does Label Smoothing Help?*,
# section 3, on calibration. Papineni et al. 2002, *BLEU*, sections 2 and 3. Post 2018, *A Call for Clarity in
# Reporting BLEU Scores*, sections 2 and 3. Popović 2015, *chrF*, section 2.
#
# **In the library.** `course/translation/` holds what you built, `course/training/` what keeps a run
# alive; `tests/test_translation.py` compares the loss with PyTorch's and kills a training to see it go on.
# Your points:

# %%
progress("translation")

# %% [markdown]
# The models of this lesson can run on your own parts: your attention, your masks, your blocks. Write
# `setup("translation", mine=True)` in the setup cell and run the lesson again. Each part that has
# passed its check is checked once more and takes the place of the library's. `use_library()` goes
# back. The next cell says whose parts have run.

# %%
from course.lab import made_with

made_with()
