# ruff: noqa: F821

# %% [markdown]
# # Attention
#
# After this lesson you can **build** scaled dot-product attention and multi-head attention, **mask**
# what a word must not see, and **measure** what attention costs.
#
# **Time:** 100 minutes, 65 of them for the exercises. **You need:** Python, NumPy arrays and their
# shapes, the matrix product; mean, variance, logarithm and derivative; one training run in Keras.
#
# **Where it is used:** every lesson after this one. A Transformer is attention with a few simple
# parts around it. You are here:
#
# ```text
# words ─→ vectors ─→ ┌─ ATTENTION ─┐ ─→ small network ─→ … again … ─→ prediction
#        (lesson 01)  └ this lesson ┘     (lesson 04)              (lessons 05–10)
# ```

# %% [markdown]
# ## 1. One word, two meanings
#
# A model turns each word into a **vector**, a row of numbers. Look at "bank" in two phrases:
#
# - "the bank of the river"
# - "the bank with the loan"
#
# A table of vectors gives "bank" the same numbers in both. Let us make such a table by hand. It has
# two numbers per word: the first says "water", the second says "money". "bank" could be either.

# %%
import keras
import numpy as np
from keras import ops

vectors = {"river": (2.0, 0.0), "loan": (0.0, 2.0), "bank": (1.0, 1.0)}  # others: (0, 0)


def look_up(phrase):
    """One vector per word: shape (length, 2)."""
    return np.array([vectors.get(word, (0.0, 0.0)) for word in phrase.split()])


for phrase in ("the bank of the river", "the bank with the loan"):
    words = look_up(phrase)
    print(f"{phrase:22} bank = {words[1]}")

# %% [markdown]
# The word needs its neighbours. A first idea: replace each vector by the mean of the whole phrase,
# in equal parts. Does "bank" now lean to the correct meaning?

# %%
for phrase in (
    "the bank of the river",
    "the bank with the loan",
    "the bank of the very long and very slow and very green river",
):
    mean = look_up(phrase).mean(axis=0)  # (2,)
    print(f"water - money = {mean[0] - mean[1]:5.2f}   {phrase}")

# %% [markdown]
# It leans, and the more words there are, the less. In the long phrase "the" and "very" count as much
# as "river", and the clue counts for little. It gets worse: in equal parts, *every* word of the phrase ends up
# with the same vector.
#
# An equal mean cannot choose. **Attention** is a mean that can: each word decides how much of every
# other word goes into it.
#
# (One thing attention does not see is word order: "dog bites man" and "man bites dog" look alike to
# it. Lesson 03 adds it.)

# %% [markdown]
# ## 2. One query and three keys, by hand
#
# Attention works like a search. The word that looks sends out a **query**, a vector that says what it
# looks for. Each word that is looked at shows a **key**, a vector that says what it offers. And each
# has a **value**, a vector that it hands over if it is chosen.
#
# Take one query $q = (1, 0)$ and three keys with their values:
#
# | | key $k_j$ | value $v_j$ | score $q \cdot k_j$ |
# |---|---|---|---|
# | word 1 | (1, 0) | 10 | 1·1 + 0·0 = 1 |
# | word 2 | (0, 1) | 20 | 1·0 + 0·1 = 0 |
# | word 3 | (1, 1) | 60 | 1·1 + 0·1 = 1 |
#
# 1. The **score** of a key is its dot product with the query: large where the two point the same way.
# 2. **Scale**: divide by $\sqrt{d_k}$, where $d_k$ is the width of the query: how many numbers it
#    has. Here $d_k = 2$, and 1, 0, 1 become 0.71, 0, 0.71. Section 5 shows why.
# 3. **Softmax** turns scores into **weights**: numbers above 0 that sum to 1. It takes $e^x$ of each
#    number and divides by the sum. $e^{0.71} = 2.03$ and $e^0 = 1$, together
#    2.03 + 1 + 2.03 = 5.06. The weights are 0.40, 0.20, 0.40.
# 4. The **output** is the mean of the values with these weights:
#    0.40·10 + 0.20·20 + 0.40·60 = 32.0 (with all digits: 32.03).

# %%
q = np.array([1.0, 0.0])  # (d_k,)
k = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])  # (3, d_k)
v = np.array([10.0, 20.0, 60.0])  # (3,)

scores = k @ q / np.sqrt(2)  # (3,)
weights = np.exp(scores) / np.exp(scores).sum()  # (3,)
print("scaled scores", scores.round(2))
print("weights      ", weights.round(2))
print("output       ", (weights @ v).round(2))

# %% [markdown]
# These numbers are chosen so that each slip shows: without scaling the output is 32.7, divided by
# $d_k$ instead of its root it is 31.5, and with equal weights it is 30.0.
#
# **Predict.** Answer first, then run the two cells below.

# %% predict="attention.change_one_key"

# %%
k_changed = np.array([[1.0, 0.0], [3.0, 1.0], [1.0, 1.0]])  # word 2 was (0, 1)
scores = k_changed @ q / np.sqrt(2)
print("weights", (np.exp(scores) / np.exp(scores).sum()).round(2))

# %% [markdown]
# The weights of one query share out 1. A key that gains takes from all others, also from those that
# did not change.

