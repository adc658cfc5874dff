# ruff: noqa: F821

# %% [markdown]
# # The Transformer
#
# After this lesson you can **build** an encoder block and what a decoder block needs around it,
# **repair** a decoder that looks at the wrong words, and **count** what a model of any size holds.
#
# **Time:** 115 minutes, 75 of them for the exercises. **You need:** lessons 02 and 03, the rules
# for the derivative of a sum and of one function in another, and one training run in Keras.
#
# **Where it is used:** every lesson from here on. BERT is the left half of this picture, a language
# model the right half without its middle part. You are here:
#
# ```text
# source words ─→ vectors + positions ─→ ENCODER: self-attention, network
#                 (lessons 01 and 03)       │ memory
#                                           ↓
# target words ─→ vectors + positions ─→ DECODER: self-attention,
#                                           │     cross-attention, network
#                                           ↓
#                       scores of the next target word ─→ training (lesson 05)
# ```

# %% [markdown]
# ## 1. "not good"
#
# Attention collects. In "not good" the word "good" can look at "not" and take a part of it into its own
# vector. Let us say that has happened, with a vector of two numbers: the first says whether there is a
# "not", the second whether there is a "good".
#
# | phrase | not | good | praise? |
# |---|---|---|---|
# | bad | 0 | 0 | no: 0 |
# | good | 0 | 1 | yes: 1 |
# | not bad | 1 | 0 | yes: 1 |
# | not good | 1 | 1 | no: 0 |
#
# All that one needs to know is there. Attention has one more thing that it can do with a vector:
# multiply it by a matrix, which is **linear**. We let the computer look for the best linear answer
# $a \cdot \text{not} + b \cdot \text{good} + c$.

# %%
import keras
import numpy as np
from keras import ops

phrases = ["bad", "good", "not bad", "not good"]
gathered = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")  # (4 phrases, 2 numbers)
praise = np.array([0, 1, 1, 0], "float32")  # (4,)

columns = np.hstack([gathered, np.ones((4, 1))])  # (4, 3): a third weight for the constant c
best, *_ = np.linalg.lstsq(columns, praise, rcond=None)  # (3,): the least squared error
for phrase, answer in zip(phrases, columns @ best):
    print(f"{phrase:9} {answer:.2f}")

# %% [markdown]
# The best linear answer is 0.5 for every phrase: it knows nothing. No other one is right either. For
# *any* $a$, $b$ and $c$ the answers to "good" and "not bad" sum to the same number as those to "bad"
# and "not good". (Write the sums down: both are $a + b + 2c$.) But the first two should be high and the
# other two low.
#
# Attention can choose what to collect. It cannot work with what it has collected. A block of a
# Transformer therefore has a second part, and two devices that let many blocks be stacked. This
# lesson takes them one by one: a small network, the residual connection, layer normalisation.

# %% [markdown]
# ## 2. A small network for each word
#
# The second part is a network with one hidden layer (Vaswani et al. 2017, section 3.3):
#
# $$\text{FFN}(x) = \max(0,\; x W_1 + b_1)\, W_2 + b_2 \qquad (1)$$
#
# | symbol | what it is | shape |
# |---|---|---|
# | $x$ | the vector of one word | ($d_\text{model}$,) |
# | $W_1, b_1$ | a learned matrix and a learned **bias** vector | ($d_\text{model}$, $d_\text{ff}$), ($d_\text{ff}$,) |
# | $\max(0, \dots)$ | **ReLU**: negative numbers become 0. It is what makes the network not linear | ($d_\text{ff}$,) |
# | $W_2, b_2$ | the way back | ($d_\text{ff}$, $d_\text{model}$), ($d_\text{model}$,) |
# | $d_\text{ff}$ | the width inside, in the paper $4 \cdot d_\text{model}$ | |
#
# It is called the **feed-forward network**. Each word goes through it by itself, all with the same
# weights: it moves nothing between words. Attention mixes words, the network works on each of them.
#
# By hand, a network that solves our puzzle. Let $s$ be the sum of the two numbers. The first hidden
# number is $\max(0, s)$, the second is $\max(0, s - 1)$, and the answer is the first minus twice the
# second:
#
# | phrase | $s$ | max(0, $s$) | max(0, $s$ − 1) | answer |
# |---|---|---|---|---|
# | bad | 0 | 0 | 0 | 0 |
# | good, not bad | 1 | 1 | 0 | 1 |
# | not good | 2 | 2 | 1 | 2 − 2·1 = 0 |

# %%
w_1 = np.array([[1.0, 1.0], [1.0, 1.0]])  # (2, d_ff = 2)
b_1 = np.array([0.0, -1.0])  # (2,)
w_2 = np.array([[1.0], [-2.0]])  # (2, 1); here one number comes out

hidden = np.maximum(0, gathered @ w_1 + b_1)  # (4 phrases, 2)
for phrase, answer in zip(phrases, (hidden @ w_2)[:, 0]):
    print(f"{phrase:9} {answer:.2f}")

# %%
from course.lab import curves

s = np.linspace(-0.5, 2.5, 31)
curves(
    s,
    {
        "first hidden number": np.maximum(0, s),
        "twice the second": 2 * np.maximum(0, s - 1),
        "answer": np.maximum(0, s) - 2 * np.maximum(0, s - 1),
    },
    xlabel="s, the sum of the two numbers",
    ylabel="value",
    title="Two lines with a bend make a peak at 1",
)

# %% [markdown]
# With more hidden numbers there are more bends, and a network can follow any curve more and more
# closely. Without the ReLU two matrices one after another would be one matrix, and nothing is gained.

# %% [markdown]
# ## 3. Add, do not replace
#
# Deep models stack many layers. What happens if we stack attention alone?
#
# **Predict.**

# %% predict="transformer.collapse"

