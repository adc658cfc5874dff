"""Use mine: what passed its check stands in for the library's part, in this lesson and later ones.

    use(make_mask)                        from now on models are built with your masks
    setup("translation", mine=True)       with everything of yours that has passed
    use_library(make_mask)                and back; without a name, all of it
    made_with()                           whose parts the models of this notebook have run on

`parts` says which exercises stand in for what, `adapters` turn the library's call into yours and
your result into the library's, `store` keeps the source of what passed, `switch` puts it in place.
"""

from course.runtime.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "library": "switch",
        "load_all": "switch",
        "made_with": "switch",
        "use": "switch",
        "use_library": "switch",
    },
)