# %% [markdown]
# ## 3. All queries at once
#
# A sentence has many words, and each sends out a query. Put the queries into the rows of a matrix
# $Q$, the keys into $K$, the values into $V$. Then one line does it all (Vaswani et al. 2017,
# equation 1):
#
# $$\text{Attention}(Q, K, V) = \text{softmax}\!\left(\frac{Q K^\top}{\sqrt{d_k}}\right) V
# \qquad (1)$$
#
# | symbol | what it is | shape |
# |---|---|---|
# | $Q$ | one query a row | (query_length, $d_k$) |
# | $K$ | one key a row | (key_length, $d_k$) |
# | $V$ | one value a row | (key_length, $d_v$) |
# | $K^\top$ | $K$ with its rows as columns | ($d_k$, key_length) |
# | $Q K^\top$ | the scores: row $i$, column $j$ is query $i$ with key $j$ | (query_length, key_length) |
# | softmax(…) | the weights: each **row** sums to 1 | (query_length, key_length) |
# | the result | one output a query | (query_length, $d_v$) |
#
# Where $Q$, $K$ and $V$ come from the same sentence, this is **self-attention**. Where the queries
# come from one sentence and the keys and values from another, it is **cross-attention**; a
# translator looks at the source that way (lesson 04).
#
# Where do queries, keys and values come from? A word asks for something other than it offers. So its
# vector $x$ is multiplied by three **learned** matrices: $q = x W^Q$, $k = x W^K$, $v = x W^V$. By
# hand, with $x = (1, 1)$ and
#
# $$W^Q = \begin{pmatrix} 1 & 0 \\ 0 & 0 \end{pmatrix}, \qquad
# W^K = \begin{pmatrix} 0 & 0 \\ 0 & 1 \end{pmatrix}: \qquad q = (1, 0), \quad k = (0, 1).$$
#
# This word looks for what stands in the first number and offers what stands in the second. Without
# the matrices, word $i$ would score word $j$ exactly as $j$ scores $i$, and a long vector would match
# itself best. Section 6 puts the matrices in; until then queries, keys and values are given.
#
# In practice there are more axes in front: a batch of sentences, later several heads. The product
# `ops.matmul` works on the last two axes and leaves those in front alone. So does
# `ops.swapaxes(key, -1, -2)`, which is $K^\top$ for each of them.

# %%
sentence = ops.reshape(ops.arange(6, dtype="float32"), (1, 3, 2))  # (batch 1, length 3, 2)
print("K  ", sentence.shape)
print("K^T", ops.swapaxes(sentence, -1, -2).shape)
print("scores", ops.matmul(sentence, ops.swapaxes(sentence, -1, -2)).shape)

# %% [markdown]
# ### Exercise 1: scores, weights, output
#
# Write equation (1) as `scaled_dot_product_attention(query, key, value)`.
#
# - `query`: float tensor (…, query_length, d_k); `key`: (…, key_length, d_k);
#   `value`: (…, key_length, d_v). The dots stand for any number of axes, also none.
# - Returns two tensors, `output, weights`: (…, query_length, d_v) and (…, query_length, key_length),
#   in the dtype of the inputs. float16 stays float16.
# - It must hold: each row of the weights sums to 1; with one key only, the output is its value; scores
#   in the hundreds do not overflow (`ops.softmax` takes care of that). NumPy arrays are taken too,
#   and stay as they were. A Python number such as `d_k**0.5` keeps the dtype of a tensor that it
#   divides; a float32 tensor does not.
# - Example: the query, keys and values of section 2, with values of shape (3, 1), give the output
#   `[[32.03]]` and the weights `[[0.40, 0.20, 0.40]]`.
# - Not to be called: ready-made attention, from Keras or from this course.


# %% exercise="attention.scaled_dot_product"
def scaled_dot_product_attention(query, key, value):
    """softmax(Q K^T / sqrt(d_k)) V. Returns output, weights."""
    ### BEGIN SOLUTION
    d_k = query.shape[-1]
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / d_k**0.5  # (..., q, k)
    weights = ops.softmax(scores, axis=-1)  # (..., q, k)
    return ops.matmul(weights, value), weights
    ### END SOLUTION


# %%
check(scaled_dot_product_attention)

# %% [markdown]
# Stuck? Run `hint("attention.scaled_dot_product")` in a new cell. Run it again for the next hint.
#
# From here on the lesson uses the course's own functions, so that you can read on with an exercise
# unsolved.

# %%
from course.attention import scaled_dot_product_attention as attend

phrase = "the bank of the very long and very slow and very green river"
words = ops.convert_to_tensor(look_up(phrase), "float32")  # (13, 2)
output, weights = attend(words, words, words, return_weights=True)
before, after = (ops.convert_to_numpy(x[1]) for x in (words, output))
print("bank before", before, "  water - money =", round(float(before[0] - before[1]), 2))
print("bank after ", after.round(2), "  water - money =", round(float(after[0] - after[1]), 2))

# %%
from course.lab import attention_map

attention_map(weights, phrase.split(), title="'bank' looks most at itself and at 'river'")

