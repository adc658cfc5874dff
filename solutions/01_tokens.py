# ruff: noqa: F821

# %% [markdown]
# # Tokens
#
# After this lesson you can **cut** any word into pieces that a model knows, **fill up** a batch of
# sentences without letting the padding count, and **measure** and reduce what padding costs.
#
# **Time:** 100 minutes, 80 of them for the exercises. **You need:** Python and a little NumPy.
#
# **Where it is used:** in front of every language model. You are here:
#
# ```text
# text ─→ TOKENS ─→ ids ─→ batch, mask ─→ vectors ─→ attention ─→ … ─→ ids ─→ TEXT
#              (this lesson)                        (lesson 02)      (this lesson)
# ```

# %% [markdown]
# ## 1. Words run out
#
# A model reads numbers. The first idea is one number for each word: make a list of all words, the
# **vocabulary**, and replace each word by its place in the list, its **id**. A word that is not in the
# list becomes `[UNK]`, "unknown".

# %%
import numpy as np
from keras import ops

training = ["the dog sees the cat", "the cat sleeps", "a dog sleeps in the house"]
words = ["[UNK]", *sorted({word for sentence in training for word in sentence.split()})]
number = {word: i for i, word in enumerate(words)}
for sentence in ("the dog sleeps", "the doghouse sees cats"):
    ids = [number.get(word, 0) for word in sentence.split()]
    print(sentence, "→", ids, "→", " ".join(words[i] for i in ids))

# %% [markdown]
# "doghouse" and "cats" are lost, though "dog", "house" and "cat" are known. What the model never gets
# to see, it cannot learn or translate. Perhaps three sentences were too few?
#
# **Predict.**

# %% predict="tokens.unseen"

# %% [markdown]
# The figures come from a run that is kept with the course, on the captions of Multi30k (Elliott et al.
# 2016).

# %%
from course.lab import curves, recorded

captions = recorded("tokens_multi30k")
print(captions["command"])
for language, found in captions["languages"].items():
    print(
        f"{language}: {found['different_words']:,} different words, {found['known_words']:,} of them "
        f"twice or more; {found['captions_with_unknown_word']:.1%} of the new captions hold an "
        "unknown word"
    )

# %% [markdown]
# More text narrows the gap and does not close it: there are always new names, numbers, compounds and typing
# errors.
#
# The other extreme is one number for each **letter**. Nothing is unknown then, but texts become about
# five times as long, attention costs 25 times as much (lesson 02 measures it), and the model has to
# learn first that d, o and g make a dog.
#
# What lies between: **subwords**. Common words stay whole, rare ones are cut into pieces that occur in
# other words too. A piece, a whole word or a punctuation mark is called a **token**.

# %% [markdown]
# ## 2. Longest match first
#
# **WordPiece** (Schuster and Nakajima 2012), as BERT uses it (Devlin et al. 2019, section 3), marks a piece
# that continues a word with `##`. So `want` begins a word, and `##want` goes on with one: two tokens
# with two ids.
#
# To cut a word $w$ with a vocabulary $V$, stand at its first letter and take the **longest** piece that
# is in $V$. Go to the letter after it, and take the longest again, now with `##` in front. If a cut
# starts at letter $b$, it ends at
#
# $$e = \max\,\{\, j > b : \text{mark} + w_b \dots w_{j-1} \in V \,\} \qquad (1)$$
#
# | symbol | what it is |
# |---|---|
# | $w_b \dots w_{j-1}$ | the letters from number $b$ to number $j - 1$, as in Python's `word[b:j]` |
# | mark | nothing at the beginning of the word ($b = 0$), `##` after it |
# | $V$ | the vocabulary, a set of strings |
# | $e$ | where the next cut starts |
#
# By hand, "unwanted" with the pieces `un`, `want`, `##want`, `##ed`, `##e`, `##d`:
#
# | at | tried, the longest first | piece |
# |---|---|---|
# | u | unwanted, unwante, unwant, unwan, unwa, unw, **un** | `un` |
# | w | ##wanted, ##wante, **##want** | `##want` |
# | e | **##ed** | `##ed` |
#
# `want` does not help at the second place: it has no mark. `##e` fits at the third, but `##ed` is longer.
#
# And if at some place not even one letter is in $V$? Then the **whole word** becomes `[UNK]`, also what
# was already cut. WordPiece never goes back to try a shorter piece. With `ab`, `a` and `##bc`, the word
# "abc" begins with `ab`, `##c` is missing, and the word is unknown, although `a` + `##bc` would do. It
# is a fast rule, not the best cut.

