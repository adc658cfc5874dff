"""One download from one address: checked, timed, and told about. Imports pooch when it runs."""

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path


class Failed(Exception):
    """One mirror did not deliver; the message says what it answered."""


class Progress:
    """The progress object that pooch's downloader drives; says one line every few seconds."""

    def __init__(self, name: str, say: Callable[[str], None], every: float = 3.0):
        self.total, self.done = 0, 0
        self._name, self._say, self._every = name, say, every
        self._told = time.monotonic()

    def update(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self._told >= self._every:
            self._told = time.monotonic()
            part = f"{min(1.0, self.done / self.total):4.0%} of " if self.total else ""
            self._say(f"  {self._name}: {part}{max(self.total, self.done) / 1e6:,.1f} MB")

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def download(
    address: str, sha256: str, target: Path, timeout: float, say: Callable[[str], None]
) -> Path:
    """Downloads `address` to `target`, which does not appear unless its sha256 is right.

    Raises:
        Failed: if the server is silent for `timeout` seconds, breaks off, answers with an error or
            with other bytes.
    """
    import pooch
    import requests

    # pooch logs each download at INFO with a path that means nothing to a student.
    pooch.get_logger().setLevel(logging.WARNING)
    downloader = pooch.HTTPDownloader(
        progressbar=Progress(target.name, say),
        chunk_size=1 << 16,
        timeout=(timeout, timeout),
    )
    try:
        pooch.retrieve(
            address,
            known_hash=f"sha256:{sha256}",
            fname=target.name,
            path=target.parent,
            downloader=downloader,
        )
    except requests.exceptions.RequestException as error:
        raise Failed(_told(error, timeout)) from None
    except ValueError as error:  # pooch's word for a wrong hash, and urllib's for a bad address
        wrong = str(error).partition("does not match")[2]
        if not wrong:
            raise Failed(str(error)) from None
        raise Failed(
            f"served other bytes than expected: their sha256 does not match {sha256[:12]}… "
            "(a changed file, or the page of a login or a proxy)"
        ) from None
    return target


def _told(error, timeout: float) -> str:
    import requests

    if isinstance(error, requests.exceptions.HTTPError):
        return f"HTTP {error.response.status_code} {error.response.reason}"
    text = str(error)
    if isinstance(error, requests.exceptions.Timeout) or "timed out" in text:
        return f"silent for {timeout:g} s"
    if "IncompleteRead" in text or "Connection broken" in text:
        return f"broke off before the end ({text})"
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return "redirects without end"
    if isinstance(error, requests.exceptions.ConnectionError):
        # urllib3 keeps the reason in an exception of its own, after the repr of a connection.
        reason = str(getattr(error.args[0], "reason", error)) if error.args else text
        return f"no connection ({re.sub(r'^<?HTTPS?Connection.*?[)>]: ', '', reason)})"
    return f"{type(error).__name__}: {text}"