# %% [markdown]
# "bank" now leans to the water by 0.43, in the phrase where equal parts left 0.15. No rule says which
# word matters: the vectors of "bank" and "river", made by hand, point partly the same way.
#
# Look at "the", too. Its score is 0, and its weight is not: $e^0 = 1$. Only a mask makes a weight 0.

# %% [markdown]
# ## 4. What a word must not see
#
# Two things must stay out of view.
#
# **Padding.** A model reads numbers: each word is replaced by a whole number, its **id**. Sentences in
# a batch have different lengths, so the short ones are filled up with the id 0, the **padding**. It
# means nothing, and nobody should look at it.
#
# **The future.** A model that learns to predict the next word must not see that word. Each position
# may look at itself and at what came before. That rule is called **causal**.
#
# Both are said with a **mask**: a matrix of booleans with the shape of the scores, a row for each
# query and a column for each key. In this course True always means "may look at". Other libraries
# use it the other way round: read their documentation first.
#
# Take the ids `[7, 4, 9, 0]`: three words and one padding token.
#
# ```text
#  causal: j <= i          padding: key j is real      both
#  query 0  T F F F        query 0  T T T F            query 0  T F F F
#  query 1  T T F F        query 1  T T T F            query 1  T T F F
#  query 2  T T T F        query 2  T T T F            query 2  T T T F
#  query 3  T T T T        query 3  T T T F            query 3  T T T F
# ```
#
# Read the padding mask again. It hides a **column**, the padded key. The padded query keeps its row:
# what it computes is thrown away later, so nothing has to be hidden from it.

# %%
from course.attention import causal_mask, padding_mask

ids = ops.convert_to_tensor([[7, 4, 9, 0]])  # (batch 1, length 4)
real = padding_mask(ids)  # (1, 4)
both = ops.logical_and(causal_mask(4), real[:, None, :])  # (4, 4) and (1, 1, 4) -> (1, 4, 4)
print(ops.convert_to_numpy(both[0]).astype(int))

# %% [markdown]
# ### Exercise 2: causal and padding masks
#
# Write `make_mask(token_ids, causal=False, pad_id=0)` without the two functions above.
#
# - `token_ids`: integer tensor (batch, length). `causal`: a Python bool. `pad_id`: the id that fills
#   up.
# - Returns a boolean tensor of shape (batch, length, length), also where all its rows are the same.
#   Entry [b, i, j] is True where query i of sentence b may look at key j: key j is not padding, and,
#   if `causal`, j ≤ i.
# - It must hold: padding may stand anywhere, also in front; a sentence of one word works; padded
#   queries keep their rows; NumPy arrays are taken too.
# - `ops.not_equal` compares; `ops.broadcast_to(mask, shape)` repeats a mask along axes of size 1.
# - Example: the ids `[[7, 4, 9, 0]]` give the two right-hand matrices above for `causal=False` and
#   `causal=True`.


# %% exercise="attention.masks"
def make_mask(token_ids, causal=False, pad_id=0):
    """True where query i may look at key j: (batch, length, length)."""
    ### BEGIN SOLUTION
    batch, length = token_ids.shape
    mask = ops.not_equal(token_ids, pad_id)[:, None, :]  # (batch, 1, length)
    mask = ops.broadcast_to(mask, (batch, length, length))
    if causal:
        position = ops.arange(length)
        mask = ops.logical_and(mask, position[None, :] <= position[:, None])
    return mask
    ### END SOLUTION


# %%
check(make_mask)

# %% [markdown]
# ### How a mask enters
#
# A hidden key must get the weight 0. So its score must be so low that $e^{\text{score}}$ is 0. That
# is done **before** the softmax: where the mask is False, the score is replaced by a very negative
# number such as −1,000,000,000. Then the softmax shares out the whole 1 among the keys that are left.
#
# By hand, with two keys of equal score 1 and the second one hidden:
#
# | | scores | weights |
# |---|---|---|
# | no mask | 1, 1 | 0.50, 0.50 |
# | masked before the softmax | 1, −10⁹ | 1.00, 0.00 |
# | mask multiplied with the scores | 1, 0 | 0.73, 0.27: $e^0 = 1$, so it is still seen |
# | mask multiplied with the weights | 1, 1 | 0.50, 0.00: the sum is no longer 1 |
#
# **The row with nothing to see.** If *every* key is hidden from a query, all its scores are −10⁹,
# and a softmax of equal numbers gives equal weights: it looks at everything it must not see. With −∞
# in place of −10⁹ it is worse: 0 divided by 0 is **NaN**, "not a number", and one NaN in a batch
# spoils the whole training step. In this course such a row has weights of exactly 0 and the output 0.

# %% [markdown]
# ### Exercise 3: masked attention, and a row with nothing to see
#
# Write `masked_attention(query, key, value, attention_mask)`.
#
# - `query`, `key`, `value` as in exercise 1. `attention_mask`: boolean, (…, query_length,
#   key_length), True = may look at. Axes in front may be missing; they broadcast.
# - Returns `output, weights`, as in exercise 1.
# - It must hold: hidden keys have weight 0 and change nothing, however large their scores; what is
#   left sums to 1; a query with no key at all has weights and output exactly 0, no NaN; float16 works
#   too, where the most negative number is −65,504.
# - Example: two queries and two keys, all scores equal, the mask `[[True, False], [False, False]]`:
#   the weights are `[[1, 0], [0, 0]]`.
# - Not to be called: ready-made attention. Copy the lines of exercise 1: its function cannot be
#   called, because the mask goes in between.


