# ruff: noqa: F821

# %% [markdown]
# # Question answering
#
# After this lesson you can **point** a model at the answer in a text, token by token, **choose** the best
# span under constraints and over several windows, and **score** answers as the field does, in English and
# Chinese.
#
# **Time:** 120 minutes, 86 of them for the exercises. **You need:** lessons 01, 07 and 08.
#
# **Where it is used:** search engines that show a passage's answer, and any system that has to name its
# source. You are here:
#
# ```text
# question + context ─→ WINDOWS ─→ BERT (07) ─→ TWO LOGITS A TOKEN
#        offsets (01)                                │
#                                                    ↓
#          F1 ←─ ANSWER, its place, or "no answer" ←─ BEST SPAN
# ```

# %% [markdown]
# ## 1. The answer stands in the text
#
# Lesson 08 asked whether a sentence holds the answer to a question. Now we want the answer itself. In **extractive
# question answering** it is a **span**: a stretch of the text, from one character to another. The text is called
# the **context**. So an answer can always be shown in its place.

# %%
import numpy as np

from course.question_answering.world import in_one_sentence, world_questions

stories = world_questions(3200, 150, unanswerable=False)
example = stories["test"][0]
answer = example.answers[0]
print(example.context[:364], "…")
print()
print(example.question)
print(answer, "→", repr(example.context[answer.start : answer.start + len(answer.text)]))

# %% [markdown]
# A first idea needs no learning. Take the sentence with most words of the question. Inside it, take the span whose
# neighbourhood holds most of the question's words. That is the **sliding window** (Richardson et al. 2013), with
# which the authors of SQuAD compared their first model (Rajpurkar et al. 2016, section 5).

# %%
from course.question_answering import baselines

for question in stories["test"][:5]:
    found = baselines.sliding_window(question)
    print(f"{question.question:46} {found!r}, expected {question.texts[0]!r}")

# %% [markdown]
# It finds words that stand near the question's words. It does not know that "who" asks for a person, and "how many" for
# a number. A model has to learn that, and to point at a place.

# %% [markdown]
# ## 2. From characters to tokens
#
# People mark answers in characters. A model sees tokens. The bridge are **offsets**: for each token the character
# at which it starts and the character behind its end (lesson 01).

# %%
from course import checkpoints, pretraining

folder = pretraining.world_bert()
tokenizer = checkpoints.load_tokenizer(folder)
context = "Anna met her aunt Zoë in the tower."
encoding = tokenizer.tokenize(context, special=False)
print([f"{t} {a}-{b}" for t, (a, b) in zip(encoding.tokens, encoding.offsets)])

# %% [markdown]
# The answer "the tower" is characters 25 to 34, the end exclusive. A token belongs to the answer if at least one of
# its characters does:
#
# $$\text{token } t \text{ belongs to the answer} \iff b_t > \text{start} \ \text{ and } \ a_t < \text{end} \qquad (1)$$
#
# | symbol | what it is |
# |---|---|
# | $a_t, b_t$ | the offsets of token $t$: its first character, and the one behind its last |
# | start, end | the answer's first character, and the one behind its last |
#
# By hand, with the tokens "in" 22–24, "the" 25–28, "tower" 29–34, "." 34–35. "in" ends at 24, and 24 > 25 is false. "the"
# has 28 > 25 and 25 < 34. The full stop starts at 34, and 34 < 34 is false. So the answer is "the" to "tower".
#
# Offsets count characters of the text **as it was given**. This tokenizer lowers its text and takes accents away, and so
# do many. Whoever looks the answer up in the lowered text counts other characters. In most texts that changes
# nothing, which is why this slip lives long. Here it does:

# %%
from course.question_answering import alignment
from course.question_answering.spans import span_text

city = "In İzmir they sold tea, and in İstanbul they sold salt, year after year."
offsets = tokenizer.tokenize(city, special=False).offsets
for name, text in (("the text as it was given", city), ("the lowered text", city.lower())):
    found = alignment(offsets, city, text.index("salt"), "salt")
    print(f"start {text.index('salt')} in {name:25} → {span_text(offsets, city, *found.span)!r}")