# %% [markdown]
# We measure how alike the words of a sentence are with the **cosine** of two vectors: their dot
# product after each is scaled to length 1. It is 1 where both point the same way and about 0 for random
# ones. The cell takes the mean over all pairs of words, after each layer.

# %%
from course.attention import MultiHeadAttention


def alikeness(x):
    """Mean cosine of all pairs of different words: x is (1, length, width)."""
    words = ops.convert_to_numpy(x)[0]
    words = words / np.linalg.norm(words, axis=-1, keepdims=True)  # (length, width)
    cosines = words @ words.T  # (length, length)
    return cosines[~np.eye(len(words), dtype=bool)].mean()


keras.utils.set_random_seed(0)
layers = [MultiHeadAttention(num_heads=4, d_model=64) for _ in range(6)]
replaced = added = keras.random.normal((1, 12, 64), seed=1)  # 12 words
measured = {"replaced": [alikeness(replaced)], "added": [alikeness(added)]}
for layer in layers:
    replaced = layer(replaced)
    added = added + layer(added)
    measured["replaced"].append(alikeness(replaced))
    measured["added"].append(alikeness(added))

# %%
curves(
    np.arange(7),
    {
        "output replaces the words": measured["replaced"],
        "output is added to them": measured["added"],
    },
    xlabel="layers of attention",
    ylabel="mean cosine of two words",
    title="Attention alone makes all words the same within two layers",
)

# %% [markdown]
# Each output is a mean of the words, and before training all the means are nearly the same one. After
# two layers nothing tells the words apart, and no later layer can bring the difference back (Dong et
# al. 2021 prove that, for attention alone).
#
# The remedy is to **add** what a layer computes to what went into it. That is the **residual
# connection** (He et al. 2016):
#
# $$x \leftarrow x + \text{Sublayer}(x) \qquad (2)$$
#
# $\text{Sublayer}$ stands for attention or for the feed-forward network. By hand: the word (1, 2) goes
# in, the sublayer answers (0.5, −1), and the word goes on as (1.5, 1). A layer now writes a correction
# to a word, and a layer that answers 0 does no harm. Both vectors need the same width: that is why
# whatever a block adds to the residual path is $d_\text{model}$ wide.
#
# Training gains, too. The derivative of $x + f(x)$ is $1 + f'(x)$. Let $f'$ be 0.1 in each of 12 layers.
# Without the residual the gradient that reaches the first layer is $0.1^{12}$, a millionth of a
# millionth. With it, it is $1.1^{12} = 3.1$.
#
# In the figure the words still drift together, more slowly. The model has to learn the rest.

# %% [markdown]
# ## 4. Keep the numbers in range
#
# Adding has a price: the numbers grow from layer to layer. **Layer normalisation** (Ba et al. 2016)
# brings each word's vector back to mean 0 and variance 1, then lets the model choose a scale:
#
# $$\text{LayerNorm}(x) = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} \odot \gamma + \beta, \qquad
# \mu = \frac{1}{d}\sum_{i} x_i, \quad \sigma^2 = \frac{1}{d}\sum_{i} (x_i - \mu)^2 \qquad (3)$$
#
# | symbol | what it is |
# |---|---|
# | $x$ | the vector of one word, $d = d_\text{model}$ numbers $x_i$ |
# | $\mu$, $\sigma^2$ | their mean, and their **variance**: the mean of the squared deviations |
# | $\varepsilon$ | epsilon, a small number, $10^{-5}$: no division by 0 where all numbers are equal |
# | $\gamma$, $\beta$ | **gain** and **bias**: learned vectors of $d$ numbers, 1 and 0 at first |
# | $\odot$ | number by number |
#
# By hand, $x = (1, 2, 3, 6)$: the mean is 3, the deviations are (−2, −1, 0, 3), their squares 4, 1, 0, 9
# have the mean 14/4 = 3.5, and $\sqrt{3.5} = 1.87$. So $x$ becomes (−1.07, −0.53, 0, 1.60). With
# $\gamma = (1, 1, 2, 2)$ and $\beta = (0, 0, 1, 1)$ it becomes (−1.07, −0.53, 1, 4.21).
#
# **Predict.**

# %% predict="transformer.scaled"

# %%
x = np.array([1.0, 2.0, 3.0, 6.0])
for word in (x, 10 * x, x + 100):
    print(word, "->", ((word - word.mean()) / np.sqrt(word.var() + 1e-5)).round(2))

# %% [markdown]
# ### Exercise 1: layer normalisation
#
# Write equation (3) as `layer_norm(x, gain, bias, epsilon=1e-5)`.
#
# - `x`: float tensor (…, d_model). The dots stand for any number of axes, also none. Each vector along
#   the last axis is a word and is normalised by itself. `gain`, `bias`: tensors (d_model,) of the same
#   dtype. `epsilon`: a Python number, of any size.
# - Returns a tensor of the shape and dtype of `x`. float16 stays float16.
# - It must hold: a word of equal numbers gives the bias; one word works, and a batch of sentences.
# - Example: `layer_norm(x, gain, bias)` of `x = [1, 2, 3, 6]` with `gain = [1, 1, 2, 2]` and
#   `bias = [0, 0, 1, 1]` is `[-1.07, -0.53, 1, 4.21]`.
# - Of use: `ops.mean(x, axis=-1, keepdims=True)` keeps the axis, with size 1.
# - Not to be called: ready-made normalisation, from Keras or from this course. `ops.mean`, `ops.var`
#   and `ops.sqrt` may be.


# %% exercise="transformer.layer_norm"
def layer_norm(x, gain, bias, epsilon=1e-5):
    """Equation (3) for each vector along the last axis."""
    ### BEGIN SOLUTION
    mean = ops.mean(x, axis=-1, keepdims=True)  # (..., 1)
    variance = ops.mean((x - mean) ** 2, axis=-1, keepdims=True)  # (..., 1)
    return (x - mean) / ops.sqrt(variance + epsilon) * gain + bias
    ### END SOLUTION