# %% exercise="attention.fully_masked_row"
def masked_attention(query, key, value, attention_mask):
    """Attention that looks only where the mask is True. Returns output, weights."""
    ### BEGIN SOLUTION
    d_k = query.shape[-1]
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / d_k**0.5  # (..., q, k)
    scores = ops.where(attention_mask, scores, -3e4)  # finite also in float16
    weights = ops.softmax(scores, axis=-1)
    weights = ops.where(attention_mask, weights, ops.zeros_like(weights))  # rows with no key
    return ops.matmul(weights, value), weights
    ### END SOLUTION


# %%
check(masked_attention)

# %% [markdown]
# ### A mask that is wrong
#
# What does a training look like if the causal mask is wrong? Let us build one on purpose.
#
# The data is noise: 2,048 rows of 13 ids, each id drawn at random from 0 to 7. The next id cannot be
# predicted, so an honest model is right 1 time in 8, 12.5%. The model is small. An **embedding** is a
# table with a learned vector for each id, and one for each place (lesson 03). `MultiHeadAttention` is
# the course's layer; with one head it is what you have built, with three learned matrices in front
# and one behind (section 6). `d_model` is the number of entries in a word's vector.

# %%
from course.attention import MultiHeadAttention


class NextId(keras.Model):
    """Scores for the id that follows each position: (batch, 13) -> (batch, 12, 8)."""

    def __init__(self, attention_mask):
        super().__init__()
        self.attention_mask = attention_mask
        self.ids = keras.layers.Embedding(8, 32)
        self.places = keras.layers.Embedding(13, 32)
        self.attention = MultiHeadAttention(num_heads=1, d_model=32)
        self.scores = keras.layers.Dense(8)

    def call(self, ids):
        x = self.ids(ids) + self.places(ops.arange(13))  # (batch, 13, 32)
        return self.scores(self.attention(x, attention_mask=self.attention_mask))[:, :-1]


# %% [markdown]
# **Predict** what the training accuracy does if the mask is inverted.

# %% predict="attention.inverted_mask"

# %%
noise = np.random.default_rng(0).integers(0, 8, (2048, 13)).astype("int32")


def train(attention_mask):
    """Trains for 3 epochs; returns the model and its accuracy at the end of each."""
    keras.utils.set_random_seed(0)
    model = NextId(attention_mask)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    history = model.fit(noise, noise[:, 1:], batch_size=64, epochs=3, verbose=0)
    return model, history.history["accuracy"]


right, inverted = causal_mask(13), ops.logical_not(causal_mask(13))
honest, honest_accuracy = train(right)
cheat, cheat_accuracy = train(inverted)
print(f"right mask:    {honest_accuracy[-1]:.1%} of the next ids are right")
print(f"inverted mask: {cheat_accuracy[-1]:.1%}")

# %%
cheat.attention_mask = right  # at generation there is no future to look at
cheat.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
_, accuracy = cheat.evaluate(noise, noise[:, 1:], verbose=0)
print(f"trained with the inverted mask, used without the future: {accuracy:.1%}  (chance: 12.5%)")

# %% [markdown]
# The inverted mask lets each position see what comes after it, and the first thing there is the
# answer. The model learns to copy it. In use there is no future to copy from, and it falls back to
# chance.
#
# Remember the symptom: **a model that is far better than it can be**. Test a mask before you trust a
# training: change a later word, and no earlier output may change.

# %%
layer = honest.attention
x = keras.random.normal((1, 5, 32), seed=1)
y = ops.concatenate([x[:, :4], -x[:, 4:]], axis=1)  # another last word
masks = {"causal": causal_mask(5), "none": None, "inverted": ops.logical_not(causal_mask(5))}
for name, mask in masks.items():
    difference = layer(x, attention_mask=mask) - layer(y, attention_mask=mask)
    changed = ops.convert_to_numpy(ops.max(ops.abs(difference), axis=(0, 2)) > 1e-6)
    print(f"mask {name:9} outputs that changed: {changed.astype(int)}")

# %% [markdown]
# ## 5. Why divide by √d_k?
#
# A dot product is a sum of $d_k$ terms, so it grows with the width of the vectors. Take entries of $q$
# and $k$ that are independent, with mean 0 and variance 1.
#
# **Predict** what happens to the softmax as $d_k$ grows, if nothing is divided.

# %% predict="attention.without_scaling"

# %% [markdown]
# Each term $q_m k_m$ has mean 0 and variance 1, and variances add up: the score has variance $d_k$, and
# a spread (standard deviation) of $\sqrt{d_k}$. With $d_k = 4$ scores are around ±2, with $d_k = 1024$
# around ±32. Dividing by $\sqrt{d_k}$ brings the spread back to 1, whatever $d_k$ is. (Vaswani et al.
# 2017, section 3.2.1, note 4.)