# %% [markdown]
# (The letter İ has a lower-case form of two characters.) Two more things happen with real text. An answer may start
# *inside* a token: "80,000" in "80,000km". The span of tokens is then wider than the answer. And a tokenizer may make no
# token at all of some characters. Neither can be learned exactly, so both are counted and told.
#
# ### The row
#
# The question comes first, then the context, as a pair of texts (lesson 08):
#
# ```text
# place         0     1     2     3     4     5    6   7   8     9     10    11
# token       [CLS] where  did  anna  [SEP]  met  her  …  in    the   tower [SEP]
# in_context    F     F     F     F     F     T    T   T   T     T      T     F
# offsets      0-0   0-5   6-9 10-14   0-0   5-8 9-12  … 22-24 25-28 29-34  0-0
# ```
#
# Look at the offsets: those of the question count characters of the *question*. They start at 0 again.
#
# A long context is shown in parts, so a row may show only a part of it, a **window** (section 5). There are three cases.
# The window shows the answer as a whole: the label is its first and last place. It shows nothing of it: the label is
# place 0, `[CLS]`, which means "no answer here" (Devlin et al. 2019, section 4.3). It shows one half: then neither is
# true. A model that learns "no answer" there learns that half an answer is none. We leave such windows out, and mark
# them with −1.
#
# ### Exercise 1: from characters to places in a row
#
# `label_span(offsets, in_context, start, end)`
#
# - `offsets`: integer NumPy array (length, 2), the offsets of each place of the row; 0 and 0 for special tokens.
# - `in_context`: bool NumPy array (length), True where a token of the context stands. These places are one stretch.
# - `start`, `end`: integers, the answer's characters in the context; `end` is exclusive.
# - Returns two integers: the places of the answer's first and last token, both inclusive. `(0, 0)` if the row shows
#   nothing of the answer. `(-1, -1)` if it shows a part of it only: the first context token starts behind `start`, or
#   the last ends before `end`.
# - It must hold: an answer inside a token takes the whole token; tokens that only touch the answer do not belong to
#   it; the question's offsets do not count; places are counted from the beginning of the row.
# - Example: with the row above, `label_span(offsets, in_context, 25, 34)` returns `(9, 10)`.
# - Not to be called: the functions of `course.question_answering`.


# %% exercise="question_answering.label"
def label_span(offsets, in_context, start, end):
    """Places (first, last) of an answer, (0, 0) or (-1, -1)."""
    ### BEGIN SOLUTION
    holds = in_context & (offsets[:, 1] > start) & (offsets[:, 0] < end)
    if not holds.any():
        return 0, 0
    context = offsets[in_context]
    if context[0, 0] > start or context[-1, 1] < end:
        return -1, -1
    places = np.flatnonzero(holds)
    return int(places[0]), int(places[-1])
    ### END SOLUTION


# %%
check(label_span)

# %% [markdown]
# Stuck? Run `hint("question_answering.label")` in a new cell. From here on the lesson uses the course's own functions, so
# that you can read on with an exercise unsolved.

# %% [markdown]
# ## 3. Two vectors
#
# BERT gives a state $T_i$ for each place $i$. The whole head are two vectors: $S$ says how much a state looks like the
# *start* of an answer, $E$ how much like its *end* (Devlin et al. 2019, section 4.2 and figure 4c).
#
# $$s_i = S \cdot T_i, \qquad e_j = E \cdot T_j, \qquad
# \ell = -\tfrac{1}{2}\big(\log \text{softmax}(s)_{i^*} + \log \text{softmax}(e)_{j^*}\big) \qquad (2)$$
#
# | symbol | what it is | shape |
# |---|---|---|
# | $T$ | BERT's states | (batch, length, $d$) |
# | $S, E$ | the head: one linear layer with two outputs | ($d$), ($d$) |
# | $s, e$ | the **start logits** and the **end logits** | (batch, length) |
# | $i^*, j^*$ | the labels of exercise 1: the places of the first and the last token | (batch) |
# | $\ell$ | the loss of a row; a row with the label −1 has none | (batch) |
#
# The softmax runs over the *places* of a row, not over classes. By hand, with three places: $s = (0, 2, 0)$ and
# $i^* = 1$ give $e^2 / (e^2 + 2) = 0.79$; $e = (0, 0, 1)$ and $j^* = 2$ give $e / (e + 2) = 0.58$. The loss is
# $(0.24 + 0.55) / 2 = 0.40$.
#
# Places outside the context get a logit of −1e9, so that they get no probability: an answer in the question is none.

# %%
from course.question_answering import BertForQuestionAnswering


def told(line):
    """Prints what the loader says, without the folder's name."""
    print(line.partition(": ")[2][:96])


model = checkpoints.load_bert(folder, BertForQuestionAnswering, fresh=("qa_outputs",), say=told)
print(
    "the head:", tuple(model.qa_outputs.kernel.shape), "and a bias of", model.qa_outputs.bias.shape
)

# %% [markdown]
# We begin with an easy task, which two cores learn in seconds: the context is only the **one sentence** that holds the
# answer. 3,200 questions, each seen once, in 100 updates of 32.

# %%
import tempfile

from course import runtime
from course.question_answering import Recipe, WindowBatches, make_windows

sentences = {name: in_one_sentence(questions) for name, questions in stories.items()}
rows = make_windows(tokenizer, sentences["train"], max_length=48, doc_stride=16)
batches = WindowBatches(rows, 32, pad_id=tokenizer.pad_id, no_answer=False)
print(rows.aligned)