# %% [markdown]
# ### Exercise 1: longest match first
#
# Write equation (1), repeated to the end of the word, as `wordpiece(word, vocabulary)`.
#
# - `word`: a string of one letter or more. `vocabulary`: a list of strings, in any order;
#   continuations begin with `##`.
# - Returns a list of strings, the pieces from left to right with their `##`.
# - It must hold: at each place the longest piece is taken, and never taken back; a word that cannot be
#   cut to its end gives `["[UNK]"]`, nothing else.
# - Example: with `V = ["un", "want", "##want", "##ed", "##e", "##d"]`, `wordpiece("unwanted", V)` is
#   `["un", "##want", "##ed"]`, and `wordpiece("unwantedly", V)` is `["[UNK]"]`.
# - Not to be called: the course's `Tokenizer`, and the libraries `tokenizers`, `transformers` and
#   `tensorflow_text`.


# %% exercise="tokens.wordpiece"
def wordpiece(word, vocabulary):
    """The pieces of a word, the longest first; ["[UNK]"] if it cannot be cut."""
    ### BEGIN SOLUTION
    pieces, begin = [], 0
    while begin < len(word):
        mark = "##" if begin else ""
        for end in range(len(word), begin, -1):
            if mark + word[begin:end] in vocabulary:
                break
        else:
            return ["[UNK]"]
        pieces.append(mark + word[begin:end])
        begin = end
    return pieces
    ### END SOLUTION


# %%
check(wordpiece)

# %% [markdown]
# Stuck? Run `hint("tokens.wordpiece")` in a new cell. From here on the lesson uses the course's own
# `Tokenizer`, so that you can read on with an exercise unsolved.

# %% [markdown]
# ## 3. Where the pieces come from
#
# A vocabulary is learned from text, once, before any model is trained. The idea is **byte-pair
# encoding** (Sennrich et al. 2016, section 3.2): start with single letters, count which two pieces
# stand side by side most often, join them into a new piece, and repeat until the vocabulary is as
# large as you want.
#
# By hand, a text of four words:
#
# | word | times | pieces at first |
# |---|---|---|
# | hug | 10 | `h ##u ##g` |
# | pug | 5 | `p ##u ##g` |
# | pun | 12 | `p ##u ##n` |
# | bun | 4 | `b ##u ##n` |
#
# **Predict** the first pair.

# %% predict="tokens.pair"

# %%
from collections import Counter
from itertools import pairwise

pairs_of_the_table = Counter()
for times, spelled in ((10, "h ##u ##g"), (5, "p ##u ##g"), (12, "p ##u ##n"), (4, "b ##u ##n")):
    for pair in pairwise(spelled.split()):
        pairs_of_the_table[pair] += times
for pair, count in pairs_of_the_table.most_common():
    print(count, *pair)

# %% [markdown]
# `p ##u` wins, and `pu` becomes a piece. Now pug is `pu ##g` and pun is `pu ##n`, so other counts change
# too: `##u ##g` stands in hug only, 10 times. The next count begins.

# %% [markdown]
# ### Exercise 2: learn the merges
#
# Write the whole of it as `learn_merges(counts, num_merges)`.
#
# - `counts`: a dict from word to how often it occurs, integers ≥ 1. No word is empty.
#   `num_merges`: an integer ≥ 0, how many pairs to join.
# - Returns a tuple: the merges in the order in which they were made, a list of pairs `(left, right)`, and
#   a dict from each word to the list of its pieces after all merges.
# - It must hold: at first a word is its letters, `##` before each but the first. Pairs are counted anew
#   before each merge. Of equally frequent pairs the first in alphabetical order is joined, as Python
#   compares tuples. A pair is joined wherever it stands, from left to right. Where no pair is left, it ends
#   early.
# - Example: `learn_merges({"hug": 10, "pug": 5, "pun": 12, "bun": 4}, 1)` is `([("p", "##u")], {"hug":
#   ["h", "##u", "##g"], "pug": ["pu", "##g"], "pun": ["pu", "##n"], "bun": ["b", "##u", "##n"]})`.
# - Of use: `collections.Counter`, `itertools.pairwise`; `"##u".removeprefix("##")` is `"u"`.
# - Not to be called: `course.tokens.merges`, the course's `Tokenizer`, the library `tokenizers`.


