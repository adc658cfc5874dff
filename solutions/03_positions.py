# ruff: noqa: F821

# %% [markdown]
# # Positions
#
# After this lesson you can **show** that attention does not see the order of words, **build** three
# ways to tell it, waves, rotations and a penalty on distance, and **measure** how far each reaches
# past the length it was trained on.
#
# **Time:** 90 minutes, 55 of them for the exercises. **You need:** lesson 02, and sine and cosine.
#
# **Where it is used:** nearly every Transformer has one of these. You are here:
#
# ```text
# words ─→ vectors ─→ + POSITIONS ─→ attention ─→ small network ─→ … ─→ prediction
#        (lesson 01)  (this lesson)  (lesson 02)   (lesson 04)
# ```

# %% [markdown]
# ## 1. The same words in another order
#
# "dog bites man" is no news. "man bites dog" is. The words are the same, only their order differs.
#
# **Predict** what self-attention does when two words change places.

# %% predict="positions.order"

# %%
import keras
import numpy as np
from keras import ops

from course.attention import MultiHeadAttention

keras.utils.set_random_seed(0)
vectors = {
    word: np.random.default_rng(i).normal(size=8) for i, word in enumerate("dog bites man".split())
}
attention = MultiHeadAttention(num_heads=2, d_model=8)


def look(sentence):
    """The output of attention for each word: {word: its first three numbers}."""
    words = sentence.split()
    x = np.array([[vectors[word] for word in words]], "float32")  # (1, 3, 8)
    output = ops.convert_to_numpy(attention(x))[0]  # (3, 8)
    return {word: [round(float(x), 2) for x in row[:3]] for word, row in zip(words, output)}


for sentence in ("dog bites man", "man bites dog"):
    print(sentence, look(sentence))

# %% [markdown]
# "dog" gets the same vector in both sentences, and so does "man". Without a mask, each query meets the
# same set of keys and values, and a weighted mean does not know an order. The layer is **permutation
# equivariant**: reorder the inputs, and the outputs are reordered in the same way, nothing else.
#
# With a causal mask the first word sees one key, the second sees two: a model can learn something
# about places from the mask alone. The models of section 6 have one, and the one without positions lives
# on it.
#
# So the order has to be written into the vectors, or into the scores. What should such a **position
# encoding** be like?
#
# - **Different** for each position.
# - **Bounded**: position 5,000 must not drown the word.
# - **The same** for position 3 of a short sentence and of a long one.
# - **Regular**: "two words earlier" should look alike everywhere.
#
# Two first ideas fail. The number of the position itself (0, 1, 2, …) is not bounded. The number
# divided by the length is bounded, but then position 3 has another code in each sentence. A clock is
# better: its hands go round, never grow, and together they tell the time.

# %% [markdown]
# ## 2. Waves
#
# Take hands that turn at different speeds. Instead of the angle of a hand, write down the sine and
# the cosine of its angle: two numbers between −1 and 1 that say where the hand points. For position
# $pos$ and a width of $d_\text{model}$ numbers (Vaswani et al. 2017, section 3.5):
#
# $$PE_{(pos,\,2i)} = \sin\!\left(\frac{pos}{10000^{2i/d_\text{model}}}\right) \qquad
# PE_{(pos,\,2i+1)} = \cos\!\left(\frac{pos}{10000^{2i/d_\text{model}}}\right) \qquad (1)$$
#
# | symbol | what it is |
# |---|---|
# | $pos$ | the position: 0, 1, 2, … |
# | $i$ | the number of the pair (the hand): 0, 1, …, $d_\text{model}/2 - 1$ |
# | $10000^{2i/d_\text{model}}$ | how slow the hand is: 1 for the first pair, more for each that follows (at $d_\text{model} = 64$, 7,499 for the last) |
# | $2i$, $2i+1$ | the two columns of pair $i$: sine and cosine side by side |
#
# By hand, with $d_\text{model} = 4$: the first hand turns by 1 at each step (an angle in radians), the
# second by $1/10000^{2/4} = 1/100$.
#
# | position | sin(pos) | cos(pos) | sin(pos/100) | cos(pos/100) |
# |---|---|---|---|---|
# | 0 | 0 | 1 | 0 | 1 |
# | 1 | 0.84 | 0.54 | 0.01 | 1.00 |
# | 2 | 0.91 | −0.42 | 0.02 | 1.00 |

