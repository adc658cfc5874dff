"""Calls a student's function from inside a model: with tensors of a graph where that goes, else
with the values themselves, and with an error that names the part."""


class PartFailed(RuntimeError):
    """A student's part failed inside a model: the message names it and the way back."""


class Mine:
    """A student's answer in use.

    Attributes:
        part: the `Part` that it stands in for.
        answer: the student's function or class.
        calls: how often the library has called it.
    """

    def __init__(self, part, answer):
        self.part, self.answer, self.calls = part, answer, 0

    def __call__(self, *args, like=None, arrays=False, **kwargs):
        """Calls the answer.

        Args:
            *args, **kwargs: its arguments; tensors among `args` only.
            arrays: whether the exercise is about NumPy arrays: tensors become such.
            like: for an answer that may need values (NumPy, a length as a number): the dtype and
                the static shape of each result, `[(dtype, shape), ...]`.

        Raises:
            PartFailed: naming the part, what it was given, and the way back.
        """
        self.calls += 1
        if arrays and any(map(_is_symbolic, args)):
            return self._with_values(args, kwargs, like, arrays)
        if arrays:
            args = [_as_array(each) for each in args]
        try:
            return self.answer(*args, **kwargs)
        except PartFailed:
            raise
        except Exception as error:
            if like is None or not any(map(_is_symbolic, args)):
                raise self.failed(error, args) from error
        return self._with_values(args, kwargs, like, arrays)

    def over(self, function):
        """The same for a function that calls the answer: its calls count as the answer's."""
        wrapped = Mine(self.part, function)

        def call(*args, **settings):
            self.calls += 1
            return wrapped(*args, **settings)

        return call

    def failed(self, error, args):
        """The error that a student reads."""
        said = " ".join(str(error).split())[:200]
        given = ", ".join(filter(None, map(_describe, args))) or "no tensors"
        return PartFailed(
            f"Your {self.part.name} (lesson {self.part.number}, {self.part.title}) failed here: "
            f"{type(error).__name__}: {said}. It was given {given}. "
            f'use_library("{self.part.name}") goes back to the library\'s, use_library() for all.'
        )

    def _with_values(self, args, kwargs, like, arrays):
        import keras

        def by_value(*values):
            given = iter(map(_as_array, values) if arrays else values)
            full = [next(given) if _is_tensor(each) else each for each in args]
            try:
                result = self.answer(*full, **kwargs)
            except Exception as error:
                raise self.failed(error, full) from error
            return list(result) if isinstance(result, tuple | list) else [result]

        tensors = [each for each in args if _is_tensor(each)]
        if keras.backend.backend() == "jax":
            import jax
            import numpy as np

            shapes = [jax.ShapeDtypeStruct(tuple(shape), dtype) for dtype, shape in like]

            def as_arrays(*values):
                made = by_value(*map(np.asarray, values))
                return [np.asarray(m, dtype) for m, (dtype, _) in zip(made, like, strict=True)]

            results = jax.pure_callback(as_arrays, shapes, *tensors)
        else:
            import tensorflow as tf

            def as_tensors(*values):
                made = by_value(*values)
                return [tf.cast(m, dtype) for m, (dtype, _) in zip(made, like, strict=True)]

            results = tf.py_function(as_tensors, tensors, [dtype for dtype, _ in like])
            for result, (_, shape) in zip(results, like, strict=True):
                result.set_shape(shape)
        return results[0] if len(like) == 1 else tuple(results)


def _is_tensor(value):
    import keras

    return keras.ops.is_tensor(value)


def _is_symbolic(value):
    """Whether a value belongs to a graph that is being made."""
    import keras

    if not _is_tensor(value):
        return False
    if keras.backend.backend() == "jax":
        import jax

        return isinstance(value, jax.core.Tracer)
    return not hasattr(value, "numpy")


def _as_array(value):
    """A tensor as a writable NumPy array; a scalar as a number."""
    import numpy as np

    if not _is_tensor(value):
        return value
    import keras

    array = np.array(keras.ops.convert_to_numpy(value))
    return array if array.ndim else array.item()


def _describe(value):
    if not hasattr(value, "shape"):
        return ""
    shape = tuple(value.shape)
    return f"{getattr(value.dtype, 'name', value.dtype)} {shape}"


def out_of_autograph(function):
    """Keeps TensorFlow from rewriting a function that is traced."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.autograph.experimental.do_not_convert(function)