# %% [markdown]
# We measure two things for one query and 32 keys, over 200 draws:
#
# - the **entropy** of the weights, $-\sum_j w_j \log_2 w_j$ in bits: 5 bits means 32 equal weights,
#   0 bits means that one key has everything;
# - the size of the **gradient** of the softmax: how much the weights move when the numbers that enter
#   it move. The derivative of weight $i$ by number $j$ is $w_i (\delta_{ij} - w_j)$, where
#   $\delta_{ij}$ is 1 for $i = j$ and 0 otherwise. We take the root of the sum of their squares.

# %%
rng = np.random.default_rng(0)
widths = 2 ** np.arange(2, 11)  # 4 to 1,024


def measure(d_k, scaled):
    """Mean entropy in bits, median size of the gradient, over 200 draws of 32 keys."""
    q, k = rng.normal(size=(200, 1, d_k)), rng.normal(size=(200, 32, d_k))
    scores = (q * k).sum(-1) / (np.sqrt(d_k) if scaled else 1)  # (200, 32)
    w = np.exp(scores - scores.max(-1, keepdims=True))
    w /= w.sum(-1, keepdims=True)
    entropy = -(w * np.log2(w + 1e-30)).sum(-1)
    jacobian = w[:, :, None] * (np.eye(32) - w[:, None, :])  # (200, 32, 32)
    return entropy.mean(), np.median(np.sqrt((jacobian**2).sum((1, 2))))


scaled = np.array([measure(d, True) for d in widths])  # (9, 2)
unscaled = np.array([measure(d, False) for d in widths])
print("d_k = 1024   entropy   gradient")
print(f"scaled       {scaled[-1, 0]:7.2f}   {scaled[-1, 1]:8.4f}")
print(f"not scaled   {unscaled[-1, 0]:7.2f}   {unscaled[-1, 1]:8.4f}")

# %%
from course.lab import curves

curves(
    widths,
    {"divided by √d_k": scaled[:, 0], "not scaled": unscaled[:, 0]},
    xlabel="d_k, width of queries and keys",
    ylabel="entropy of the weights (bits)",
    title="Without scaling, attention collapses onto one key as d_k grows",
    logx=True,
)

# %%
curves(
    widths,
    {"divided by √d_k": scaled[:, 1], "not scaled": unscaled[:, 1]},
    xlabel="d_k, width of queries and keys",
    ylabel="size of the softmax gradient (median)",
    title="... and from d_k = 64 on the gradient fades",
    logx=True,
)

# %% [markdown]
# We took the median, not the mean, because a few draws have two keys that happen to be level, and
# their gradient stays large. For most draws it is gone. A layer whose gradient is near 0 can hardly
# correct what it looks at. Below $d_k = 64$ the unscaled gradient is even larger: the harm starts
# beyond.
#
# The argument holds at the start of a training, when entries are independent and of variance 1. Later
# they are neither. Other choices exist; $\sqrt{d_k}$ is the one that nearly everybody uses.

# %% [markdown]
# ## 6. Several questions at once
#
# One softmax gives one weighted mean. In "the steep bank of the river" the word "bank" may want to
# know two things: *which* bank, and *what* is it like? A single head that looks half at "river" and
# half at "steep" gets a mixture of the two, and nobody can tell the halves apart again.
#
# **Multi-head attention** asks several questions side by side (Vaswani et al. 2017, section 3.2.2).
# Each **head** has its own small queries, keys and values:
#
# $$\text{head}_h = \text{Attention}(X W^Q_h,\; X W^K_h,\; X W^V_h), \qquad
# \text{MultiHead}(X) = [\text{head}_1, \dots, \text{head}_H]\; W^O \qquad (2)$$
#
# | symbol | what it is | shape |
# |---|---|---|
# | $X$ | the words | (length, $d_\text{model}$) |
# | $H$ | number of heads | |
# | $W^Q_h, W^K_h, W^V_h$ | the **projections** of head $h$: learned matrices | ($d_\text{model}$, $d_\text{head}$) |
# | $d_\text{head}$ | $d_\text{model} / H$, the width of one head; it is the head's $d_k$ | |
# | $[\dots]$ | the heads' outputs put side by side | (length, $d_\text{model}$) |
# | $W^O$ | the output projection: mixes what the heads found | ($d_\text{model}$, $d_\text{model}$) |
#
# Eight heads of width 64 need as many multiplications as one head of width 512: the width is shared
# out, not multiplied. Their learned matrices hold equally many numbers, too. What grows is the table of
# attention weights: each head has its own, (length, length), so eight heads keep eight of them.
#
# In code, the matrices of all heads stand side by side in one matrix of shape ($d_\text{model}$,
# $d_\text{model}$). So one product makes the queries of all heads, and then the result is **split**:
#
# ```text
# (batch, length, d_model)
#   reshape    -> (batch, length, num_heads, d_head)  cut each word into heads
#   transpose  -> (batch, num_heads, length, d_head)  heads in front of the words
# ```
#
# At the end the heads are **merged**, the same two steps backwards. A mask gets an axis for the heads:
#
# ```text
# (batch, num_heads, length, d_head)
#   transpose  -> (batch, length, num_heads, d_head)  each word's heads together
#   reshape    -> (batch, length, d_model)            as [head_1, ..., head_H]
#
# mask (batch, length, length)
#   mask[:, None] -> (batch, 1, length, length)       for every head
# ```
#
# The transpose looks like a detail. A reshape straight to (batch, num_heads, length, d_head) gives the
# right *shape* with the wrong *content*.

