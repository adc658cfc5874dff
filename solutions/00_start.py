# ruff: noqa: F821

# %% [markdown]
# # Start here
#
# After these ten minutes you can run a lesson on your machine or on Colab, write an exercise and
# read what its check says, and save and hand in your work.
#
# **Time:** 10 minutes. **You need:** Python at the level of "I can write a function".
#
# Each lesson of this course is a notebook like this one. It has text, code that runs, and exercises
# that you write yourself.

# %% [markdown]
# ## The setup cell
#
# The cell above is the **setup cell**: the first code cell of every lesson, the only one that
# installs anything. Click on it and press Shift+Enter. It says what it found: the device that
# computes, the memory, the versions, and how long the whole lesson takes to run.
#
# Nothing in this course needs a GPU. Where there is one, the lessons use it.

# %% [markdown]
# ## Run a cell
#
# A notebook has **cells**. Shift+Enter runs a cell and moves to the next one. Run them from top to
# bottom: a cell uses what the cells above it have made.
#
# The next cell makes three numbers and adds one to each.

# %%
from keras import ops

numbers = ops.convert_to_tensor([1.0, 2.0, 3.0])  # shape (3,)
print(ops.convert_to_numpy(numbers + 1))

# %% [markdown]
# `keras.ops` holds the operations of Keras on **tensors**, arrays of numbers with a shape. The
# lessons use it because the same line runs on TensorFlow and on JAX.

# %% [markdown]
# ## Predict, then run
#
# Before some results, a lesson asks what you expect. A prediction earns no points. It shows you
# which idea you hold, and each wrong answer has its own reply. Put a letter in place of the
# question mark and run the cell.
#
# The question is about a function `double` that returns each number times two. You write it next.

# %% predict="start.double_negative"

# %%
print(-3 + -3)

# %% [markdown]
# ## Write an exercise
#
# An **exercise** gives you the first line of a function and says what it must return. You replace
# `raise NotImplementedError()` with your own code.
#
# **Your turn.** Write `double(x)`.
#
# - `x`: a tensor of floats, of any shape.
# - Returns a tensor of the same shape: each number times two.
# - Example: `double([1.0, 2.5])` is `[2.0, 5.0]`, with both as tensors.
#
# The first line of the cell, `# exercise: start.double`, tells the checks which exercise the cell
# holds. Leave it where it is.


# %% exercise="start.double"
def double(x):
    """Each number of x, twice."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %% [markdown]
# Run the next cell to check your answer. As long as nothing is written, it says "Not written yet".

# %%
check(double)

# %% [markdown]
# ## Read what a check says
#
# A check asks several small questions, from one idea at a time to everything together. It puts
# all of them, explains the first one that fails, and names the mistake if it knows it.
#
# Here is an answer with a slip. It squares the numbers. The check sees your numbers beside the
# expected ones, and says what it thinks has happened.


# %%
def squared(x):
    return x * x


check(squared, exercise="start.double")

# %% [markdown]
# "Passed the public checks" means what it says. The checks draw random numbers, and those of your
# notebook are known to everyone. Your instructor may check with other numbers.
#
# The cell after a check, with `grade(...)`, is for your instructor. It shows the points that your
# code earns now. It cannot be edited in JupyterLab, and you need not run it.

# %% [markdown]
# ## Ask for a hint
#
# Up to three hints belong to each exercise. The first says where to look, the second gives the
# idea, the third leaves one step to you. Run the cell again for the next one.

# %%
hint("start.double")

# %% [markdown]
# ## See how far you are
#
# Each check notes your best points on this machine. They survive when you close the notebook or
# restart it. `progress()` shows all lessons, `progress("start")` only this one.

# %%
progress("start")

# %% [markdown]
# ## Save, come back, hand in
#
# **On your machine.** Save with Ctrl+S (Cmd+S on a Mac). To come back, open the notebook and run it
# from the top. Your answers are in the notebook, your points in the folder that `progress()` names.
#
# **On Colab.** A Colab machine is deleted when the session ends, so keep two things in your Google
# Drive:
#
# 1. The notebook: *File → Save a copy in Drive*. Continue in that copy; Colab keeps it in the
#    folder "Colab Notebooks".
# 2. Your progress: in the setup cell, write `setup("start", save_to_drive=True)`. Colab asks for
#    your permission once in each session.
#
# **Hand in.** Hand in the notebook file itself, with your answers in it. In JupyterLab:
# *File → Download*. On Colab: *File → Download → Download .ipynb*. Before that, restart and run
# everything once (*Kernel → Restart Kernel and Run All Cells*, on Colab *Runtime → Restart session
# and run all*). A notebook that runs from top to bottom for you also runs for your instructor.

# %% [markdown]
# ## When you are stuck
#
# - **An error in red.** Read its last line first: it names the problem. The line with an arrow says
#   where it is.
# - **"name ... is not defined".** A cell above has not run. Run all cells from the top.
# - **A cell that never ends.** Press the stop button (■), then look for a loop that does not end.
# - **You want to begin again.** Download the lesson a second time; your progress is kept.
# - **From a terminal,** `course check 00_start.ipynb` checks a whole notebook.

# %% [markdown]
# ## Remember
#
# - Run the setup cell first, then each cell from top to bottom.
# - Predict before you run.
# - A check names the first mistake that it sees; a hint comes one step at a time.
# - "Passed the public checks" is about the public checks.
# - Save the notebook, and on Colab save it in your Drive.
#
# **Next:** lesson 01 cuts sentences into tokens, and lesson 02 builds attention, the idea that the
# Transformer is made of.
