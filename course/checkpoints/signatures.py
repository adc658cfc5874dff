"""What a file is, by its first bytes: so that a message can say what was found instead."""

from __future__ import annotations

from pathlib import Path

_BEGINNINGS = {
    b"version https://git-lfs": "a Git LFS pointer, which stands where the file itself was not "
    "downloaded: run `git lfs pull` in its repository, or download the file from its page",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"PK\x03\x04": "a zip archive, as torch.save writes it",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x1f\x8b": "a file that gzip compressed: decompress it first",
    b"\xfd7zXZ": "a file that xz compressed: decompress it first",
    b"GGUF": "a GGUF file",
    b"\x93NUMPY": "a NumPy array",
}
_PAGES = (b"<!doctype html", b"<html", b"<?xml")


def what_it_is(path: str | Path) -> str | None:
    """What a file is, in words, or None if its first bytes do not tell.

    Args:
        path: the file.
    """
    try:
        with open(path, "rb") as file:
            begin = file.read(64)
    except OSError:
        return None
    if not begin:
        return "an empty file"
    for known, words in _BEGINNINGS.items():
        if begin.startswith(known):
            return words
    text = begin.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(_PAGES):
        return "a web page, which came instead of the file: download it again"
    if begin[:5].isalpha() and b"\x00" not in begin and text.startswith((b"error", b"invalid")):
        return "an error message, which came instead of the file: download it again"
    if len(begin) > 8 and begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") < 10**9:
        return "a safetensors file"
    return "a JSON file" if text.startswith(b"{") else None