runtime.seed_everything(0)
model = checkpoints.load_bert(
    folder, BertForQuestionAnswering, fresh=("qa_outputs",), say=lambda line: None
)
recipe = Recipe(learning_rate=2e-3)
model.compile(recipe.optimizer(model, len(batches)), jit_compile=runtime.jit_compile())
history = model.fit(batches, epochs=1, shuffle=False, verbose=0)
print(f"{len(batches)} updates, mean loss {history.history['nll'][0]:.2f}")

# %%
from course.question_answering import QuestionAnswerer
from course.question_answering.recipe import evaluate

reader = QuestionAnswerer(model, tokenizer, max_length=48, doc_stride=16)
for question in sentences["test"][:4]:
    best = reader.answer(question.question, question.context)
    print(f"{question.question}\n  {question.context}\n  → {best.text} ({best.probability:.2f})")
figures, _ = evaluate(reader, sentences["test"])
print(f"exact match on new sentences: {figures['exact_match'].value:.0f} %")

# %% [markdown]
# (`evaluate` compares answers as section 6 explains.) In an easy world, with one sentence to look at, a BERT that was
# pretrained for minutes finds most answers after 100 updates.

# %% [markdown]
# ## 4. The best span
#
# The score of a span from $i$ to $j$ is the sum $s_i + e_j$. Which span is the best? That is a small search, because some
# pairs are no answer:
#
# $$(\hat\imath, \hat\jmath) = \arg\max \{\, s_i + e_j \ :\ i \le j < i + L,\ \ i \text{ and } j \text{ in the context} \,\}
# \qquad (3)$$
#
# $L$ is the most tokens that an answer may have. 30 is usual in English. (The two softmaxes of equation (2) know nothing
# of each other. That the sum is a good score is a finding, not a theorem.)
#
# **Predict.**

# %% predict="question_answering.apart"

# %% [markdown]
# How often does it matter? For each test sentence: the likeliest start and the likeliest end, each alone, over the whole
# row.

# %%
counts = {"rows": 0, "end before start": 0, "outside the context": 0}
test = make_windows(tokenizer, sentences["test"], max_length=48, doc_stride=16)
tests = WindowBatches(test, 32, pad_id=tokenizer.pad_id, no_answer=False, training=False)
for index in range(len(tests)):
    (ids, segments, allowed), _ = tests[index]
    real = len(tests.rows(index))
    start, end = (np.asarray(x)[:real] for x in model.predict_on_batch((ids, segments)))
    i, j = start.argmax(axis=1), end.argmax(axis=1)
    row = np.arange(real)
    counts["rows"] += real
    counts["end before start"] += int((j < i).sum())
    counts["outside the context"] += int((~allowed[row, i] | ~allowed[row, j]).sum())
print(counts)

# %% [markdown]
# In our run every fifth row has one of its two ends in the question, and every twelfth ends before it starts. So the
# constraints are part of the method. Written as two loops the search is slow: 64 rows of 384 places have 700,000 pairs
# with $L = 30$. With broadcasting it is one sum.
#
# ### Exercise 2: the best span
#
# `best_span(start_logits, end_logits, allowed, max_tokens)`
#
# - `start_logits`, `end_logits`: float32 NumPy arrays (rows, length).
# - `allowed`: bool NumPy array (rows, length), True where a span may start or end: one stretch in each row.
# - `max_tokens`: an integer, the most tokens of a span, at least 1.
# - Returns three arrays or lists (rows): the place of the first token, the place of the last token (inclusive), and the
#   score $s_i + e_j$ of the best span of equation (3).
# - It must hold: a span of one token is possible; the best sum wins, even if neither of its two ends is the best;
#   nothing outside `allowed`.
# - Example: `best_span` of `[[0, 1, 5, 0]]`, `[[0, 4, 1, 2]]`, all allowed, `max_tokens` 4 returns `[2]`, `[3]`, `[7.0]`.
# - Not to be called: the functions of `course.question_answering`.


# %% exercise="question_answering.best_span"
def best_span(start_logits, end_logits, allowed, max_tokens):
    """Equation (3) for each row: (starts, ends, scores)."""
    ### BEGIN SOLUTION
    length = allowed.shape[1]
    place = np.arange(length)
    distance = place[None, :] - place[:, None]  # (length, length): end - start
    ok = ((distance >= 0) & (distance < max_tokens))[None]
    ok = ok & allowed[:, :, None] & allowed[:, None, :]  # (rows, length, length)
    table = np.where(ok, start_logits[:, :, None] + end_logits[:, None, :], -np.inf)
    flat = table.reshape(len(table), -1)
    best = flat.argmax(axis=1)
    return best // length, best % length, flat.max(axis=1)
    ### END SOLUTION