# %%
from course.lab import head_split_figure

head_split_figure(length=3, num_heads=2, d_head=2)

# %% [markdown]
# A letter is a word, a number is a place in its vector. Split rightly, a head holds the first or the
# second half of *every* word. After the plain reshape head 1 holds all of A, half of B and nothing of
# C: words are mixed up, and no error is raised.

# %%
x = np.array([["A0", "A1", "A2", "A3"], ["B0", "B1", "B2", "B3"], ["C0", "C1", "C2", "C3"]])
split = x.reshape(3, 2, 2).transpose(1, 0, 2)  # (num_heads, length, d_head)
mixed = x.reshape(2, 3, 2)  # the same shape
print("head 1, split:   ", split[0].tolist())
print("head 1, mixed up:", mixed[0].tolist())

# %% [markdown]
# ### Exercise 4: multi-head attention by hand
#
# Write `multi_head_attention(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None)`.
#
# - `x`: float tensor (batch, length, d_model). `w_q`, `w_k`, `w_v`, `w_o`: (d_model, d_model); a
#   projection is `ops.matmul(x, w)`. `num_heads` divides d_model.
# - `attention_mask`: boolean (batch, length, length), the same for every head, or None.
# - Returns a tensor (batch, length, d_model).
# - It must hold: one head is attention with four projections around it; scores are divided by
#   $\sqrt{d_\text{head}}$; batch 1 and length 1 work.
# - Example: `num_heads=2`, all four matrices the identity, `x = [[[1, 0, 0, 0], [1, 0, 0, 2]]]`. In
#   head 1 both words are (1, 0): equal weights, output (1, 0). In head 2 they are (0, 0) and (0, 2);
#   the second word scores 0 and 4/√2 = 2.83, weights 0.06 and 0.94. The output is
#   `[[[1, 0, 0, 1], [1, 0, 0, 1.89]]]`.
# - Not to be called: ready-made attention. Your `masked_attention` is welcome.


