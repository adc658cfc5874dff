"""One source, two notebooks: how a lesson is written, built, checked and handed out.

`solutions/NN_name.py`, in jupytext's percent format, is the one source. `build` makes
`solutions/NN_name.ipynb` (executed, outputs kept) and `lessons/NN_name.ipynb` (solutions cleared);
`check` says what is out of step; `release` makes the handout for a class.

What stands before the first `# %%` is for people who read the file (a licence, `# ruff: noqa`); it
stays out of the notebooks. Then come the cells. Their options stand in the header:

    # %% [markdown]                          text; the first one is the title: `# # Attention`
    # %%                                     code
    # %% tags=["timing"]                     prints timings: it runs, its outputs are not kept
    # %% exercise="attention.masks"          an exercise: the student's cell
    # %% predict="attention.one_key"         a question before a result

An exercise cell holds one region that the student gets without its inside:

    def causal_mask(length):
        ### BEGIN SOLUTION
        return ops.tril(ops.ones((length, length), "bool"))
        ### END SOLUTION

In the lesson the region becomes nbgrader's `# YOUR CODE HERE` and `raise NotImplementedError()`.
Lines of the region that begin with `#~ ` are handed out instead, where there are any, and are not
in the solution: that is how an exercise hands out broken code to repair.

        ### BEGIN SOLUTION
        return ops.tril(ops.ones((length, length), "bool"))
        #~ return ops.triu(ops.ones((length, length), "bool"))
        ### END SOLUTION

A cell between an exercise and the next calls `check(causal_mask)`. A predict cell stays empty: the
solution gets `predict("attention.one_key", "b")` from the declaration, the lesson the same with
"?". It may also be written out, with a region and `#~` lines.

The builder adds what follows from declarations, so that nothing is said twice:
- the Colab badge, and after the title the setup cell: one template for every lesson
  (`template.py`; repository, branch and install source from `[tool.course]` in pyproject.toml);
- the lines `# exercise: attention.masks` and `# 4 points, about 10 minutes` in an exercise cell;
- after `check(causal_mask)`, a locked cell with `grade("attention.masks")` for nbgrader.

An author therefore writes none of `setup(...)`, `grade(...)`, points and minutes, and uses
`course.attention`, not the student's function, in the cells that follow an exercise: the lesson
must run from top to bottom with nothing solved.

A drawing, text between ``` and ```, is at most 80 characters wide: JupyterLab wraps longer lines.

A solution's cells print nothing on stderr, no memory addresses and no machine's paths; every
`grade` cell earns full points. The build refuses the rest and names file and cell.
"""

from course.runtime.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "AuthoringError": "source",
        "Finding": "source",
        "build": "building",
        "check": "checking",
        "release": "releasing",
    },
)
