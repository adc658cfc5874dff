"""Pictures for the lessons: attention maps, curves, the head split, and the tree of a beam search.

Every function returns a `Picture`: a Matplotlib figure and the words that stand in for it. A
notebook shows it once, with its alt text, and the same input gives the same bytes, so that a
rebuilt notebook does not change. Nothing here touches pyplot or its global state.
"""

from course.lab.plots.diagrams import beam_tree, head_split_figure
from course.lab.plots.lines import curves
from course.lab.plots.maps import attention_map, check_attention
from course.lab.plots.picture import Picture, show, to_array

__all__ = [
    "Picture",
    "attention_map",
    "beam_tree",
    "check_attention",
    "curves",
    "head_split_figure",
    "show",
    "to_array",
]
