"""What a notebook imports: setup, check, hint, predict, grade, progress, plots, the explorer.

Names are imported when they are first used, so that a check never waits for matplotlib.
"""

from course.runtime.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "check": "interactive",
        "explore_attention": "explorer",
        "grade": "interactive",
        "hint": "interactive",
        "predict": "predictions",
        "progress": "progress_record",
        "recorded": "results",
        "setup": "session",
        "solution": "interactive",
        "made_with": "use_mine",
        "use": "use_mine",
        "use_library": "use_mine",
        "attention_map": "plots",
        "beam_tree": "plots",
        "curves": "plots",
        "head_split_figure": "plots",
    },
)
