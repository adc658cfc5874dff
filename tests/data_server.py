"""A web server on 127.0.0.1 that behaves as badly as real ones do, and a toy data set it serves."""

import gzip
import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from course.data.card import Dataset, File, Known, known_files
from course.data.formats import Column, Lines
from course.data.registry import REGISTRY

ENGLISH = "".join(f"sentence number {i}\n" for i in range(20_000))
GERMAN = "".join(f"Satz Nummer {i}\n" for i in range(20_000))
BODIES = {
    "train.en": gzip.compress(ENGLISH.encode(), mtime=0),
    "train.de": gzip.compress(GERMAN.encode(), mtime=0),
}


class Server:
    """What each path does, and the paths asked for so far, in order; fetched: not only by HEAD."""

    def __init__(self, base: str):
        self.base, self.routes, self.asked, self.fetched = base, {}, [], []
        self.closing = threading.Event()

    def good(self, path: str, body: bytes) -> str:
        return self._route(path, lambda h: _answer(h, 200, body))

    def status(self, path: str, code: int) -> str:
        return self._route(path, lambda h: _answer(h, code, b"no"))

    def truncated(self, path: str, body: bytes) -> str:
        """Announces the whole body and closes after half of it."""
        return self._route(path, lambda h: _answer(h, 200, body[: len(body) // 2], len(body)))

    def stalled(self, path: str, body: bytes, sent: int) -> str:
        """Sends `sent` bytes, and then nothing while the connection stays open."""

        def stall(handler):
            _answer(handler, 200, body[:sent], len(body))
            self.closing.wait(30)

        return self._route(path, stall)

    def silent(self, path: str) -> str:
        """Accepts the connection and never answers."""
        return self._route(path, lambda h: self.closing.wait(30))

    def redirect(self, path: str, target: str) -> str:
        return self._route(path, lambda h: _answer(h, 302, b"", location=target))

    def _route(self, path, behave) -> str:
        self.routes[path] = behave
        return self.base + path


def _answer(handler, code, body, length=None, location=None):
    handler.send_response(code)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    if location:
        handler.send_header("Location", location)
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()


@contextmanager
def serving():
    """Runs a `Server` in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.fetched.append(self.path)
            self.do_HEAD()

        def do_HEAD(self):
            server.asked.append(self.path)
            server.routes.get(self.path, lambda h: _answer(h, 404, b"no"))(self)
            self.close_connection = True

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads, http.block_on_close = True, False
        server = Server(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.closing.set()
        http.shutdown()


def register(mirrors: dict[str, list[str]], setitem=dict.__setitem__) -> None:
    """Puts the data set "toy", two aligned files of 20,000 lines, in the registry."""
    texts = {"train.en": ENGLISH, "train.de": GERMAN}
    for path, text in texts.items():
        content = hashlib.sha256(text.encode()).hexdigest()
        served = hashlib.sha256(BODIES[path]).hexdigest()
        setitem(known_files(), f"toy/{path}", Known(".gz", len(BODIES[path]), served, content))
    toy = Dataset(
        name="toy",
        title="A toy",
        task="translation",
        languages=("en", "de"),
        columns=(Column("en"), Column("de")),
        layout=Lines("en", "de"),
        licence="none",
        source="tests",
        citation="none",
        folder="toy",
        files={"train": tuple(File(path, tuple(mirrors.get(path, ()))) for path in texts)},
        rows={"train": 20_000},
    )
    setitem(REGISTRY, "toy", toy)