# %%
position = np.arange(3)[:, None]  # (3, 1)
slowness = 10000 ** (2 * np.arange(2) / 4)  # (2,): 1 and 100
angles = position / slowness  # (3, 2): one angle for each position and pair
print("the two columns of sines:")
print(np.sin(angles).round(2))
print("the two columns of cosines:")
print(np.cos(angles).round(2))

# %% [markdown]
# ### Exercise 1: waves
#
# Write equation (1) as `positional_encoding(length, d_model)`.
#
# - `length`, `d_model`: integers, `d_model` even.
# - Returns a float32 array or tensor (length, d_model): row `pos` is the code of position `pos`, its
#   columns are sine, cosine, sine, cosine, …
# - It must hold: row 0 is 0, 1, 0, 1, …; one position works too.
# - Example: `positional_encoding(3, 4)` is the table above, without its first column.
# - Of use: `np.stack([a, b], axis=-1)` lays two arrays side by side, number by number, and `reshape`
#   joins the last two axes; `.astype("float32")` sets the dtype.
# - Not to be called: the functions of `course.positions`.


# %% exercise="positions.sinusoidal"
def positional_encoding(length, d_model):
    """Equation (1): (length, d_model), float32."""
    ### BEGIN SOLUTION
    position = np.arange(length)[:, None]  # (length, 1)
    slowness = 10000 ** (2 * np.arange(d_model // 2) / d_model)  # (d_model / 2,)
    angles = position / slowness  # (length, d_model / 2)
    pairs = np.stack([np.sin(angles), np.cos(angles)], axis=-1)  # (length, d_model / 2, 2)
    return pairs.reshape(length, d_model).astype("float32")
    ### END SOLUTION


# %%
check(positional_encoding)

# %% [markdown]
# Stuck? Run `hint("positions.sinusoidal")` in a new cell. From here on the lesson uses the course's own
# functions, so that you can read on with an exercise unsolved. These are the sines of four of the 32 pairs at $d_\text{model} = 64$:

# %%
from course.lab import curves
from course.positions import sinusoidal_encoding

codes = ops.convert_to_numpy(sinusoidal_encoding(64, 64))  # (64 positions, 64)
curves(
    np.arange(64),
    {f"pair {pair}": codes[:, 2 * pair] for pair in (2, 5, 8, 16)},
    xlabel="position",
    ylabel="sine of the pair",
    title="Fast hands part neighbours, slow hands part far places",
)

# %% [markdown]
# ### What the waves are good for
#
# Compare two codes with a dot product: multiply number by number, and add up.
#
# **Predict.**

# %% predict="positions.dot_products"

# %%
for p, q in ((10, 13), (50, 53), (10, 14)):
    print(f"code {p} · code {q} = {codes[p] @ codes[q]:.3f}")

# %% [markdown]
# Why: pair $i$ contributes $\sin a \sin b + \cos a \cos b = \cos(a - b)$, where $a$ and $b$ are the
# angles of its hand at the two positions. Only their difference is left.

# %%
steps = np.arange(-31, 32)
curves(
    steps,
    {"code 31 · code 31 + k": codes[31 + steps] @ codes[31]},
    xlabel="k, positions from the first word to the second",
    ylabel="dot product of the two codes",
    title="Codes of near positions are alike",
)

# %% [markdown]
# The dot product depends on the distance only. It is largest at distance 0 and falls, in waves: two
# distances can share a value. It does not show the direction. That is in the code, too: to get from
# code $pos$ to code $pos + k$, turn each hand by $k$ times its speed. One matrix does that for every
# $pos$ (section 3.5 of the paper), and attention's projections can learn it.
#
# The codes are **added** to the words' vectors, before the first layer. Adding looks too simple. It
# works in practice; a likely reason is that the vectors are wide, so that a network can keep words and
# codes apart in different directions.

# %% [markdown]
# ### With and without
#
# A task that needs the order: copy the id that stands one place before. We train the same small
# model twice, without positions and with waves.

# %%
from course.positions import AddPositions

ids = np.random.default_rng(0).integers(0, 8, (2048, 12)).astype("int32")
before = np.roll(ids, 1, axis=1)  # before[:, j] is ids[:, j - 1]; place 0 is left out below


def train(positions):
    """Trains for 3 epochs; returns the training accuracy of the last."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12,), dtype="int32")
    x = keras.layers.Embedding(8, 32)(inputs)
    x = AddPositions()(x) if positions else x  # (batch, 12, 32)
    x = MultiHeadAttention(num_heads=1, d_model=32)(x)
    model = keras.Model(inputs, keras.layers.Dense(8)(x)[:, 1:])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    history = model.fit(ids, before[:, 1:], batch_size=64, epochs=3, verbose=0)
    return history.history["accuracy"][-1]


print(f"without positions: {train(False):.1%} right, chance is 12.5%")
print(f"with waves:        {train(True):.1%}")

# %% [markdown]
# Without positions the model still beats chance. It sees which ids are in the sequence, so the best it
# can do is to name the one that is most frequent among the other places. It cannot know which of them
# stood one place before.

# %% [markdown]
# ## 3. A learned table
#
# The waves are fixed. One can also **learn** the codes: a table with a row for each position, trained
# like the table of words. GPT-2 and BERT do so. In the paper both gave nearly the same quality (table
# 3, row E).
#
# The price: the table ends. A model with 512 rows has no code for word 513, and a row that training
# never reached holds what it was initialised with.

# %% [markdown]
# ### Exercise 2: repair a function that counts the wrong rows
#
# A colleague wrote the lookup for a table of codes. It ran without an error for months, always with
# one sentence at a time. Then somebody noticed that the model did not see the order of words.
#
# Repair `add_positions(x, table, start=0)`.
#
# - `x`: float tensor (batch, length, d_model), the words; `table`: float tensor (rows, d_model);
#   `start`: a Python integer, the position of the first word. A model that writes one word at a time
#   passes one word and `start = 12`.
# - Returns (batch, length, d_model): to word $j$ of each sentence, row start + $j$ is added. The table
#   has enough rows for that.
# - It must hold: any number of sentences, also as many as there are words; one word.
# - Not to be called: the functions of `course.positions`.


# %% exercise="positions.repair"
def add_positions(x, table, start=0):
    """Adds row start + j of the table to word j."""
    ### BEGIN SOLUTION
    length = x.shape[1]
    return x + table[start : start + length]  # (batch, length, d_model) + (length, d_model)
    # ~ return x + table[: x.shape[0]]
    ### END SOLUTION


# %%
check(add_positions)

# %% [markdown]
# ## 4. Turn instead of adding
#
# What attention needs in the end is the *distance* between a query and a key. **Rotary** encoding (Su
# et al. 2021) builds it into the dot product. It adds nothing. It takes the numbers of a query or a
# key in pairs, sees each pair as a point in the plane, and **turns** it by an angle that grows with
# the position:
#
# $$\begin{pmatrix} a' \\ b' \end{pmatrix} =
# \begin{pmatrix} a \cos p\theta_i - b \sin p\theta_i \\ a \sin p\theta_i + b \cos p\theta_i
# \end{pmatrix}, \qquad \theta_i = 10000^{-2i/d_\text{head}} \qquad (2)$$
#
# | symbol | what it is |
# |---|---|
# | $a, b$ | the pair: columns $2i$ and $2i + 1$ of the query or the key |
# | $p$ | its position |
# | $\theta_i$ | how fast pair $i$ turns: 1 divided by the slowness in (1), the same speeds as the waves |
# | $d_\text{head}$ | the width of a head |
#
# By hand: the pair (1, 0) at position 1 with $\theta = 1$ becomes (cos 1, sin 1) = (0.540, 0.841). At
# position 2 it becomes (−0.416, 0.909).
#
# A dot product depends on the two lengths and on the angle between the vectors. Turning the query by
# $p\theta_i$ and the key by $q\theta_i$ changes no length, and the angle by $(p - q)\theta_i$: only the
# difference of the positions is left. With the query (1, 0) and the key (1, 0):
#
# | query at | key at | turned query | turned key | dot product |
# |---|---|---|---|---|
# | 1 | 0 | (0.540, 0.841) | (1, 0) | 0.540 |
# | 2 | 1 | (−0.416, 0.909) | (0.540, 0.841) | −0.225 + 0.765 = 0.540 |
# | 2 | 0 | (−0.416, 0.909) | (1, 0) | −0.416 |

# %% [markdown]
# ### Exercise 3: turn the pairs
#
# Write equation (2) as `rotate(x)`.
#
# - `x`: float tensor (…, length, d_head), d_head even. The dots stand for any number of axes, also
#   none. The position is the place along the axis `length`.
# - Returns a tensor of the same shape and dtype. Pair $i$ is columns $2i$ and $2i + 1$.
# - It must hold: position 0 is unchanged; one word works; float16 stays float16, and is right at position
#   599 too, so compute the angles in float32.
# - Example: with `x = ops.convert_to_tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])`, `rotate(x)` is
#   `[[1, 0], [0.54, 0.84], [-0.42, 0.91]]`.
# - Of use: `x[..., ::2]` takes columns 0, 2, 4, …; `ops.stack` is `np.stack` for tensors;
#   `ops.cast(y, x.dtype)` changes a dtype.
# - Not to be called: the functions of `course.positions`.


# %% exercise="positions.rotary"
def rotate(x):
    """Equation (2) for every position and pair: same shape, same dtype."""
    ### BEGIN SOLUTION
    length, d_head = x.shape[-2:]
    theta = 10000.0 ** (-2 * np.arange(d_head // 2) / d_head)  # (d_head / 2,)
    angles = np.arange(length)[:, None] * theta  # (length, d_head / 2)
    cos = ops.convert_to_tensor(np.cos(angles), x.dtype)
    sin = ops.convert_to_tensor(np.sin(angles), x.dtype)
    a, b = x[..., ::2], x[..., 1::2]  # (..., length, d_head / 2) each
    turned = ops.stack([a * cos - b * sin, a * sin + b * cos], axis=-1)  # (..., d_head / 2, 2)
    return ops.reshape(turned, x.shape)
    ### END SOLUTION


# %%
check(rotate)

# %%
from course.positions import rotary

rng = np.random.default_rng(0)
query, key = rng.normal(size=(2, 64)).astype("float32")


def score(p, q):
    """The dot product of the query at position p and the key at position q."""
    turned_query = rotary(query[None], positions=np.array([p]))
    turned_key = rotary(key[None], positions=np.array([q]))
    return float(ops.sum(turned_query * turned_key))


for p, q in ((3, 1), (103, 101), (3, 2)):
    print(f"query at {p:3}, key at {q:3}: {score(p, q):7.3f}")

# %% [markdown]
# Rotary is applied to queries and keys in *every* layer, after the heads are split, and never to
# values: a value is content. Most language models since 2023 use it. A detail that is hard to find:
# the paper pairs neighbours, many libraries pair number $i$ with number $i + d_\text{head}/2$. Both
# work. Weights that were trained with one are useless with the other.

# %% [markdown]
# ## 5. A penalty on distance
#
# The shortest way: leave queries and keys alone, and subtract something from each **score** that grows
# with the distance. **ALiBi**, attention with linear biases (Press et al. 2022, section 3):
#
# $$\text{score}_{h}(i, j) = \frac{q_i \cdot k_j}{\sqrt{d_k}} - m_h \, |i - j|, \qquad
# m_h = 2^{-8h/H} \qquad (3)$$
#
# | symbol | what it is |
# |---|---|
# | $i, j$ | the positions of the query and the key |
# | $H$ | the number of heads |
# | $h$ | the number of the head, counted from 1 |
# | $m_h$ | the **slope** of head $h$: how fast it forgets with distance. Nothing is learned |
#
# By hand, with $H = 2$: $m_1 = 2^{-4} = 1/16$ and $m_2 = 2^{-8} = 1/256$. For three words, head 1 adds
#
# ```text
#    0      -1/16   -2/16
#  -1/16      0     -1/16
#  -2/16    -1/16     0
# ```
#
# The first head looks near, the last one far. The penalty is there from the first training step: a
# model starts with a preference for near words and need not learn it. (The paper looks back only,
# where $|i - j| = i - j$; we use the distance to both sides.)

# %% [markdown]
# ### Exercise 4: a penalty on distance
#
# Write the second part of equation (3) as `distance_penalty(num_heads, length)`.
#
# - `num_heads`: an integer, a power of two. `length`: an integer ≥ 1.
# - Returns a float32 array or tensor (num_heads, length, length) with entries $-m_h |i - j|$, ready to
#   be added to the scores.
# - It must hold: the diagonal is 0; one word gives 0 in every head; $|i - j|$ counts in both
#   directions, since hiding the future is the mask's work.
# - Example: `distance_penalty(2, 3)[0]` is the table above.
# - Not to be called: the functions of `course.positions`.


# %% exercise="positions.alibi"
def distance_penalty(num_heads, length):
    """-m_h |i - j| for every head: (num_heads, length, length), float32."""
    ### BEGIN SOLUTION
    slopes = 2.0 ** (-8 * np.arange(1, num_heads + 1) / num_heads)  # (num_heads,)
    place = np.arange(length)
    distance = np.abs(place[:, None] - place[None, :])  # (length, length)
    return (-slopes[:, None, None] * distance).astype("float32")
    ### END SOLUTION


# %%
check(distance_penalty)

# %% [markdown]
# What a penalty of slope $m_h$ does to equal scores: the weight falls by the same factor $e^{-m_h}$
# with each step away.

# %%
from course.positions import alibi_bias

bias = ops.convert_to_numpy(alibi_bias(8, 33))  # (8 heads, 33, 33)
seen = ops.convert_to_numpy(ops.softmax(bias, axis=-1))[:, 16]  # (8, 33): from the middle word
curves(
    np.arange(33) - 16,
    {f"head {head}": seen[head - 1] for head in (1, 3, 5, 8)},
    xlabel="position of the key minus position of the query",
    ylabel="weight",
    title="With equal scores, each head looks another distance far",
)

# %% [markdown]
# ## 6. Past the training length
#
# Training costs more with every word (lesson 02), so models are trained on short texts and used on
# longer ones. Does an encoding survive that?
#
# **Predict.**

# %% predict="positions.longer"

# %% [markdown]
# The figures below come from a run that is kept with the course, with its command. A small language
# model is trained five times on windows of 32 words of stories, with each encoding, and without any.
# Then each model predicts words of *other* stories. The words to predict stay the same; the model
# sees 8, 16, … words in front of them, the **words in view**. The learned table has 128 rows, of
# which training never reached the last 96.

# %%
from course.lab import recorded

reach_run = recorded("positions_reach")
print(reach_run["command"])
print(reach_run["hardware"])
print(f"trained on {reach_run['trained_length']} words; {reach_run['targets']:,} words predicted")
print(f"guessing the commonest word every time: {reach_run['baseline']:.1%}")
lengths, accuracy = reach_run["lengths"], reach_run["accuracy"]
at = lengths.index(reach_run["trained_length"])
kept = {name: values[-1] / values[at] for name, values in accuracy.items()}
best = max(kept, key=kept.get)
curves(
    lengths,
    {{"none": "no positions"}.get(n, n): 100 * np.array(v) for n, v in accuracy.items()},
    xlabel="words in view",
    ylabel="next words predicted (%)",
    title=f"With {lengths[-1]} words in view, {best} keeps {kept[best]:.0%} of its accuracy, "
    f"the learned table {kept['learned']:.0%}",
    logx=True,
)

# %% [markdown]
# Up to 32 words in view the encodings are level. Past that the waves and the table fall at once:
# the first layer meets sums of word and code that it has never seen. Rotary holds out a little longer. The
# model without positions, which has its causal mask, fades slowly. The penalty hardly notices.
#
# Two warnings. The stories come from a small grammar, so that many words can be predicted; the fall is
# what counts, not the height. And this is one small model and one seed: large models with rotary are
# trained a little further on long texts before they are used on them.

# %% [markdown]
# ### Exercise 5: measure how far an encoding reaches
#
# Look at such a curve and say one number: up to which length does this model keep its accuracy? (That
# does not say that it is good: one that only guesses keeps everything. Look at the accuracy, too.)
#
# Write `reach(lengths, accuracies, trained)`.
#
# - `lengths`: NumPy array of integers, ascending. `accuracies`: NumPy array of floats, the accuracy
#   measured at each length. `trained`: an integer, the length of training; it is one of `lengths`.
# - Returns an integer: the largest measured length $L$ such that at *every* measured length from
#   `trained` up to $L$ the accuracy is at least 90 % of the accuracy at `trained`.
# - Example: lengths `[8, 16, 32, 64]`, accuracies `[0.5, 0.6, 0.55, 0.3]`, trained 16: the bar is
#   0.54, so the reach is 32.
# - All of NumPy may be used.


# %% exercise="positions.reach"
def reach(lengths, accuracies, trained):
    """The longest length up to which 90 % of the accuracy at `trained` is kept."""
    ### BEGIN SOLUTION
    at = int(np.flatnonzero(lengths == trained)[0])
    longest = at
    while longest + 1 < len(lengths) and accuracies[longest + 1] >= 0.9 * accuracies[at]:
        longest += 1
    return int(lengths[longest])
    ### END SOLUTION


# %%
check(reach)

# %% [markdown]
# Try it on the record: `{name: reach(np.array(lengths), np.array(values), 32) for name, values in
# accuracy.items()}`.

# %% [markdown]
# ## 7. On real sentences
#
# How often does the order matter? A model without positions and without a causal mask cannot tell apart two
# sentences that have the same words in another order. If they mean different things, it gets at most one of
# them right. We
# count such sentences in the English half of the course's translation pairs.

# %%
import re

from course import data

rows = data.load("world-en-de", "train")
corpus = [re.sub(r"([.?!])", r" \1", row["source"].lower()) for row in rows]  # marks are words
by_words = {}
for sentence in dict.fromkeys(corpus):
    by_words.setdefault(tuple(sorted(sentence.split())), []).append(sentence)
same_words = [group for group in by_words.values() if len(group) > 1]
print(f"{len(corpus):,} sentences, {sum(map(len, same_words)):,} have a twin with the same words:")
for group in same_words[:4]:
    print("  ", " | ".join(group[:2]))

# %% [markdown]
# The same cell runs on the captions of Multi30k. With a network, or with the environment variable
# `COURSE_DATA` set to a folder that holds `multi30k/`, replace `"world-en-de"` by `"multi30k"` and
# `row["source"]` by `row["en"]`.
#
# Twins are rare. So why do positions matter? Because a model has to know for *every* sentence which
# noun stands before the verb and which after it. Without positions, and without a mask that tells it
# something of them, it can only guess from what is usual: dogs bite men.

# %% [markdown]
# ## 8. What goes wrong in practice
#
# | symptom | likely cause | how to find it |
# |---|---|---|
# | quality falls with every word that is written, though training looked fine | the model writes one word at a time and gives each one position 0 | compare one step at position 12 with position 12 of a whole pass |
# | loaded weights give fluent nonsense | rotary pairs neighbours, the weights were trained with halves | compare one layer's output with the original's |
# | an error, or nonsense, from word 513 on | the learned table ends, or its last rows were never trained | test with one word more than in training |

# %% [markdown]
# ## 9. Remember
#
# 1. Attention without a mask is blind to order: it is permutation equivariant.
# 2. Waves: sines and cosines of many speeds, side by side, added to the words once. Their dot products
#    depend on the distance only.
# 3. A learned table works as well as waves, up to the last row that was trained.
# 4. Rotary turns queries and keys in every layer: the score sees the difference of positions.
# 5. ALiBi subtracts a multiple of the distance from the scores, with a slope for each head.
#
# **Go further.** Vaswani et al. 2017, *Attention Is All You Need*, section 3.5. Gehring et al. 2017,
# *Convolutional Sequence to Sequence Learning*, section 3.1: the learned table. Su et al. 2021,
# *RoFormer*, section 3. Press et al. 2022, *Train Short, Test Long*, sections 2 and 3. Kazemnejad et
# al. 2023, *The Impact of Positional Encoding on Length Generalization*, for what is still open.
#
# **In the library.** `course/positions.py` holds what you built; `tests/test_positions.py` compares it
# with the papers' equations and with keras-hub. Your points:

# %%
progress("positions")