# %% exercise="tokens.learn_merges"
def learn_merges(counts, num_merges):
    """The merges in order, and every word's pieces after them."""
    ### BEGIN SOLUTION
    pieces = {
        word: [letter if i == 0 else "##" + letter for i, letter in enumerate(word)]
        for word in counts
    }
    merges = []
    for _ in range(num_merges):
        pairs = Counter()
        for word, its in pieces.items():
            for pair in pairwise(its):
                pairs[pair] += counts[word]
        if not pairs:
            break
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append((left, right))
        for word, its in pieces.items():
            after, i = [], 0
            while i < len(its):
                if its[i : i + 2] == [left, right]:
                    after.append(left + right.removeprefix("##"))
                    i += 2
                else:
                    after.append(its[i])
                    i += 1
            pieces[word] = after
    return merges, pieces
    ### END SOLUTION


# %%
check(learn_merges)

# %% [markdown]
# Four merges of the example, with the library's function:

# %%
from course.tokens import merges as bpe

four_words = {"hug": 10, "pug": 5, "pun": 12, "bun": 4}
for done in range(1, 5):
    made, spelled = bpe.learn_merges(four_words, done)
    print(f"merge {done}: {' '.join(made[-1]):10}", *map(" ".join, spelled.values()), sep="  ")

# %% [markdown]
# The commonest words are whole already, the rarer ones still in pieces. Nobody wrote a rule of English into
# it.
#
# This count is byte-pair encoding's. WordPiece itself asks another question (Schuster and Nakajima 2012,
# section 3): which pair makes the text most likely, when it becomes one piece? In counts, it joins the pair
# with the largest
#
# $$\frac{n(\text{left right})}{n(\text{left}) \cdot n(\text{right})} \qquad (2)$$
#
# Here $n$ is how often the pair, or each of its pieces, stands in the text. In the table above `##u ##g`
# occurs 15 times, but so many words have a `##u` (31) that (2) is only 15 / (31 · 15) = 0.032. For `h ##u` it
# is 10 / (10 · 31) = 0.032 too, and for `b ##u` and `p ##u` it is the same: in this text each piece is always
# beside the same `##u`. Larger texts part the two rules: (2) prefers pieces that seldom stand apart.
#
# Learners differ in more. Hugging Face's `tokenizers`, which this course uses, joins the commonest pair, as
# we did. The one in TensorFlow Text begins with whole words and cuts those that are rare.
#
# The same on the German sentences of the course, with `Tokenizer.learn`. It first divides text as BERT
# does: capitals and accents go, each punctuation mark is a word of its own, and so is each Chinese
# character.

# %%
from course import data
from course.tokens import Tokenizer

german = [row["target"] for row in data.load("world-en-de", "train")[:6000]]
tokenizer = Tokenizer.learn(german, vocab_size=1200)
for sentence in ("Die Pelikane fliegen.", "Der Königsgarten ist groß."):
    print(sentence, "→", " ".join(tokenizer.tokenize(sentence, special=False).tokens))

# %% [markdown]
# Neither "Pelikane" nor "Königsgarten" was in the text. Both come through.
#
# How large should a vocabulary be? Larger means fewer pieces, so shorter texts, but more rows in the
# model's tables, and rare pieces that it hardly learns. On the captions:

# %%
sizes = captions["sizes"]
per_word = {name: found["pieces_per_word"] for name, found in captions["languages"].items()}
at = sizes.index(8000)
curves(
    sizes,
    per_word,
    xlabel="size of the vocabulary",
    ylabel="pieces per word",
    title=f"With {sizes[at]:,} pieces, a German word is {per_word['German'][at]:.2f} pieces long",
    logx=True,
)

# %% [markdown]
# BERT has 30,522 pieces; the Transformer of lesson 05 gets about 8,000.

# %% [markdown]
# ### Below the letters: bytes
#
# A vocabulary of letters has an end too. Unicode has over 150,000 characters, and a new emoji is `[UNK]` for
# every vocabulary that was learned before it. A file stores each character as one to four **bytes**, numbers
# from 0 to 255 (UTF-8). A model that begins with the 256 bytes never meets an unknown one.
#
# **Predict** how many bytes one emoji takes.

# %% predict="tokens.bytes"

# %%
for character in ("a", "ö", "猫", "🙂"):
    print(character, list(character.encode("utf-8")))

# %% [markdown]
# **Byte-level BPE** joins bytes where section 3 joined letters. GPT-2 does it (Radford et al. 2019, section
# 2.2), and Llama falls back on bytes where its pieces end. English letters cost one byte each, so nothing is
# lost there. Chinese begins with three bytes a character and needs more joins for the same length. Lesson 10
# uses such a tokenizer.

