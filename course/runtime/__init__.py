"""The one place that knows the machine: backend, device, precision, seeds, files, workarounds.

Importing this package imports no framework; each function imports what it needs.
"""

from course.runtime.backend import (
    DISTRIBUTION,
    choose_backend,
    import_keras,
    installed,
    seed_everything,
    start,
)
from course.runtime.device import (
    accelerator,
    cores,
    full_precision,
    hardware,
    jit_compile,
    memory_gb,
    on_colab,
    processor,
    versions,
)
from course.runtime.files import empty_export_folder, home, write_atomically
from course.runtime.lazy import lazy_names
from course.runtime.workarounds import (
    built_by_a_call,
    keep_freed_memory,
    make_variables,
    parse_source,
    quiet_stderr,
    second_softmax_kept,
)

__all__ = [
    "DISTRIBUTION",
    "accelerator",
    "built_by_a_call",
    "choose_backend",
    "cores",
    "empty_export_folder",
    "full_precision",
    "hardware",
    "home",
    "import_keras",
    "installed",
    "jit_compile",
    "keep_freed_memory",
    "lazy_names",
    "make_variables",
    "memory_gb",
    "on_colab",
    "parse_source",
    "processor",
    "quiet_stderr",
    "second_softmax_kept",
    "seed_everything",
    "start",
    "versions",
    "write_atomically",
]