# %%
check(best_span)

# %% [markdown]
# ## 5. Long texts
#
# A sentence is not a text. Our stories have some 13 sentences, 170 tokens. The model reads rows of 48. So the context is cut
# into overlapping **windows**: each shows as many context tokens as fit, and the next starts **doc_stride** tokens later.
# They overlap, so that an answer that one window cuts stands whole in another, with words around it.

# %%
many = make_windows(tokenizer, stories["test"][:1], max_length=48, doc_stride=16)
for first, count in zip(many.first, many.count):
    print(
        f"context tokens {first:3} to {first + count - 1:3}: {'·' * (first // 4)}{'█' * (count // 4)}"
    )

# %% [markdown]
# (In BERT's code the stride is the step from a window to the next. In the `tokenizers` library "stride" is the *overlap*.
# The same word, and the opposite effect.)
#
# **Predict.**

# %% predict="question_answering.stories"

# %%
whole, _ = evaluate(reader, stories["test"])
print(f"exact match, one sentence: {figures['exact_match'].value:.0f} %")
print(f"exact match, whole story:  {whole['exact_match'].value:.0f} %")
best = reader.n_best(example.question, example.context, 4)
print(example.question)
for found in best:
    print(f"  {found.probability:.2f} {found.text}")

# %% [markdown]
# The model was never shown a text without the answer. A window about something else has a best span, too, and nothing
# taught the model to give it a low score. What helps is to train on what will be asked: whole stories, and questions
# without an answer (section 7).
#
# ### One answer from many windows
#
# Two things have to be settled.
#
# **Which window answers for a token?** A token at a window's edge has seen half of its neighbours. The window that counts is
# the one with **most context** around it (Devlin et al.'s code for SQuAD):
#
# $$c_w(t) = \min(\text{tokens to its left in } w,\ \text{tokens to its right in } w) \qquad (4)$$
#
# A span counts only in the window with the largest $c_w$ for its *first* token; of equal ones, in the earlier. So each
# span counts once.
#
# **How are windows compared?** Each window is a row of its own, and equation (2) has a softmax for each row. So one may take
# the span with the largest probability.
#
# **Predict.**

# %% predict="question_answering.softmax"

# %% [markdown]
# So windows are compared by their scores, and there is one softmax over the spans of *all* windows:
#
# $$p(\text{span}) = \frac{\exp(s_i + e_j)}{\sum_{\text{all spans that count}} \exp(s_{i'} + e_{j'})} \qquad (5)$$
#
# By hand: window 0 shows tokens 0 to 5, window 1 tokens 3 to 8. Token 4 has $\min(4, 1) = 1$ in window 0 and
# $\min(1, 4) = 1$ in window 1: the earlier, window 0. Token 5 has 0 and 2: window 1. Now window 0 offers token 1 with
# the score 2 and token 5 with 9. Window 1 offers its place 2, which is token 5, with 3. Token 5 counts in window 1 only, so the
# 9 is out. The best is 3, with $p = e^3 / (e^2 + e^3) = 0.73$.
#
# ### Exercise 3: merge the windows
#
# `merge_windows(first, count, start, end, score)`
#
# - `first`, `count`: integer NumPy arrays (windows): which token of the context a window shows first, and how many.
# - `start`, `end`: integer NumPy arrays (windows, n): n spans of each window, as places *in the window*, counted from
#   0 at its first context token; both inclusive.
# - `score`: float32 NumPy array (windows, n).
# - Returns `(start, end, probability)` of the best span that counts: two integers, tokens *of the context*, and equation
#   (5).
# - It must hold: a span counts in the window that shows its first token best by equation (4), the earlier of equal
#   ones; one softmax over all windows.
# - Example: `first = [0, 3]`, `count = [6, 6]`, `start = end = [[1, 5], [2, 2]]`, `score = [[2, 9], [3, 3]]` returns
#   `(5, 5, 0.422)`: the span with 3 is offered twice, so $e^3 / (e^2 + e^3 + e^3)$.
# - Not to be called: the functions of `course.question_answering`.


# %% exercise="question_answering.merge"
def merge_windows(first, count, start, end, score):
    """The best span over all windows: (start, end, probability)."""
    ### BEGIN SOLUTION
    tokens = int((first + count).max())
    context = np.full((len(first), tokens), -1)  # equation (4); -1 where a token is not shown
    for window, (at, shown) in enumerate(zip(first, count)):
        place = np.arange(shown)
        context[window, at : at + shown] = np.minimum(place, shown - 1 - place)
    best = context.argmax(axis=0)  # (tokens): of equal windows the earlier
    start, end = start + first[:, None], end + first[:, None]
    counts = best[start] == np.arange(len(first))[:, None]
    kept = np.where(counts, score.astype("float64"), -np.inf)
    chances = np.exp(kept - kept.max())
    chances = chances / chances.sum()
    at = np.unravel_index(kept.argmax(), kept.shape)
    return int(start[at]), int(end[at]), float(chances[at])
    ### END SOLUTION