# %%
check(layer_norm)

# %% [markdown]
# Stuck? Run `hint("transformer.layer_norm")` in a new cell. From here on the lesson uses the course's
# own layers, so that you can read on with an exercise unsolved.
#
# ### Before or after?
#
# There are two places for the normalisation. The paper normalises the sum: **post-norm** (section
# 3.1). Most models since 2019 normalise what the sublayer reads: **pre-norm**.
#
# | post-norm | pre-norm |
# |---|---|
# | $x \leftarrow \text{LayerNorm}(x + \text{Sublayer}(x)) \quad (4)$ | $x \leftarrow x + \text{Sublayer}(\text{LayerNorm}(x)) \quad (5)$ |
#
# ```text
# post-norm                                pre-norm
#
# x ─┬─→ sublayer ─→ (+) ─→ LayerNorm ─→   x ─┬─→ LayerNorm ─→ sublayer ─→ (+) ─→
#    └───────────────↗                        └────────────────────────────↗
# ```
#
# By hand: $x = (1, 2, 3, 6)$, gain 1 and bias 0, and a sublayer that answers 0. Post-norm gives
# (−1.07, −0.53, 0, 1.60). Pre-norm gives (1, 2, 3, 6): along the lower line nothing touches $x$. That
# line is the **residual path**.

# %% [markdown]
# ### Exercise 2: a sublayer, post-norm and pre-norm
#
# Put equations (1), (4) and (5) together, with the network as the sublayer:
# `feed_forward_sublayer(x, w_1, b_1, w_2, b_2, gain, bias, norm="post")`.
#
# - `x`: float32 tensor (…, d_model). `w_1`: (d_model, d_ff), `b_1`: (d_ff,), `w_2`: (d_ff, d_model),
#   `b_2`: (d_model,); `gain`, `bias`: (d_model,), those of the normalisation, with $\varepsilon =
#   10^{-5}$. `norm`: `"post"` or `"pre"`.
# - Returns a tensor of the shape of `x`: the right-hand side of (4) or (5).
# - It must hold: one word works, and a batch of sentences.
# - Example: with `w_2` and `b_2` of zeros the network answers 0. Then `x = [1, 2, 3, 6]`, gain 1 and bias 0
#   give `[1, 2, 3, 6]` for `"pre"` and `[-1.07, -0.53, 0, 1.60]` for `"post"`.
# - For the normalisation call your `layer_norm`, or `ops.layer_normalization(x, gain, bias,
#   epsilon=1e-5)`, which does the same. `ops.relu` is $\max(0, \dots)$.
# - Not to be called: the layers of `course.transformer`.


