"""Messages between the grader and a student's process.

A message is a header, one JSON text and the arrays in it as .npy, each with its length in front.
What arrives is never trusted: no pickles, no lengths beyond the limit, no array whose header
promises more than its bytes hold.
"""

import io
import math
import struct

import numpy as np

from course.runner import serialization

LIMIT = serialization.MAX_BYTES + 16_000_000  # the arrays of a result, and the text around them
MAX_ARRAYS = 20_000
MAX_ITEMS = 1_000_000
_HEADER = struct.Struct(">QI")  # length of the text, number of arrays
_LENGTH = struct.Struct(">Q")


class Malformed(Exception):
    """Bytes that are not a message; the message says in what way."""


def encode(tree):
    """The bytes of one message, from a tree of plain data."""
    text, arrays = serialization.pack(tree)
    text = text.encode("utf-8", "backslashreplace")
    parts = [_HEADER.pack(len(text), len(arrays)), text]
    for array in arrays:
        file = io.BytesIO()
        np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
        parts += [_LENGTH.pack(file.tell()), file.getvalue()]
    return b"".join(parts)


class Reader:
    """Collects bytes until they make a message."""

    def __init__(self, limit=LIMIT):
        self.limit, self.buffer, self.needed = limit, bytearray(), _HEADER.size

    def feed(self, data):
        """Takes bytes in."""
        self.buffer += data

    def message(self):
        """The next message's tree, or None while it is incomplete.

        Raises:
            Malformed: if these bytes will never be a message.
        """
        while len(self.buffer) >= self.needed:
            spans = self._spans()
            if spans is not None:
                return self._take(spans)
        return None

    def _spans(self):
        """Where the text and the arrays lie; None, and `needed` raised, while some are to come."""
        length, count = _HEADER.unpack_from(self.buffer)
        if length > self.limit or count > MAX_ARRAYS:
            raise Malformed(f"a text of {length} bytes and {count} arrays")
        end = _HEADER.size + length
        spans = [(_HEADER.size, end)]
        for _ in range(count):
            self.needed = end + _LENGTH.size
            if len(self.buffer) < self.needed:
                return None
            (size,) = _LENGTH.unpack_from(self.buffer, end)
            start, end = self.needed, self.needed + size
            if end > self.limit:
                raise Malformed(f"more than {self.limit} bytes")
            spans.append((start, end))
        self.needed = end
        return spans if len(self.buffer) >= end else None

    def _take(self, spans):
        text, *arrays = (bytes(self.buffer[start:end]) for start, end in spans)
        # What a parser builds of a text, and how long it takes, grows with its brackets and commas.
        if sum(map(text.count, (b"[", b"{", b","))) > MAX_ITEMS:
            raise Malformed(f"a text of more than {MAX_ITEMS:,} items")
        del self.buffer[: self.needed]
        self.needed = _HEADER.size
        try:
            return serialization.unpack(
                text.decode("utf-8", "replace"), [_array(data) for data in arrays]
            )
        except Malformed:
            raise
        except Exception as error:  # whatever odd bytes do to a parser, they are only odd bytes
            raise Malformed(f"{type(error).__name__}: {error}") from None


def _array(data):
    """An array from .npy bytes, its size checked before anything is allocated."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise Malformed(f"a .npy of version {version}")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in "biuf":
        raise Malformed(f"an array of {dtype}")
    body = data[file.tell() :]
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(body):
        raise Malformed(f"an array of shape {shape} in {len(body)} bytes")
    flat = np.frombuffer(bytearray(body), dtype)
    return flat.reshape(shape, order="F" if fortran else "C")