# %% exercise="attention.multi_head"
def multi_head_attention(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    """Equation (2) for a batch: (batch, length, d_model) -> the same shape."""
    ### BEGIN SOLUTION
    batch, length, d_model = x.shape
    d_head = d_model // num_heads

    def split_heads(y):
        y = ops.reshape(y, (batch, length, num_heads, d_head))
        return ops.transpose(y, (0, 2, 1, 3))  # (batch, heads, length, d_head)

    query, key, value = (split_heads(ops.matmul(x, w)) for w in (w_q, w_k, w_v))
    if attention_mask is None:
        attention_mask = ops.ones((batch, length, length), dtype="bool")
    heads, _ = masked_attention(query, key, value, attention_mask[:, None])
    heads = ops.transpose(heads, (0, 2, 1, 3))  # (batch, length, heads, d_head)
    return ops.matmul(ops.reshape(heads, (batch, length, d_model)), w_o)
    ### END SOLUTION


# %%
check(multi_head_attention)

# %% [markdown]
# ### Exercise 5: repair a layer that mixes words up
#
# A colleague wrote the layer below. It runs, it trains, its shapes are right, and its results are
# poor. Find the two mistakes and repair them. Change nothing else: the check sets the weights of
# `query_dense`, `key_dense`, `value_dense` and `output_dense`.
#
# - `SelfAttention(num_heads, d_model)` is a Keras layer. Called on a float tensor
#   (batch, length, d_model) it returns the same shape.
# - It must hold: the same result as exercise 4 without a mask; batch 1 and length 1 work; it can be
#   made again from its `get_config()`.
# - Example: `split_heads` of the letters above gives the first head `[[A0, A1], [B0, B1], [C0, C1]]`.


# %% exercise="attention.repair"
class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention without biases."""

    def __init__(self, num_heads, d_model, **kwargs):
        super().__init__(**kwargs)
        self.num_heads, self.d_model = num_heads, d_model
        self.query_dense = keras.layers.Dense(d_model, use_bias=False)
        self.key_dense = keras.layers.Dense(d_model, use_bias=False)
        self.value_dense = keras.layers.Dense(d_model, use_bias=False)
        self.output_dense = keras.layers.Dense(d_model, use_bias=False)

    ### BEGIN SOLUTION
    def split_heads(self, x):
        """(batch, length, d_model) -> (batch, num_heads, length, d_head)."""
        length, d_head = x.shape[1], self.d_model // self.num_heads
        x = ops.reshape(x, (-1, length, self.num_heads, d_head))  # -1: whatever the batch is
        return ops.transpose(x, (0, 2, 1, 3))

    def merge_heads(self, x):
        """(batch, num_heads, length, d_head) -> (batch, length, d_model)."""
        x = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(x, (-1, x.shape[1], self.d_model))

    # ~ def split_heads(self, x):
    # ~     """(batch, length, d_model) -> (batch, num_heads, length, d_head)."""
    # ~     length, d_head = x.shape[1], self.d_model // self.num_heads
    # ~     return ops.reshape(x, (-1, self.num_heads, length, d_head))  # -1: whatever the batch is
    # ~
    # ~ def merge_heads(self, x):
    # ~     """(batch, num_heads, length, d_head) -> (batch, length, d_model)."""
    # ~     return ops.reshape(x, (-1, x.shape[2], self.d_model))
    ### END SOLUTION

    def call(self, x):
        query = self.split_heads(self.query_dense(x))
        key = self.split_heads(self.key_dense(x))
        value = self.split_heads(self.value_dense(x))
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
        heads = ops.matmul(ops.softmax(scores, axis=-1), value)
        return self.output_dense(self.merge_heads(heads))

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads, "d_model": self.d_model}


# %%
check(SelfAttention)

# %% [markdown]
# ## 7. What it costs
#
# Count multiplications for a sentence of $n$ words, with $d$ short for $d_\text{model}$:
#
# - the four projections: each of $n$ words times a ($d$, $d$) matrix, four times: $4 n d^2$;
# - the attention itself: $n \cdot n$ scores of $d$ terms in all heads together, and the same again
#   for the weighted mean: $2 n^2 d$.
#
# By hand, $n = 3$ and $d = 4$: projections 4·3·16 = 192, attention 2·9·4 = 72.
#
# **Predict.**

# %% predict="attention.twice_as_long"

# %% [markdown]
# Now measure. The cell times attention alone, for one sentence with 4 heads of width 32.

# %% tags=["timing"]
import time


def seconds_for(length):
    """Median time of 5 calls, in seconds, after 2 calls to warm up."""
    x = keras.random.normal((1, 4, length, 32), seed=0)  # (batch, heads, length, d_head)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        ops.convert_to_numpy(attend(x, x, x))  # to NumPy: waits until it is computed
        times.append(time.perf_counter() - start)
    return float(np.median(times[2:]))


measured_lengths = np.array([512, 1024, 2048])
measured_seconds = np.array([seconds_for(int(n)) for n in measured_lengths])
for n, seconds in zip(measured_lengths, measured_seconds):
    print(f"{n:5} words  {1000 * seconds:8.2f} ms")

# %% [markdown]
# Your numbers depend on your machine. Here are recorded ones, with the command that made them.

# %%
from course.lab import recorded

cost = recorded("attention_cost")
print(cost["command"])
print(cost["hardware"])
print(f"d_model {cost['d_model']}, {cost['num_heads']} heads")
curves(
    cost["lengths"],
    {"attention": cost["attention_ms"], "projections": cost["projections_ms"]},
    xlabel="length of the sentence (words)",
    ylabel="time of one forward pass (ms)",
    title=f"From 512 words on: attention length^{cost['exponent']['attention']:.1f}, "
    f"projections length^{cost['exponent']['projections']:.1f}",
    logx=True,
    logy=True,
)

# %% [markdown]
# On these axes, both logarithmic, a straight line means a power: time = $c \cdot n^p$. Taking
# logarithms, $\log(\text{time}) = \log c + p \cdot \log n$: the **exponent** $p$ is the slope. Below 512
# words fixed costs of each call hide the growth, so the exponents in the title are fitted from there
# on. Counted in multiplications the two lines meet at some length; you work out where below.
#
# Time is half of the cost. The weights have $n^2$ entries per head: at $n = 8192$ with 12 heads in
# float32 they take 8192² · 12 · 4 bytes = 3.2 GB for a single sentence and a single layer. Modern
# kernels compute the same result in pieces and never hold the whole matrix (FlashAttention, Dao et
# al. 2022): the memory goes away, the multiplications stay.

# %% [markdown]
# ### Exercise 6: measure the cost, and decide
#
# Write `cost_report(lengths, seconds, d_model)`.
#
# - `lengths`, `seconds`: NumPy arrays of the same length, float. `d_model`: an integer.
# - Returns a dict with two floats: `"exponent"`, the slope of the best straight line (least squares)
#   through log(seconds) against log(lengths), and `"crossover"`, the length at which the attention
#   takes as many multiplications as the four projections.
# - Example: `lengths = [100, 200, 400]` with times that become four times as long at each step give
#   the exponent 2.0.
# - All of NumPy may be used.


# %% exercise="attention.cost"
def cost_report(lengths, seconds, d_model):
    """The measured exponent, and the length at which attention costs as much as the projections."""
    ### BEGIN SOLUTION
    slope, _ = np.polyfit(np.log(lengths), np.log(seconds), 1)
    return {"exponent": float(slope), "crossover": 2.0 * d_model}
    ### END SOLUTION


# %%
check(cost_report)

# %% [markdown]
# Try it on your own numbers: `cost_report(measured_lengths, measured_seconds, d_model=128)`. On short
# sentences fixed costs weigh more, and the exponent comes out below 2.
#
# **Decide.** BERT-base has d_model = 768 and reads up to 512 words. Somebody offers you an attention
# that is twice as fast.

# %% predict="attention.decide"

# %% [markdown]
# In the figure above d_model is 256, and the two lines meet near 2 · 256 = 512 words. For BERT-base the
# crossover is at 2 · 768 = 1,536 words. At 512 words the projections need three times the
# multiplications of the attention; the small network that follows them in a layer needs six times as
# many. At 8,192 words the attention needs 5.3 times the projections.

# %% [markdown]
# ## 8. On real sentences
#
# The vectors of section 1 were made by hand. Here are some that were *counted*: two words get
# similar vectors if they stand near the same words, over all English sentences of the course's own
# small world. There is no training yet (lesson 07 does that), so queries and keys are the vectors
# themselves, and each head takes a quarter of their width.

# %%
from course import data

corpus = [row["source"].lower().rstrip(".?!").split() for row in data.load("world-en-de", "train")]
counts = {}
for sentence in corpus:
    for word in sentence:
        counts[word] = counts.get(word, 0) + 1
vocabulary = {word: i for i, word in enumerate(sorted(counts, key=lambda w: (-counts[w], w)))}
print(f"{len(corpus):,} sentences, {len(vocabulary):,} different words")

# %%
# How often each word stands within 3 words of each of the 500 commonest.
# One long line of numbers, with three times -1 between two sentences.
line = np.concatenate([[*(vocabulary[word] for word in s), -1, -1, -1] for s in corpus])
near = np.zeros((len(vocabulary), 500))
for gap in (1, 2, 3):
    for word, other in ((line[gap:], line[:-gap]), (line[:-gap], line[gap:])):
        counts_here = (word >= 0) & (other >= 0) & (other < 500)
        np.add.at(near, (word[counts_here], other[counts_here]), 1)
# More often than chance? (positive pointwise mutual information, Levy and Goldberg 2014)
chance = near.sum(1, keepdims=True) * near.sum(0) / near.sum()
information = np.log(np.maximum(near, 1e-9) / np.maximum(chance, 1e-9)).clip(0)
left, size, _ = np.linalg.svd(information, full_matrices=False)
word_vectors = left[:, :64] * np.sqrt(size[:64])  # (words, 64)
word_vectors /= np.linalg.norm(word_vectors, axis=1, keepdims=True) + 1e-9

# %%
from course.lab import explore_attention

tokens = next(s for s in corpus if 9 <= len(s) <= 12 and len(set(s)) == len(s))
x = 12 * word_vectors[[vocabulary[word] for word in tokens]]  # (length, 64)
heads = ops.convert_to_tensor(x.reshape(len(tokens), 4, 16).transpose(1, 0, 2), "float32")
others = ~np.eye(len(tokens), dtype=bool)  # a word matches itself best: hide it from itself
_, weights = attend(heads, heads, heads, others, return_weights=True)  # (heads, length, length)
explore_attention(weights, tokens, title="Four heads on one sentence, with counted vectors")

# %% [markdown]
# Choose a head, hover over a word, click to keep it. The arrow keys work too. Each head sees another
# quarter of the vectors, and gives other weights. These vectors were counted, not trained: some pairs
# make sense, many do not. Finding useful ones is what training is for.
#
# **A warning.** A weight says how much of a value went into an output. It does not say *why* the
# model decided as it did: what a value carries depends on all layers before, and different weights
# can give the same prediction (Jain and Wallace 2019; Wiegreffe and Pinter 2019 answer them). Lesson
# 12 comes back to this.
#
# The same cells run on the captions of Multi30k. With a network, or with the environment variable
# `COURSE_DATA` set to a folder that holds `multi30k/`, replace the line that starts with `corpus =` by
# `corpus = [row["en"].lower().split() for row in data.load("multi30k", "train")]`.

# %% [markdown]
# ## 9. What goes wrong in practice
#
# | symptom | likely cause | how to find it |
# |---|---|---|
# | the loss is NaN from some step on | a row with every key hidden, and −∞ as the mask value | look for rows of the mask with no True; use a finite number and set the row to 0 |
# | training accuracy near 100%, poor text in use | the mask is inverted, or shifted by one | change a later word: no earlier output may change |
# | it trains, but never as well as expected | heads split by a reshape alone; scores divided by √d_model instead of √d_head | compare with a library on copied weights; a plain reshape agrees with it at length 1 and disagrees at length 2 |

# %% [markdown]
# ## 10. Remember
#
# 1. Attention is a weighted mean of values. The weights come from queries and keys, and each row sums
#    to 1.
# 2. Scores are divided by √d_k, so that the softmax starts out soft and its gradient not near 0.
# 3. A mask says "may look at". It goes in before the softmax; a row with nothing to see is 0.
# 4. Heads ask several questions at once, with the multiplications of one. Split: reshape, then
#    transpose.
# 5. Attention's time and memory grow with the square of the length. Beyond a length of 2 · d_model it
#    needs more multiplications than the projections.
#
# **Go further.** Vaswani et al. 2017, *Attention Is All You Need*, sections 3.2 and 4. Bahdanau et
# al. 2015, *Neural Machine Translation by Jointly Learning to Align and Translate*, section 3: where
# attention comes from. Dao et al. 2022, *FlashAttention*, section 3. Jain and Wallace 2019,
# *Attention is not Explanation*; Wiegreffe and Pinter 2019, *Attention is not not Explanation*.
#
# **In the library.** `course/attention.py` holds what you built, with dropout, half precision and
# saving; `tests/test_attention.py` compares it with Keras and PyTorch. Your points:

# %%
progress("attention")