# %% [markdown]
# ## 4. From pieces to a batch
#
# A token's id is its place in the vocabulary. A few places are kept for **special tokens**, which are
# not text:
#
# | token | what it is for |
# |---|---|
# | `[PAD]` | fills up a batch; its id is 0 here |
# | `[UNK]` | an unknown word |
# | `[CLS]`, `[SEP]` | the start and the end of a text (for BERT and for translation) |
# | `[MASK]` | a word that is hidden on purpose (lesson 07) |

# %%
ids = tokenizer.encode("Die Pelikane fliegen.")
print(ids)
print([tokenizer.id_to_token(i) for i in ids])
print(tokenizer.decode(ids))

# %% [markdown]
# Back comes text, with its punctuation where it belongs, but without its capitals: those were thrown
# away at the start. A tokenizer for translation keeps them (`lowercase=False`).
#
# Models compute on many sentences at once, in one array. Sentences differ in length and an array does
# not, so the shorter rows are filled up with `[PAD]`. This is **padding**. By hand, three rows:
#
# ```text
# [7, 4]               7  4  0            True   True   False
# [5]          ids:    5  0  0    mask:   True   False  False
# [9, 2, 6]            9  2  6            True   True   True
# ```
#
# The array of truth values beside it is the **padding mask**. It says which tokens are real, and every
# part of the model that compares or averages tokens has to ask it. True means "is real", everywhere in
# this course. (Some libraries have it the other way round. Look it up each time.)

# %% [markdown]
# ### Exercise 3: fill up a batch
#
# Write `pad(rows, pad_id=0)`.
#
# - `rows`: a list of lists of integers, at least one of them not empty. `pad_id`: an integer that
#   stands in none of them.
# - Returns two arrays or tensors of shape (number of rows, length of the longest row): the ids as
#   integers (`int32` or `int64`), padding behind, and the mask as booleans, True where the token is
#   real.
# - It must hold: rows of one length need no padding; an empty row is all padding; with another
#   `pad_id`, 0 may be a word like any other.
# - Example: `pad([[7, 4], [5], [9, 2, 6]])` gives the two arrays above.
# - Of use: `np.full((2, 3), 9)` is an array of 2 rows of 3 nines.
# - Not to be called: `keras.utils.pad_sequences`, the course's `TokenBatches` and `padding_mask`.