# %% exercise="transformer.sublayer"
def feed_forward_sublayer(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    """The feed-forward network with its residual connection and its normalisation."""
    ### BEGIN SOLUTION
    read = layer_norm(x, gain, bias) if norm == "pre" else x
    hidden = ops.relu(ops.matmul(read, w_1) + b_1)  # (..., d_ff)
    total = x + ops.matmul(hidden, w_2) + b_2  # (..., d_model)
    return total if norm == "pre" else layer_norm(total, gain, bias)
    ### END SOLUTION


# %%
check(feed_forward_sublayer)

# %% [markdown]
# ### How deep can a stack be?
#
# Does it matter where the normalisation stands, or whether there is a residual at all? Stacks of more and
# more blocks learn to write 12 random ids backwards. Each has the same number of steps and the same
# learning rate. A fourth line is post-norm with a **warm-up**: the learning rate grows from 0 over the
# first steps (lesson 05).
#
# **Predict.**

# %% predict="transformer.depth"

# %%
from course.lab import recorded

depth = recorded("transformer_depth")
print(depth["command"])
print(depth["hardware"])
print(f"{depth['steps']} steps, learning rate {depth['learning_rate']}, one seed")
print(f"loss of guessing: {depth['guessing']:.2f}")
deepest = {kind: loss[-1] for kind, loss in depth["loss"].items()}
curves(
    np.array(depth["depths"]),
    {kind: np.array(loss) for kind, loss in depth["loss"].items()},
    xlabel="blocks in the stack",
    ylabel="loss of the last 50 steps",
    title=f"With {depth['depths'][-1]} blocks the loss ends at {deepest['pre-norm']:.2f} for pre-norm, "
    f"at {deepest['post-norm']:.2f} for post-norm",
)

# %% [markdown]
# The first point surprises: with one block the post-norm stack ends behind the one that has no residual at
# all. One block needs no help, and the residual only mixes the unchanged ids into its answer. From three
# blocks on, nothing is learned without it. With it, three blocks learn
# wherever the normalisation stands. At six the place decides: in the same number of steps post-norm has
# hardly begun, and pre-norm is nearly done. The warm-up changes nothing there.
#
# One explanation (Xiong et al. 2020, section 3): in post-norm the gradients near the last block are large
# at first, and steps of full size do harm, which a warm-up prevents. In pre-norm the residual path runs
# from the last block to the first and nothing on it divides. How much of the trouble the gradients explain
# is disputed (Liu et al. 2020), and our fourth line shows that a warm-up alone is no cure.
#
# This is one small task, one learning rate and one seed; with other first weights the bend comes earlier
# or later. With a smaller rate and many more steps deep post-norm stacks do learn: BERT has 12 to 24 such
# blocks.

# %% [markdown]
# ## 5. The encoder block
#
# An **encoder block** is two sublayers, one after the other: self-attention, then the feed-forward
# network. In post-norm:
#
# ```text
#                        x  (batch, length, d_model)
#                        │
#            ┌───────────┤
#            │    self-attention  ←─ mask: which words are real
#            └─────────→(+)
#                   LayerNorm
#                        │
#            ┌───────────┤
#            │  feed-forward network
#            └─────────→(+)
#                   LayerNorm
#                        │
#                        x  (batch, length, d_model): blocks can be stacked
# ```
#
# In pre-norm each LayerNorm stands in front of its sublayer, inside the loop.
#
# The mask is the padding mask of lesson 02. `MultiHeadAttention` takes masks of shape (batch, query,
# key), or with 1 in place of an axis that makes no difference. A padding mask of shape (batch, length)
# says for each *key* whether it is real, so it becomes `padding_mask[:, None, :]`, (batch, 1, length).

# %% [markdown]
# ### Exercise 3: an encoder block
#
# The parts are made in `__init__`. Write `call(self, x, padding_mask=None)`.
#
# - `EncoderBlock(d_model, num_heads, d_ff, norm="post")` is a Keras layer. The check sets the weights
#   of `self_attention`, `inner`, `outer`, `attention_norm` and `feed_forward_norm`: keep the names.
# - `x`: float32 tensor (batch, length, d_model). `padding_mask`: boolean tensor (batch, length), True =
#   a real word, or None where all are. Each sentence has at least one real word.
# - Returns a tensor (batch, length, d_model): self-attention and then the network, each as in (4) for
#   `norm="post"` and as in (5) for `norm="pre"`.
# - It must hold: padded words are looked at by nobody, and are themselves computed like the others; as
#   many sentences as words make no difference.
# - Example: with all weights of `self_attention` and of `outer` 0 a pre-norm block gives back `x`.
# - Of use: `self.self_attention(x, attention_mask=mask)`; `self.inner` is $\max(0, x W_1 + b_1)$ and
#   `self.outer` is $h W_2 + b_2$.
# - Not to be called: the layers of `course.transformer`.


# %% exercise="transformer.encoder_block"
class EncoderBlock(keras.layers.Layer):
    """Self-attention and the feed-forward network, each with residual and normalisation."""

    def __init__(self, d_model, num_heads, d_ff, norm="post", **kwargs):
        super().__init__(**kwargs)
        self.norm = norm
        self.self_attention = MultiHeadAttention(num_heads, d_model)
        self.inner = keras.layers.Dense(d_ff, activation="relu")
        self.outer = keras.layers.Dense(d_model)
        self.attention_norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.feed_forward_norm = keras.layers.LayerNormalization(epsilon=1e-5)

    def call(self, x, padding_mask=None):
        ### BEGIN SOLUTION
        mask = None if padding_mask is None else padding_mask[:, None, :]  # (batch, 1, length)
        if self.norm == "pre":
            x = x + self.self_attention(self.attention_norm(x), attention_mask=mask)
            return x + self.outer(self.inner(self.feed_forward_norm(x)))
        x = self.attention_norm(x + self.self_attention(x, attention_mask=mask))
        return self.feed_forward_norm(x + self.outer(self.inner(x)))
        ### END SOLUTION


# %%
check(EncoderBlock)

# %% [markdown]
# The course's own block does the same, with dropout. A look at it: a sentence of three words and one
# padding token. We change one word at a time. Which outputs move?

# %%
from course.transformer import EncoderBlock as CourseBlock

keras.utils.set_random_seed(0)
block = CourseBlock(d_model=8, num_heads=2, d_ff=32)
words = np.random.default_rng(0).normal(size=(1, 4, 8)).astype("float32")
mask = np.array([[[True, True, True, False]]])  # (batch 1, 1, length 4)
before = ops.convert_to_numpy(block(words, mask))
for place in range(4):
    other = words.copy()
    other[0, place] += 1 + np.arange(8)
    moved = np.abs(ops.convert_to_numpy(block(other, mask)) - before).max(axis=-1)[0] > 1e-5
    print(f"word {place} changed: outputs that moved {moved.astype(int)}")

# %% [markdown]
# Each real word reaches every output. The padding token reaches none but its own, which nobody reads.

# %% [markdown]
# ## 6. The decoder
#
# The **encoder**, a stack of such blocks, turns the source sentence into one vector a word, called the
# **memory**. The **decoder** writes the target sentence, one word after another. Each time it may use
# the whole source and the target words that are already there.
#
# ### All words at once
#
# In training the target is known. So all its words are predicted in one pass: at each position the
# decoder reads the words so far and gives scores for the next one. Its input is the target **shifted
# to the right**: a start symbol comes first, and the last column falls off.
#
# By hand, the target "der Hund schläft" with the ids 5, 6, 7, then 3, the end symbol. The start symbol
# has the id 2. A second, shorter target is "sie schläft", 8, 7, 3 and a padding 0:
#
# | position | 0 | 1 | 2 | 3 |
# |---|---|---|---|---|
# | **decoder reads** | 2 start | 5 der | 6 Hund | 7 schläft |
# | **and should answer** | 5 der | 6 Hund | 7 schläft | 3 end |
# | **decoder reads** | 2 start | 8 sie | 7 schläft | 3 end |
# | **and should answer** | 8 sie | 7 schläft | 3 end | 0, which does not count |
#
# ### Two attentions, two masks
#
# | | queries from | keys and values from | mask |
# |---|---|---|---|
# | **self-attention** | target words | target words | causal, *and* the padding of the decoder's ids |
# | **cross-attention** | target words | memory | the padding of the source |
#
# A mask hides **keys**. So ask whose words the keys are, and take the padding of those. In
# cross-attention that is the source. Nothing there is hidden as "future": the source is all there.
#
# Masks for the first row of a batch, 4 target words and the source ids `[9, 4, 0]`:
#
# ```text
# self-attention          cross-attention
#         2 5 6 7                 9 4 0
# read 2  T F F F         read 2  T T F
# read 5  T T F F         read 5  T T F
# read 6  T T T F         read 6  T T F
# read 7  T T T T         read 7  T T F
# ```

# %% [markdown]
# ### Exercise 4: what the decoder gets
#
# Write `decoder_inputs(source_ids, target_ids, start_id, pad_id=0)`.
#
# - `source_ids`: integer tensor (batch, source_length); `target_ids`: integer tensor (batch,
#   target_length), end symbol included. Short ones are filled up with `pad_id` at the end. `start_id`,
#   `pad_id`: Python integers, different from each other.
# - Returns three tensors `decoder_ids, self_mask, cross_mask`: integers (batch, target_length), booleans
#   (batch, target_length, target_length) and booleans (batch, target_length, source_length), also where
#   all rows are the same.
# - `decoder_ids` is the target shifted to the right. `self_mask[b, i, j]` is True where j ≤ i and
#   `decoder_ids[b, j]` is not padding; `cross_mask[b, i, j]` where `source_ids[b, j]` is not padding.
# - It must hold: padded queries keep their rows; one word each works; another `pad_id`, where 0 is a
#   word, works too.
# - Example: the two targets above give `[[2, 5, 6, 7], [2, 8, 7, 3]]`, and with the source
#   `[[9, 4, 0], …]` the first masks are those above.
# - Of use: `ops.full((batch, 1), start_id, dtype="int32")`, `ops.concatenate([a, b], axis=1)`,
#   `ops.broadcast_to(mask, shape)`.
# - Not to be called: `causal_mask` and `padding_mask` of `course.attention`.


# %% exercise="transformer.decoder_inputs"
def decoder_inputs(source_ids, target_ids, start_id, pad_id=0):
    """The shifted target, the mask of self-attention and that of cross-attention."""
    ### BEGIN SOLUTION
    batch, target_length = target_ids.shape
    start = ops.full((batch, 1), start_id, dtype="int32")
    ids = ops.concatenate([start, target_ids[:, :-1]], axis=1)  # (batch, target_length)

    position = ops.arange(target_length)
    causal = position[None, :] <= position[:, None]  # (target_length, target_length)
    self_mask = ops.logical_and(causal, ops.not_equal(ids, pad_id)[:, None, :])

    cross_mask = ops.not_equal(source_ids, pad_id)[:, None, :]  # (batch, 1, source_length)
    cross_mask = ops.broadcast_to(cross_mask, (batch, target_length, source_ids.shape[1]))
    return ids, self_mask, cross_mask
    ### END SOLUTION


# %%
check(decoder_inputs)

# %% [markdown]
# ### The decoder block
#
# It has three sublayers. The one in the middle connects the two halves of the model:
#
# ```text
#                        x  (batch, target_length, d_model)
#                        │
#            ┌───────────┤
#            │    self-attention  ←─ self_mask
#            └─────────→(+)
#                   LayerNorm
#                        │
#            ┌───────────┤ queries
#            │    cross-attention ←─ memory  (batch, source_length, d_model)
#            │           │        ←─ cross_mask
#            └─────────→(+)
#                   LayerNorm
#                        │
#            ┌───────────┤
#            │  feed-forward network
#            └─────────→(+)
#                   LayerNorm
#                        │
#                        x  (batch, target_length, d_model)
# ```
#
# `MultiHeadAttention` is called for that as `attention(query, key, attention_mask=mask)`; the values
# are made from the keys' vectors. Its output has one vector for each **query**.

# %% [markdown]
# ### Exercise 5: repair a decoder block
#
# A colleague wrote the block below. He tested it with sources and targets of the same length: it runs,
# the loss falls, and the translations are poor. Find the three mistakes in `call` and repair them.
#
# - `DecoderBlock(d_model, num_heads, d_ff)` is a Keras layer, post-norm, as in the picture. The check
#   sets the weights of its seven parts: keep their names and leave `__init__` as it is.
# - `call(self, x, memory, self_mask, cross_mask)`: `x` float32 (batch, target_length, d_model), `memory`
#   float32 (batch, source_length, d_model), the masks as in exercise 4.
# - Returns a tensor (batch, target_length, d_model).
# - It must hold: source and target may differ in length; one target word works.
# - Example: for `x` of shape (2, 3, 4) and `memory` of shape (2, 5, 4) the result has the shape (2, 3,
#   4). The block as it stands raises an error there.
# - Not to be called: the layers of `course.transformer`.


# %% exercise="transformer.repair"
class DecoderBlock(keras.layers.Layer):
    """Self-attention, cross-attention and the feed-forward network, post-norm."""

    def __init__(self, d_model, num_heads, d_ff, **kwargs):
        super().__init__(**kwargs)
        self.self_attention = MultiHeadAttention(num_heads, d_model)
        self.cross_attention = MultiHeadAttention(num_heads, d_model)
        self.inner = keras.layers.Dense(d_ff, activation="relu")
        self.outer = keras.layers.Dense(d_model)
        self.attention_norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.cross_norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.feed_forward_norm = keras.layers.LayerNormalization(epsilon=1e-5)

    def call(self, x, memory, self_mask, cross_mask):
        ### BEGIN SOLUTION
        attended = self.self_attention(x, attention_mask=self_mask)
        words = self.attention_norm(x + attended)
        found = self.cross_attention(words, memory, attention_mask=cross_mask)
        words = self.cross_norm(words + found)
        return self.feed_forward_norm(words + self.outer(self.inner(words)))
        # ~ attended = self.self_attention(x, attention_mask=self_mask)
        # ~ words = self.attention_norm(x + attended)
        # ~ found = self.cross_attention(memory, words, attention_mask=self_mask)
        # ~ words = self.cross_norm(x + found)
        # ~ return self.feed_forward_norm(words + self.outer(self.inner(words)))
        ### END SOLUTION


# %%
check(DecoderBlock)

# %% [markdown]
# ## 7. The whole model
#
# ```text
# source ids                         target ids, shifted right
#     │ embedding · √d_model,            │ embedding · √d_model,
#     ↓ + positions                      ↓ + positions
# ┌─ encoder block ──────────┐       ┌─ decoder block ────────────┐
# │ self-attention           │       │ causal self-attention      │
# │ feed-forward network     │       │ cross-attention ←──────────┼── memory
# └──────────────────────────┘       │ feed-forward network       │      ↑
#     ↓ N times                      └────────────────────────────┘      │
#     └─ memory ─────────────────────────── to each of the N ────────────┘
#                                        ↓ N times
#                                     Dense: scores of each target id
#                                     (batch, length, ids)
# ```
#
# The embeddings are multiplied by $\sqrt{d_\text{model}}$ (section 3.4 of the paper), so that the words
# are not drowned by the waves that are added to them. A pre-norm stack ends with one more LayerNorm,
# since nothing else keeps its last sum in range.
#
# In `course.transformer` the model is one class, `Transformer`. What its call does is five lines. First we
# need sentences: two constructions of the course's small world, where German puts the words in another
# order than English.

# %%
import re

from course import data

FIRST = ["<pad>", "<unknown>", "<start>", "<end>"]  # ids 0, 1, 2, 3


def split_words(text):
    """Words and punctuation marks, in small letters."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def load(split):
    """Pairs of word lists, English and German, of two constructions."""
    rows = data.load("world-en-de", split)
    rows = [row for row in rows if row["construction"] in ("existential", "where-is")]
    return [(split_words(row["source"]), split_words(row["target"])) for row in rows]


train_pairs, test_pairs = load("train"), load("validation")
print(f"{len(train_pairs):,} pairs to learn from, {len(test_pairs)} others to test")
for english, german in train_pairs[:3]:
    print("  ", " ".join(english), "|", " ".join(german))

# %%
english_words = FIRST + sorted({word for english, _ in train_pairs for word in english})
german_words = FIRST + sorted({word for _, german in train_pairs for word in german})


def to_ids(sentences, words, length):
    """Word lists -> ids (sentences, length): unknown words are 1, an end symbol, padding 0."""
    number = {word: i for i, word in enumerate(words)}
    ids = np.zeros((len(sentences), length), "int32")
    for row, sentence in zip(ids, sentences):
        known = [number.get(word, 1) for word in sentence] + [3]
        row[: len(known)] = known[:length]
    return ids


source, target = (
    to_ids([pair[side] for pair in train_pairs], words, length)
    for side, words, length in ((0, english_words, 14), (1, german_words, 10))  # the longest fit
)
shifted = np.hstack([np.full((len(target), 1), 2, "int32"), target[:, :-1]])  # 2 is <start>
print(len(english_words), "English ids,", len(german_words), "German ids")
print("reads  ", shifted[0])
print("answers", target[0])

# %%
from course import runtime
from course.attention import padding_mask
from course.transformer import Transformer

keras.utils.set_random_seed(0)
sizes = {"source_vocab_size": len(english_words), "target_vocab_size": len(german_words)}
# One block with one head on each side, 64 wide, pre-norm.
model = Transformer(1, d_model=64, num_heads=1, d_ff=128, norm="pre", dropout=0.0, **sizes)


def step_by_step(source_ids, decoder_ids):
    """What the model computes: (batch, s) and (batch, t) -> (batch, t, German ids)."""
    x = model.source_positions(model.source_embedding(source_ids) * 64**0.5)  # (batch, s, 64)
    memory = model.encoder(x, padding_mask(source_ids)[:, None, :])  # (batch, s, 64)
    y = model.target_positions(model.target_embedding(decoder_ids) * 64**0.5)  # (batch, t, 64)
    y = model.decoder(y, memory, padding_mask(decoder_ids)[:, None, :], padding_mask(source_ids))
    return model.output_dense(y)  # (batch, t, German ids)


difference = model((source[:8], shifted[:8])) - step_by_step(source[:8], shifted[:8])
print("the two differ by at most", float(ops.max(ops.abs(difference))))

# %% [markdown]
# The decoder makes the causal mask itself and combines it with the padding. Now train it. Padding must
# not count in the loss: the weights are 1 for a real answer and 0 for padding. (Lesson 05 is about
# training; here a plain loss will do. Expect about ten seconds.)


# %%
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
# XLA, a compiler, pays off on GPU and TPU; on a CPU it costs more than it saves here.
xla = runtime.jit_compile()
adam = keras.optimizers.Adam(0.004)
model.compile(adam, loss, weighted_metrics=["accuracy"], jit_compile=xla)
untrained = model.get_weights()
real = (target != 0).astype("float32")  # (pairs, 10): 1 where an answer counts
# Else TensorFlow draws the graph of a training step twice, in some five seconds.
runtime.make_variables(model, (source[:1], shifted[:1]), target[:1], real[:1])


def train(decoder_ids, epochs):
    """Trains from the untrained weights on; returns the accuracy of each epoch."""
    model.set_weights(untrained)
    settings = {"sample_weight": real, "batch_size": 32, "epochs": epochs, "verbose": 0}
    return model.fit((source, decoder_ids), target, **settings).history["accuracy"]


accuracy = train(shifted, epochs=6)
for epoch in (1, 2, 4, 6):
    print(f"epoch {epoch}: {accuracy[epoch - 1]:.0%} of the next words are right")

# %% [markdown]
# To translate, there is no target to shift. The decoder starts with the start symbol, its best answer is
# put behind it, and so on: **greedy decoding**. (Lesson 06 does it better and faster.)


# %%
def translate(sentences):
    """Word lists in, word lists out, one word at a time."""
    source_ids = to_ids(sentences, english_words, 14)
    ids = np.zeros((len(sentences), 10), "int32")
    ids[:, 0] = 2  # <start>
    for place in range(9):
        scores = ops.convert_to_numpy(model((source_ids, ids)))  # (batch, 10, German ids)
        ids[:, place + 1] = scores[:, place].argmax(axis=-1)
    texts = [[german_words[i] for i in row[1:]] for row in ids]
    return [text[: text.index("<end>")] if "<end>" in text else text for text in texts]


test_english = [english for english, _ in test_pairs]
answers = translate(test_english)
known = set(english_words), set(german_words)
fair = [i for i, pair in enumerate(test_pairs) if all(set(s) <= k for s, k in zip(pair, known))]
right = sum(answers[i] == test_pairs[i][1] for i in fair)
print(f"{right} of {len(fair)} new sentences of known words come out as in the data. Four of them:")
for i in fair[:4]:
    print("  ", " ".join(test_english[i]), "|", " ".join(answers[i]))

# %% [markdown]
# The model has never seen these sentences. Where does it look while it writes? `recorded_weights` keeps
# the weights of every attention that is called inside it. The last one is cross-attention: a row for
# each word that is written, a column for each source word. The model has one head, so there is one map.

# %%
from course.attention import recorded_weights
from course.lab import attention_map

shown = next(i for i in fair if test_english[i][0] == "there" and answers[i] == test_pairs[i][1])
english, german = test_pairs[shown]
reads = np.array([[2, *to_ids([german], german_words, 10)[0, : len(german)]]], "int32")
with recorded_weights() as kept:
    model((to_ids([english], english_words, len(english) + 1), reads))
weights = kept[-1][1][0, 0]  # of the one sentence and head: (target words, source words)
attention_map(
    weights,
    [*german, "<end>"],
    [*english, "<end>"],
    title="While it writes German, the model looks for the same word in English",
)

# %% [markdown]
# Read it row by row. German puts the place first here, and the map jumps to the end of the English
# sentence and back: "Bett" looks at "bed", "war" at "was", "Fuchs" at "fox". "ein" looks at "fox", too: its
# ending depends on the noun that follows. No rule put any of this in. Other rows look at small words, at
# the full stop or at the end symbol, and where to changes from one training to the next. And the warning of lesson 02 holds: the encoder has mixed
# the words before, so that a column's vector holds more than its word.

# %% [markdown]
# ### Without the shift
#
# What if somebody forgets to shift, and the decoder reads the target itself?
#
# **Predict.**

# %% predict="transformer.not_shifted"

# %%
cheat_accuracy = train(target, epochs=2)  # the same model, from the beginning
for name, values in (("shifted", accuracy), ("not shifted", cheat_accuracy)):
    print(f"{name:12} accuracy in training, epochs 1 and 2:", np.round(values[:2], 2))
wrong_answers = translate(test_english)
right = sum(wrong_answers[i] == test_pairs[i][1] for i in fair)
print(f"not shifted: {right} of {len(fair)} translations are right, for example")
print("  ", " ".join(test_english[fair[0]]), "|", " ".join(wrong_answers[fair[0]]))

# %% [markdown]
# Position $i$ reads the word that it is to give, and copies it. The causal mask does not help: it hides
# *later* words, and the answer stands at the position itself. A decoder without the causal mask fails in
# the same way: then the shifted input shows the answer one place further on (lesson 02 showed such a
# cheat). The symptom is the same: **an accuracy that is too good, and nonsense in use**.

# %% [markdown]
# ## 8. At the real size
#
# The **base** model of the paper has 6 + 6 blocks, $d_\text{model}$ 512, 8 heads, $d_\text{ff}$ 2,048 and
# one vocabulary of about 37,000 ids for both languages. Source, target and output share one table of
# embeddings: the scores are dot products with its rows (section 3.4).
#
# Where are its parameters? With $d$ for $d_\text{model}$:
#
# - an attention has four projections, each a matrix ($d$, $d$) and a bias ($d$);
# - a feed-forward network has the matrices and biases of equation (1);
# - a normalisation has a gain and a bias.
#
# By hand, $d = 4$ and $d_\text{ff} = 8$: an attention has 4·(16 + 4) = 80, a network 4·8 + 8 + 8·4 + 4 =
# 76, a normalisation 8. An encoder block has one attention, one network and two normalisations: 172. A
# decoder block has one attention and one normalisation more: 260. With one block each and a table for
# 10 ids, 40 numbers, the model has 172 + 260 + 40 = 472 parameters.

# %%
tiny = Transformer(1, 4, 2, 8, 10, 10, tie_embeddings="all")
print("counted by Keras:", tiny.count_params())

# %% [markdown]
# ### Exercise 6: count the parameters
#
# Write `count_parameters(num_layers, d_model, num_heads, d_ff, vocab_size)`.
#
# - All five are Python integers. The model has `num_layers` encoder blocks and `num_layers` decoder
#   blocks, post-norm, with all biases; one table of `vocab_size` embeddings for source, target and
#   output, no bias at the output, and waves for positions, which have no parameters.
# - Returns the number of parameters, an integer.
# - Example: `count_parameters(1, 4, 2, 8, 10)` is 472.
# - All of NumPy may be used. Not to be called: `course.transformer`; no layer needs to be made.


# %% exercise="transformer.count"
def count_parameters(num_layers, d_model, num_heads, d_ff, vocab_size):
    """Parameters of an encoder-decoder whose embeddings are shared."""
    ### BEGIN SOLUTION
    attention = 4 * (d_model * d_model + d_model)
    network = d_model * d_ff + d_ff + d_ff * d_model + d_model
    norm = 2 * d_model
    encoder_block = attention + network + 2 * norm
    decoder_block = 2 * attention + network + 3 * norm
    return num_layers * (encoder_block + decoder_block) + vocab_size * d_model
    ### END SOLUTION


# %%
check(count_parameters)

# %% [markdown]
# **Predict** for the base model.

# %% predict="transformer.parameters"

# %%
base = Transformer(6, 512, 8, 2048, 37_000, 37_000, tie_embeddings="all")
blocks = [*base.encoder.blocks, *base.decoder.blocks]
attentions = [block.self_attention for block in blocks]
attentions += [block.cross_attention for block in base.decoder.blocks]
parts = {
    "18 attentions": sum(part.count_params() for part in attentions),
    "12 networks": sum(block.feed_forward.count_params() for block in blocks),
    "embeddings": base.target_embedding.count_params(),
}
parts["30 normalisations"] = base.count_params() - sum(parts.values())
for name, number in parts.items():
    print(f"{name:18} {number:11,}  {number / base.count_params():5.1%}")
print(f"{'together':18} {base.count_params():11,}")
del base

# %% [markdown]
# By the formula: an attention has 4·(512² + 512) = 1,050,624 parameters, a network 2·512·2,048 + 2,048 +
# 512 = 2,099,712, a normalisation 1,024. So 6 · 3,152,384 in the encoder, 6 · 4,204,032 in the decoder,
# and 37,000 · 512 = 18,944,000 in the table: 63,082,496, as Keras counts. (The paper says 65 million in
# table 3 and not how it counted.) The number of heads appears nowhere.

# %% [markdown]
# ### What a step costs
#
# A **FLOP** is one multiplication or addition of two numbers. Going forward, each weight of a matrix takes
# one multiplication and one addition for each position that passes through it: 2 FLOP a weight and
# position. Scores and weighted means of an attention come on top, $4 n^2 d$ for $n$ words (twice the
# multiplications of lesson 02). Backwards there are two products for each one, so a training step takes
# about three times a forward pass.
#
# By hand, the base model and a pair of 25 + 25 words: the matrices have 6 · 3,145,728 weights in the
# encoder, 6 · 4,194,304 in the decoder and 18,944,000 at the output, together 63.0 million. Forward: 2 · 25
# · 63.0 million = 3.15 GFLOP (1 GFLOP = 10⁹ FLOP). The 18 attentions add 18 · 4 · 25² · 512 = 0.02 GFLOP:
# hardly anything at this length.
#
# Measured, for a smaller model, with the command:

# %%
cost = recorded("transformer_cost")
print(cost["command"])
print(cost["hardware"])
print(
    f"{cost['num_layers']} + {cost['num_layers']} blocks, d_model {cost['d_model']}, "
    f"d_ff {cost['d_ff']}, {cost['vocabulary']:,} ids on each side"
)
by_length, by_batch = cost["by_length"], cost["by_batch"]
lengths = np.array(by_length["lengths"])
step_ms, forward_ms = (np.array(by_length[name]) for name in ("step_ms", "forward_ms"))
growth = step_ms[-1] / step_ms[-2]
curves(
    lengths,
    {"training step": step_ms, "forward pass": forward_ms},
    xlabel=f"words in the source and in the target (batch of {by_length['batch']} pairs)",
    ylabel="time (ms)",
    title=f"From {lengths[-2]} to {lengths[-1]} words a step takes {growth:.1f} times as long",
    logx=True,
    logy=True,
)

# %%
batches = np.array(by_batch["batches"])
pair_ms = {
    name: np.array(by_batch[key]) / batches
    for name, key in (("training step", "step_ms"), ("forward pass", "forward_ms"))
}
gain = pair_ms["training step"][0] / pair_ms["training step"][-1]
curves(
    batches,
    pair_ms,
    xlabel=f"pairs in the batch ({by_batch['length']} + {by_batch['length']} words each)",
    ylabel="time for each pair (ms)",
    title=f"In a batch of {batches[-1]} a pair costs {gain:.0f} times less than alone",
    logx=True,
    logy=True,
)

# %%
rate = 3 * np.array(by_batch["forward_gflop"]) / np.array(by_batch["step_ms"]) * 1000  # GFLOP/s
for batch, giga, speed in zip(batches, by_batch["forward_gflop"], rate):
    print(f"batch {batch:2}: forward {giga:6.2f} GFLOP, in training {speed:4.0f} GFLOP a second")

# %% [markdown]
# The work grows with the number of pairs in a straight line. The time does not: a small batch leaves the
# machine waiting for single calls, and each step updates all weights once, however few pairs it has
# seen. So batches are made large, and filled with sentences of similar length (lesson 01), because
# padding costs what words cost.
#
# **Decide.**

# %% predict="transformer.decide"

# %% [markdown]
# ## 9. What goes wrong in practice
#
# | symptom | likely cause | how to find it |
# |---|---|---|
# | training accuracy near 100 %, nonsense in use | the decoder's input is not shifted, or the causal mask is missing | change word 5 of the target: the scores at positions 0 to 5 may not change, since word 5 is predicted at position 5 |
# | a translation depends on what else is in its batch | cross-attention has no mask, or the target's: padding is looked at | translate a sentence alone and in a batch with a longer one, and compare |
# | the loss of a deep model stays at that of guessing | post-norm at that depth, or a residual that goes round the wrong thing | make all sublayers answer 0: a pre-norm stack must give back its input |

# %% [markdown]
# ## 10. Remember
#
# 1. Attention collects, the feed-forward network works with what is collected. The network sees each word
#    by itself.
# 2. Residual connections let each sublayer write a correction. They keep words apart and gradients alive.
# 3. Post-norm normalises the sum, pre-norm what the sublayer reads. Deep pre-norm stacks are easier to
#    train.
# 4. A decoder reads the target shifted to the right. Its self-attention is causal, its cross-attention
#    asks with target words and masks the padding of the source.
# 5. In the base model the networks hold 40 % of 63 million parameters. The number of heads changes
#    nothing.
#
# **Go further.** Vaswani et al. 2017, *Attention Is All You Need*, sections 3 and 5.4. He et al. 2016,
# *Deep Residual Learning for Image Recognition*, section 3. Ba et al. 2016, *Layer Normalization*, section
# 3. Xiong et al. 2020, *On Layer Normalization in the Transformer Architecture*, section 3. Liu et
# al. 2020, *Understanding the Difficulty of Training Transformers*, section 4. Dong et al. 2021, *Attention
# is Not All You Need*, section 2.
#
# **In the library.** `course/transformer/` holds what you built; `tests/test_transformer.py` compares it
# with PyTorch's. Your points:

# %%
progress("transformer")