# %%
check(merge_windows)

# %% [markdown]
# What does it cost to compare probabilities instead of scores? The next figures come from a recorded run: the course's BERT,
# trained on 7,168 questions with their whole stories, in rows of up to 256. It is then asked in short windows of 64, merged
# in both ways, and in one long row.

# %%
from course.lab import curves, recorded

record = recorded("question_answering")["tasks"]["world"]
print(record["command"])
print(record["hardware"])
look = record["closer look"]
merging = look["windows"]
for way in ("one long window", "by logits", "by the probabilities of each window"):
    em, f1 = merging[way]
    print(f"{way:38}exact match {em:5.1f}   F1 {f1:5.1f}")

# %% [markdown]
# Short windows cost nine points of exact match here: this model was trained with each story in one row. Comparing
# probabilities costs 27. With more windows there are more that know nothing, and each of them has a probability of 1
# to give away.
#
# And how often do start and end chosen apart make no span, in whole stories? (The first two lines below look at the context only,
# the last one at the whole row.)

# %%
for name, count in look["spans"].items():
    print(f"{name:20}{count:5}")

# %% [markdown]
# ## 6. What an answer is worth
#
# The answer is "the castle". The model says "castle". Is that wrong? SQuAD's rule (Rajpurkar et al. 2016, section 6.1)
# compares what is left after **normalization**: lower case, no punctuation, no articles. Then there are two figures.
#
# - **Exact match** (EM): 1 if both are the same, else 0.
# - **F1**: how many words they share. With $|a \cap b|$ the number of shared words, each counted as often as it stands in
#   both:
#
# $$P = \frac{|\hat a \cap a|}{|\hat a|}, \qquad R = \frac{|\hat a \cap a|}{|a|}, \qquad F_1 = \frac{2PR}{P + R} \qquad (6)$$
#
# | symbol | what it is |
# |---|---|
# | $\hat a$ | the bag of words of the prediction |
# | $a$ | the bag of words of an answer that a person gave |
# | $P, R$ | precision, recall; where nothing is shared, $F_1 = 0$ |
#
# People disagree, so a question has several answers. The *largest* over its answers counts, and then comes the mean over all
# questions. The order matters: first the maximum, then the mean.
#
# **Predict.**

# %% predict="question_answering.normalised"

# %%
from course.question_answering import exact_match, f1_score, normalize_answer

for said, answers in (
    ("Theatre of Dionysus, Athens", ["the Theatre of Dionysus"]),
    ("the the castle", ["castle"]),
    ("twenty-two", ["twenty two"]),
    ("to be or not to be", ["to be"]),
    ("", []),
):
    em, f1 = exact_match(said, answers), f1_score(said, answers)
    print(f"{said!r:32}{normalize_answer(said)!r:30}EM {em:.0f}  F1 {f1:.2f}")

# %% [markdown]
# "twenty-two" becomes one word, "twenty two" two: the rule deletes punctuation, and puts no space in its place. The rule
# is a convention, not the truth. What matters is that everybody uses the same one.
#
# If a question has no answer, "" is the answer. Then EM and F1 are 1 for "", and 0 for anything else.
#
# ### Chinese
#
# Chinese has no spaces and no articles. Splitting at spaces makes each answer one word, so that F1 becomes exact match.
# Taking away "a" may take away the answer: "A股" is a kind of share. The unit is the **character**. CMRC 2018 (Cui et
# al. 2019, section 3.4) goes one step further and counts only the longest run of characters that both have in common.

# %%
for said, answers in (
    ("巴黎", ["法国巴黎"]),
    ("《战国无双3》", ["战国无双3"]),
    ("1997年", ["1997"]),
    ("法黎", ["法国巴黎"]),
):
    print(
        f"{said} {answers[0]}  F1 as English {f1_score(said, answers):.2f}, as CMRC's {f1_score(said, answers, 'zh'):.2f}"
    )

# %% [markdown]
# ### Exercise 4: F1 by hand
#
# `mean_f1(predictions, answers, language)`
#
# - `predictions`: list of strings, one a question; `""` means "no answer".
# - `answers`: list of lists of strings, the answers of each question; `[]` if it has none, which is like `[""]`.
# - `language`: `"en"` or `"zh"`.
# - A text becomes units in this order. Lower case. Delete all of `string.punctuation` and of `，。、！？《》`. In English
#   delete the words a, an, the, and split at white space. In Chinese each character that is not white space is a unit.
# - F1 is equation (6) over bags of units, in Chinese too. Where one of the two bags is empty it is 1 if both are, else 0.
# - Returns a float between 0 and 1: the mean over questions of the largest F1 over the answers.
# - Example: `mean_f1(["in the old castle", ""], [["castle", "the castle"], []], "en")` returns 0.75. "in old castle"
#   shares one of three words with "castle": $P = 1/3$, $R = 1$, $F_1 = 0.5$. The second is 1.
# - Not to be called: the functions of `course.question_answering.metrics`.