# %% exercise="tokens.pad"
def pad(rows, pad_id=0):
    """Ids and mask of a batch: both (rows, longest)."""
    ### BEGIN SOLUTION
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), pad_id, dtype="int32")
    mask = np.zeros((len(rows), longest), dtype=bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = True
    return ids, mask
    ### END SOLUTION


# %%
check(pad)

# %% [markdown]
# ## 5. What padding does where nobody asks the mask
#
# Each id is replaced by a row of a table, its **vector** (lesson 02 begins there). A simple model of
# a sentence is the mean of its words' vectors. But `[PAD]` has a vector too. We put one sentence into
# batches of growing width and compare the plain mean with the one that it has alone.

# %%
rng = np.random.default_rng(0)
table = rng.normal(size=(tokenizer.vocab_size, 32)).astype("float32")
sentence = tokenizer.encode("Die Königin tanzt im Garten.")
alone = table[sentence].mean(axis=0)
added = np.arange(0, 33, 4)
plain, masked = [], []
for n in added:
    ids = np.array([*sentence, *[tokenizer.pad_id] * n])  # (length + n,)
    vectors = table[ids]  # (length + n, 32)
    for change, mean in (
        (plain, vectors.mean(axis=0)),
        (masked, vectors[ids != tokenizer.pad_id].mean(axis=0)),
    ):
        change.append(np.linalg.norm(mean - alone) / np.linalg.norm(alone))
curves(
    added,
    {"without the mask": plain, "with the mask": masked},
    xlabel="padding added to the sentence",
    ylabel="change of its vector (relative)",
    title="Without the mask, padding changes the sentence",
)

# %% [markdown]
# The sentence is the same, and its vector depends on who else is in the batch. Nothing raises an error.
# The model is somewhat worse, and gives other answers for other batch sizes.

# %% [markdown]
# ### Exercise 4: repair a mean that counts the padding
#
# A colleague's `sentence_vectors` gave good results in tests with one sentence at a time, and poor ones
# in production. Repair it.
#
# - `vectors`: float tensor (batch, length, width), one vector for each token. `padding_mask`: boolean
#   tensor (batch, length), True where the token is real. Padding may stand anywhere, also in front.
# - Returns a tensor (batch, width) of the dtype of `vectors`: for each row, the mean of the vectors of
#   its real tokens.
# - It must hold: a row that is all padding gives zeros, not NaN; one word works; float16 stays
#   float16.
# - Example: with vectors `[[[1.0, 3.0], [3.0, 5.0], [9.0, 9.0]]]` and mask `[[True, True, False]]` the
#   result is `[[2.0, 4.0]]`.
# - Of use: `ops.cast(mask, dtype)` makes 1 of True and 0 of False; `x[..., None]` adds an axis at the
#   end; `ops.maximum(x, 1)` is x where x is larger than 1, and 1 elsewhere.


# %% exercise="tokens.repair"
def sentence_vectors(vectors, padding_mask):
    """The mean of each row's real vectors: (batch, width)."""
    ### BEGIN SOLUTION
    real = ops.cast(padding_mask, vectors.dtype)[..., None]  # (batch, length, 1)
    total = ops.sum(vectors * real, axis=1)  # (batch, width)
    return total / ops.maximum(ops.sum(real, axis=1), 1)
    # ~ return ops.mean(vectors, axis=1)
    ### END SOLUTION


# %%
check(sentence_vectors)

# %% [markdown]
# ## 6. What padding costs
#
# With a mask padding does no harm. But it costs as much time as real tokens: every layer computes it
# and throws it away. How much is it? By hand, four sentences of 2, 9, 3 and 8 tokens in batches of two:
#
# | order | batches | widths | all ids | padding | share |
# |---|---|---|---|---|---|
# | as given | (2, 9), (3, 8) | 9, 8 | 2·9 + 2·8 = 34 | 34 − 22 = 12 | 12/34 = 0.353 |
# | sorted | (2, 3), (8, 9) | 3, 9 | 2·3 + 2·9 = 24 | 24 − 22 = 2 | 2/24 = 0.083 |
#
# Sentences of similar length belong together. **Predict** how much padding a random order has.

# %% predict="tokens.padding"

# %% [markdown]
# ### Exercise 5: measure what sorting saves
#
# Write `padding_shares(lengths, batch_size)`.
#
# - `lengths`: NumPy array of integers ≥ 1, the length of each sentence. `batch_size`: an integer ≥ 1.
# - Sentences are put into batches in order: the first `batch_size` of them, then the next, and so on.
#   The last batch may have fewer. Each batch is as wide as its own longest sentence.
# - Returns a tuple of two numbers: the share of all ids that is padding, with the sentences in the
#   given order, and with the sentences sorted from short to long.
# - It must hold: `lengths` is unchanged afterwards; in batches of one sentence both are 0.
# - Example: `padding_shares(np.array([2, 9, 3, 8]), 2)` is `(12/34, 2/24)`, about `(0.353, 0.083)`.
# - Not to be called: the course's `TokenBatches`.


# %% exercise="tokens.bucket"
def padding_shares(lengths, batch_size):
    """The share of padding in the given order, and sorted from short to long."""

    ### BEGIN SOLUTION
    def share(lengths):
        batches = [lengths[i : i + batch_size] for i in range(0, len(lengths), batch_size)]
        return 1 - lengths.sum() / sum(len(batch) * batch.max() for batch in batches)

    return share(lengths), share(np.sort(lengths))
    ### END SOLUTION


# %%
check(padding_shares)

# %%
from course.tokens.bucketing import padding_share

rows = tokenizer.encode_batch(german, special=False)
lengths = np.random.default_rng(0).permutation([len(row) for row in rows])
sizes = [1, 2, 4, 8, 16, 32, 64, 128]

unsorted = [100 * padding_share(lengths, size) for size in sizes]
curves(
    sizes,
    {
        "random order": unsorted,
        "sorted": [100 * padding_share(np.sort(lengths), size) for size in sizes],
    },
    xlabel="sentences in a batch",
    ylabel="padding (% of all ids)",
    title=f"In random batches of 64, {unsorted[sizes.index(64)]:.0f} % of the work is padding",
    logx=True,
)

# %% [markdown]
# Sorting saves nearly all of it. But training on sorted data is bad: the model sees short sentences for
# an hour, then long ones, in the same order each time. The way between is **bucketing**: put sentences
# of similar length into one bucket, shuffle inside each bucket, and shuffle the batches.
#
# One more thing: 64 sentences of 30 tokens are ten times the work of 64 sentences of 3. So a batch is
# better measured in **tokens** than in sentences, as in the paper (Vaswani et al. 2017, section 5.1).
# `TokenBatches` does both, and feeds `model.fit`:

# %%
from course.tokens import TokenBatches

batches = TokenBatches(rows, max_tokens=1024, multiple=4)
for i in range(4):
    print("rows, width:", batches[i].shape)
print(f"{len(batches)} batches of {batches.num_shapes} shapes, {batches.padding:.1%} padding")

# %% [markdown]
# Widths are multiples of 4 here, which costs some padding. Why not exact? A compiler (XLA, lesson 11)
# translates the model anew for each shape that it meets, and that takes seconds to minutes.

# %% [markdown]
# ### Exercise 6: decide where to cut
#
# A few texts are very long. Attention costs the square of the length, so one usually sets a limit and
# cuts what goes beyond. Which limit? Say how many rows must fit, and take the smallest that does it.
#
# Write `choose_limit(lengths, share)`.
#
# - `lengths`: NumPy array of integers ≥ 1. `share`: a float, more than 0 and at most 1.
# - Returns an integer: the smallest multiple of 8 such that at least `share` of the rows are no longer
#   than it.
# - Example: of the lengths `[5, 6, 9, 40]`, 3 of 4 must fit (`share` 0.75): 9 is enough, so the
#   limit is 16. With `share` 0.6 it is the same, since 2 of 4 would be too few.
# - All of NumPy may be used.


# %% exercise="tokens.decide"
def choose_limit(lengths, share):
    """The smallest multiple of 8 that at least this share of the rows fits into."""
    ### BEGIN SOLUTION
    limit = 8
    while np.mean(lengths <= limit) < share:
        limit += 8
    return limit
    ### END SOLUTION


# %%
check(choose_limit)

# %% [markdown]
# A limit that 99 % of the rows fit into can be a quarter of the longest row. And the other 1 %? Do not
# cut them in silence: count them, and look at some. If the answer to a question stands after the cut,
# no model will find it (lesson 09 has a better way).

# %% [markdown]
# ## 7. On real sentences
#
# The captions of Multi30k again, 29,000 a language, with 8,000 pieces. The command was printed above.

# %%
for language, found in captions["languages"].items():
    print(
        f"{language}: padding {found['random_padding']:.1%} in random batches of {captions['batch']}, "
        f"{found['bucket_padding']:.1%} in buckets ({found['bucket_shapes']} shapes)"
    )

# %% [markdown]
# Half of the ids were padding, and each costs what a word costs. Few changes save nearly half of the work for
# so few lines.
#
# To try your own text, replace `german` above by a list of your sentences. With a `vocab.txt` of a
# published BERT, `Tokenizer.from_vocab("vocab.txt")` gives the ids that BERT was trained with.

# %% [markdown]
# ## 8. What goes wrong in practice
#
# | symptom | likely cause | how to find it |
# |---|---|---|
# | a pretrained model gives nonsense | another tokenizer than in its training: other ids, or capitals kept | decode the ids, and encode a sentence whose ids are published |
# | results change with the batch size | padding is counted somewhere | run one sentence alone and among longer ones, and compare |
# | many `[UNK]` in one language | its letters are not in the vocabulary | count `[UNK]` by language before training |

# %% [markdown]
# ## 9. Remember
#
# 1. Words never end, letters cost too much: cut rare words into pieces.
# 2. WordPiece takes the longest piece at each place and never goes back. What it cannot finish is
#    `[UNK]` as a whole.
# 3. A vocabulary is learned by joining the commonest pair, again and again.
# 4. Padding makes rows equally long; the mask (True = real) keeps it from counting.
# 5. Batches of similar lengths, measured in tokens, save what padding costs.
#
# **Go further.** Sennrich et al. 2016, *Neural Machine Translation of Rare Words with Subword Units*,
# section 3. Schuster and Nakajima 2012, *Japanese and Korean Voice Search*, section 3. Devlin et al.
# 2019, *BERT*, section 3. Song et al. 2021, *Fast WordPiece Tokenization*: the same pieces in linear
# time.
#
# **In the library.** `course/tokens/` holds what you built; `tests/test_tokens.py` compares its ids
# with BERT's references, on all of Unicode. Your points:

# %%
progress("tokens")