# %% exercise="question_answering.f1"
import re
import string
from collections import Counter


def mean_f1(predictions, answers, language):
    """The mean over questions of the best F1 over the answers of each."""

    ### BEGIN SOLUTION
    def units(text):
        text = "".join(c for c in text.lower() if c not in string.punctuation + "，。、！？《》")
        if language == "zh":
            return [c for c in text if not c.isspace()]
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    def f1(said, told):
        if not said or not told:
            return float(said == told)
        shared = sum((Counter(said) & Counter(told)).values())
        return 2 * shared / (len(said) + len(told))  # 2PR / (P + R), multiplied out

    best = [
        max(f1(units(prediction), units(answer)) for answer in some or [""])
        for prediction, some in zip(predictions, answers)
    ]
    return sum(best) / len(best)
    ### END SOLUTION


# %%
check(mean_f1)

# %% [markdown]
# ### The figures
#
# With two prediction files that stand on SQuAD's page the course's scores are the published ones: EM 86.206 and F1 92.196 for an
# ensemble of BERT, 40.142 and 50.982 for the logistic regression of SQuAD's authors (`tests/test_question_answering.py`).
#
# And the recorded run on the world's questions, with their whole stories, one in five without an answer:

# %%
print(f"{'':20}{'exact match':>14}{'F1':>16}")
for name, row in record["rows"].items():
    several = len(row["runs"]) > 1
    em, f1 = (
        f"{row[key]['mean']:.1f}" + (f" ± {row[key]['std']:.1f}" if several else "")
        for key in ("exact_match", "f1")
    )
    print(f"{name:20}{em:>14}{f1:>16}   seeds: {len(row['runs'])}")

# %% [markdown]
# Read the table from below. Whoever always says "no answer" gets every fifth question right. The closest sentence shares some words
# with the answer, so it has an F1 and no exact match. A model from random weights beats all of them after one pass. Pretraining
# on the world's stories, without one question, adds more than twenty points. In lesson 08 it did not help with every task. Here
# it does: the states of a pretrained model already say what kind of thing a word is, and whom a sentence is about.

# %% [markdown]
# ## 7. No answer
#
# "What animal did Anton own?" The story does not say. A span is chosen all the same, unless the model may say nothing. The
# convention of SQuAD 2.0: the span from `[CLS]` to `[CLS]` means "no answer". Its score is the **null score**,
# $s_0 + e_0$. Over several windows the *lowest* counts, because one window with the answer is enough. Then
#
# $$\text{difference} = (s_0 + e_0) - \max_{i \le j}\,(s_i + e_j), \qquad
# \text{"no answer"} \iff \text{difference} > \tau \qquad (7)$$
#
# $\tau$ is a threshold, chosen on **validation** questions and never on the test. Every threshold trades one error for
# another.

# %%
tau, em, f1 = (np.array(column) for column in zip(*look["curve"]))
curves(
    tau,
    {"exact match": em, "F1": f1},
    xlabel="threshold τ",
    ylabel="mean score, %",
    title="Between silence and talk the score has a flat top",
)

# %%
print(f"chosen on validation: τ = {look['threshold']:.2f}")
for name in ("at the threshold", "at 0", "always a span"):
    em, f1 = look[name]
    print(f"{name:18}exact match {em:5.1f}   F1 {f1:5.1f}")

# %% [markdown]
# On the left the model says nothing and is right in every fifth question. On the right it always talks, and is wrong on each
# question without an answer. The top between is flat: in training the null span was one candidate among others, so the
# threshold is near where the model has put it by itself. After training on other data, or with other windows, it need not be.
#
# ### Exercise 5: a threshold for "no answer"
#
# `choose_threshold(differences, answered, unanswered)`
#
# - `differences`: float32 NumPy array (questions), equation (7).
# - `answered`: float32 NumPy array (questions), the score of a question if its best span is said, 0 to 1.
# - `unanswered`: float32 NumPy array (questions), its score if "no answer" is said: 1 where there is none, else 0.
# - Returns `(threshold, score)`, two floats: the threshold with the best mean score over all questions, and that mean. "No
#   answer" is said where the difference is *greater* than the threshold.
# - Try as thresholds each of the differences, and `-np.inf`, with which nothing is answered. Of equally good ones return the lowest.
#   (Means that differ by less than 1e-6 are equal.)
# - Example: differences `[-2, 0, 1]`, answered `[1, 0, 0.5]`, unanswered `[0, 1, 0]` returns `(-2.0, 0.667)`: the first is
#   answered, the other two are not.
# - Not to be called: `course.question_answering.best_threshold`.


# %% exercise="question_answering.threshold"
def choose_threshold(differences, answered, unanswered):
    """The threshold with the best mean score, and that score."""
    ### BEGIN SOLUTION
    best = (-np.inf, float(np.mean(unanswered, dtype="float64")))
    for threshold in np.unique(differences):
        said = np.where(differences > threshold, unanswered, answered)
        mean = float(np.mean(said, dtype="float64"))
        if mean > best[1] + 1e-6:
            best = (float(threshold), mean)
    return best
    ### END SOLUTION


# %%
check(choose_threshold)

# %% [markdown]
# ## 8. Look at the errors
#
# A mean hides what is wrong. First by the kind of the question, then by the length of the answer:

# %%
for name in ("by kind", "by length"):
    print(name)
    for kind, (count, em, f1) in look[name].items():
        if count >= 10:
            print(f"  {kind:14}{count:5.0f} questions   exact match {em:5.1f}   F1 {f1:5.1f}")

# %% [markdown]
# Kinds with few possible answers, such as days and durations, are easy: there is often one such thing in the story.
# Kinds where the story offers many candidates are hard. "What" may be a thing, a job, an animal or a price. Then read some:

# %%
for shown in look["examples"][:8]:
    said = ", ".join(f"{text} ({chance:.2f})" for text, chance in shown["said"][:2])
    print(
        f"{shown['question']}\n  expected {shown['answers'] or 'no answer'}; said {said}; none {shown['no answer']:.2f}"
    )

# %% [markdown]
# Errors have kinds, and each kind has its own cure:
#
# | kind | what happened | where to look |
# |---|---|---|
# | **boundary** | the spans share tokens and are not the same | labels of exercise 1, articles, the length limit |
# | **elsewhere** | they share none | the model: more data, a larger encoder |
# | **silent** | there is an answer, and the model gave none | the threshold, windows that cut answers |
# | **invented** | there is none, and the model gave one | questions without an answer in training, the threshold |
#
# Which cure first? Not the one for the commonest kind. A boundary error may keep nine tenths of its F1. Add up what each
# kind *costs*: the sum of $1 - F_1$.
#
# ### Exercise 6: sort the errors, and decide
#
# `sort_errors(predicted, answers)`
#
# - `predicted`, `answers`: integer NumPy arrays (questions, 2), first and last token, both inclusive; −1 and −1 means "no
#   answer".
# - Returns a dict and a string. The dict counts questions under the keys `"right"`, `"boundary"`, `"elsewhere"`,
#   `"silent"`, `"invented"`, all five. The string is the kind of error that costs most F1.
# - The F1 of two spans is equation (6) over their tokens: shared tokens twice, divided by the sum of both lengths. If one of
#   the two is "no answer" it is 0; if both are, the question is right.
# - It must hold: two spans that only touch share nothing.
# - Example: predicted `[[3, 5], [7, 7], [-1, -1]]`, answers `[[3, 4], [9, 9], [-1, -1]]` returns one boundary error with
#   $F_1 = 4/5$, one elsewhere, one right, and `"elsewhere"`: 1 against 0.2.


# %% exercise="question_answering.errors"
def sort_errors(predicted, answers):
    """Counts of each kind of error, and the kind that costs most F1."""
    ### BEGIN SOLUTION
    counts = dict.fromkeys(("right", "boundary", "elsewhere", "silent", "invented"), 0)
    lost = dict.fromkeys(("boundary", "elsewhere", "silent", "invented"), 0.0)
    for said, told in zip(predicted.tolist(), answers.tolist()):
        f1 = 0.0
        if said == told:
            kind = "right"
        elif said[0] < 0 or told[0] < 0:
            kind = "silent" if said[0] < 0 else "invented"
        else:
            shared = max(min(said[1], told[1]) - max(said[0], told[0]) + 1, 0)
            f1 = 2 * shared / (said[1] - said[0] + told[1] - told[0] + 2)
            kind = "boundary" if shared else "elsewhere"
        counts[kind] += 1
        if kind != "right":
            lost[kind] += 1 - f1
    return counts, max(lost, key=lost.get)
    ### END SOLUTION


# %%
check(sort_errors)

# %% [markdown]
# ## 9. Real text, and your own
#
# SQuAD's file, CMRC's and XQuAD's have one layout: articles, paragraphs, questions, answers with their starts. A table of your own
# is enough, too: CSV, TSV or JSONL with the columns `question`, `context`, `answer` and, if you know it, `start`. An empty
# answer means that there is none. What is wrong is told first, with its row:

# %%
from pathlib import Path

from course.data import DataError
from course.question_answering import read_questions

with tempfile.TemporaryDirectory() as place:
    mine = Path(place) / "mine.csv"
    mine.write_text(
        "question,context,answer,start\n"
        'Where is the key?,"The key is in the shed, not in the house.",in the shed,11\n'
        'Whose is it?,"The key is in the shed.",,\n'
        'Where is it?,"In the shed. In the shed!",the shed,\n'
    )
    questions, notes = read_questions(mine)
    print([question.answers for question in questions])
    print(notes)
    mine.write_text('question,context,answer,start\n,"The key is here.",here,eleven\n')
    try:
        read_questions(mine)
    except DataError as error:
        print(str(error).replace(place, "."))

# %% [markdown]
# In a terminal: check, train, ask.
#
# ```text
# course train question-answering mine.csv --check
# course train question-answering mine.csv --from FOLDER_OR_HUB_NAME \
#     --out runs/mine
# course answer runs/mine --context shed.txt "Where is the key?"
# ```
#
# The last one prints the answer, its probability, its line and place in the text, or "no answer". The folder
# `runs/mine/model` has Hugging Face's layout: `BertForQuestionAnswering` of `transformers` opens it, and the course opens
# theirs, with logits that agree to 1e-5.
#
# | tier | data | command | time |
# |---|---|---|---|
# | two CPU cores, offline | 7,168 of the world's questions, their stories | `python benchmarks/question_answering.py` | `cpu_seconds` of the record |
# | two CPU cores | SQuAD's development articles, 36 to train | `… --task squad --from BERT` | not measured yet |
# | T4 (Colab GPU) | SQuAD, BERT base, 2 epochs | `course train question-answering … --set dtype_policy=mixed_float16` | not measured yet |

# %%
for name in ("random weights", "pretrained"):
    spent = [run["cpu_seconds"] for run in record["rows"][name]["runs"]]
    print(f"{name:16}{spent} CPU seconds, {record['rows'][name]['runs'][0]['updates']} updates")

# %% [markdown]
# What changes on real text. Answers are less regular, and people agree less: on SQuAD people reach an F1 of 86.8
# against each other's answers (Rajpurkar et al. 2016, abstract). Some recorded starts are wrong: on CMRC's development questions 193
# answers are not in their contexts as written, and are counted for scores but not learned. And questions were often
# written by people who *saw* the text, so they share its words. A model that counts shared words looks better on such data than it is
# (Jia and Liang 2017).

# %% [markdown]
# ## 10. What goes wrong in practice
#
# | symptom | likely cause | how to find it |
# |---|---|---|
# | validation F1 is fine, exact match is far below | ends are off by one token, or the tokenizer glues punctuation to words | print ten pairs of prediction and answer side by side |
# | good on short texts, poor on long ones | windows compared by probability, no window without an answer in training, answers at the edges | score by the number of windows of a question |
# | the model says "no answer" to nearly everything | windows that cut answers were labelled `[CLS]`, or the threshold was chosen on other data | count the labels 0, −1 and others before you train |
#
# A fourth: F1 of a Chinese model that equals its exact match. Somebody splits at spaces.

# %% [markdown]
# ## 11. Remember
#
# 1. Offsets belong to the text as it was given. A token belongs to the answer if one of its characters does.
# 2. Two vectors give two logits a token. The best *pair* is the answer, not the two best ends.
# 3. A window that cuts an answer teaches nothing. Compare windows by scores, and count each span once.
# 4. Normalize, count bags, take the maximum over answers, then the mean. In Chinese count characters.
# 5. "No answer" is one more candidate, and its threshold is chosen on validation. Sort errors by what they cost.
#
# **Go further.** Rajpurkar et al. 2016, *SQuAD*, sections 5 and 6. Rajpurkar et al. 2018, *Know What You Don't Know*,
# sections 4 and 5. Devlin et al. 2019, *BERT*, sections 4.2 and 4.3. Richardson et al. 2013, *MCTest*, algorithm 1. Cui et
# al. 2019, *A Span-Extraction Dataset for Chinese Machine Reading Comprehension*, section 3.4. Artetxe et al. 2020, *On the
# Cross-lingual Transferability of Monolingual Representations*, on XQuAD. Clark and Gardner 2018, *Simple and Effective
# Multi-Paragraph Reading Comprehension*, section 3, on scores across windows. Jia and Liang 2017, *Adversarial Examples for
# Evaluating Reading Comprehension Systems*.
#
# **In the library.** `course/question_answering/` holds what you built: `spans`, `windows`, `selection`, `metrics`;
# `tests/test_question_answering.py` compares it with transformers and with SQuAD's published figures. Your points:

# %%
progress("question_answering")
