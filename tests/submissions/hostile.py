"""The bank: what a hostile or unlucky student may hand in, and what the grader must say of each.

A case is a small notebook of lesson 02 or 03: an import cell, the answers, and cells before or
after them. Together with the twelve samples it makes the table in `docs/grading.md`.
"""

import json
import re
import select
import socket
import subprocess
import sys
from dataclasses import dataclass

from course import exercises
from course.grading.results.records import all_flags

from . import ROOT, _exercise_cells, _load

IMPORTS = "import keras\nimport numpy as np\nfrom keras import ops"


@dataclass(frozen=True)
class Case:
    """One submission.

    Attributes:
        name: the student.
        what: what it does, for people.
        lesson: "attention" or "positions".
        before: cells above the answers.
        after: cells below them.
        answers: "right", "none" (as handed out), or {exercise: source} over the right ones.
        wrong: "none", "all", or the ids of the exercises that must not have full points; "any"
            where its own cells have used up what its answers need.
        words: words that the flags must hold.
        graded: whether there are points at all.
        file: makes the file's bytes from the notebook's text; None to write the text.
    """

    name: str
    what: str
    lesson: str = "positions"
    before: tuple = ()
    after: tuple = ()
    answers: object = "right"
    wrong: object = "none"
    words: str = ""
    graded: bool = True
    file: object = None


# Those that mean no harm, in files that any grader reads.
HONEST = "attention_right builds_on_earlier magics odd_error seeds surrogates syntax warns".split()
FIRST = {"attention": "attention.scaled_dot_product", "positions": "positions.sinusoidal"}
_KEY = "# exercise: positions.sinusoidal\n"
_STEAL = '''
def stolen(*places):
    """Every answer that can be found in files whose names look like the course's."""
    import os, re
    found = []
    for place in places:
        for folder, _, files in os.walk(place):
            for name in files:
                if re.search(r"positions|attention|solution|judg", name) and name.endswith("py"):
                    try:
                        found.append(open(os.path.join(folder, name)).read())
                    except OSError:
                        pass
    return [text for text in found if "SOLUTION" in text or "def positional_encoding" in text]
'''
_FORGE = """
import json, os, struct, threading, time
def forge(number):
    text = json.dumps({"number": number, "passed": True, "points": 100, "outcome": {
        "results": {"result": 1.0}, "types": {"result": "float"}, "failure": None,
        "mutated": [], "called": [], "seconds": 0.0, "passed": True}}).encode()
    data = struct.pack(">QI", len(text), 0) + text
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, data)
        except OSError:
            pass
"""


def _answer(body, signature="length, d_model"):
    """An answer to the first exercise of lesson 03 with this body."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return {FIRST["positions"]: f"{_KEY}def positional_encoding({signature}):\n{lines}"}


def _lie(name, text):
    """An object that lies, returned by the first answer."""
    return _answer(f"class Liar{text}\nreturn Liar({name})")


def cases(file="/nowhere", port=9, pid=999_999):
    """The cases of the bank.

    Args:
        file: a file outside that must stay as it is and unread.
        port: of a socket that listens outside.
        pid: of a process outside that must go on.
    """
    first = (FIRST["positions"],)
    return [
        # Ends or blocks its process.
        Case("exits", "os._exit in a cell", before=("import os\nos._exit(0)",),
             words="ended the process (exit code 0)"),
        Case("exits_in_answer", "os._exit in an answer",
             answers=_answer("import os\nos._exit(3)"), wrong=first, words="took its process"),
        Case("exits_late", "os._exit in the last cell", after=("import os\nos._exit(0)",),
             words="ended the process"),
        Case("system_exit", "sys.exit, exit() and SystemExit",
             before=("import sys\nsys.exit(3)", "exit()", "raise SystemExit")),
        Case("kills_itself", "SIGKILL to its own group",
             before=("import os\nos.killpg(0, 9)",), words="ended the process (SIGKILL)"),
        Case("stops_itself", "SIGSTOP to itself", before=("import os\nos.kill(os.getpid(), 19)",),
             words="and the process with it"),
        Case("segfault", "reads address 0", before=("import ctypes\nctypes.string_at(0)",),
             words="ended the process (SIGSEGV)"),
        Case("aborts", "calls abort()", before=("import os\nos.abort()",), words="SIGABRT"),
        Case("recursion", "recursion past the C stack",
             before=("import sys\nsys.setrecursionlimit(10**8)\n"
                     "f = lambda: sorted([0], key=lambda _: f())\nf()",),
             words="ended the process"),
        Case("endless", "an endless loop in a cell", before=("while True: pass",),
             words="was stopped after"),
        Case("endless_answer", "an endless loop in an answer",
             answers=_answer("while True: pass"), wrong=first),
        Case("stubborn", "an endless loop that swallows every exception",
             before=("while True:\n    try:\n        while True: pass\n    except BaseException:\n"
                     "        pass",), words="was stopped after"),
        Case("deaf", "ignores every signal, then loops",
             before=("import signal\nfor s in range(1, 32):\n    try:\n"
                     "        signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError):\n"
                     "        pass\nwhile True: pass",), words="and the process with it"),
        Case("regex", "a regular expression that holds the interpreter",
             answers=_answer("import re\nre.match('(a+)+$', 'a' * 60 + 'b')"), wrong=first),
        Case("sleeps", "sleeps for an hour", before=("import time\ntime.sleep(3600)",),
             words="was stopped after"),
        Case("asks", "input()", before=("name = input('Your name? ')",)),
        # Uses up the machine.
        Case("fork_bomb", "forks for ever",
             before=("import os\nwhile True:\n    try:\n        os.fork()\n"
                     "    except OSError:\n        pass",)),
        Case("forks", "forks and lets both go on", before=("import os\npid = os.fork()",)),
        Case("threads", "threads without end",
             before=("import threading, time\n"
                     "while True:\n"
                     "    threading.Thread(target=time.sleep, args=(1e6,)).start()",), wrong="any"),
        Case("hoards", "fills the memory",
             before=("hoard = []\nwhile True:\n    hoard.append(bytearray(10**8))",)),
        Case("hoards_together", "fills the memory with several processes",
             before=("import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n"
                     "        hoard = bytearray(b'x' * 700_000_000)\n        time.sleep(60)\n"
                     "time.sleep(20)",), words="code cell 2"),
        Case("giant_file", "writes a file of 100 GB",
             before=("with open('x', 'wb') as f:\n    for _ in range(10**5):\n"
                     "        f.write(bytes(10**6))",)),
        Case("many_files", "fills its disk with small files",
             before=("import os, tempfile\nwhile True:\n    h, _ = tempfile.mkstemp()\n"
                     "    os.write(h, bytes(10**6))\n    os.close(h)",)),
        Case("descriptors", "opens files without end",
             before=("files = []\nwhile True:\n    files.append(open('/dev/null'))",),
             wrong="any"),
        Case("prints", "prints 50 MB", before=("for _ in range(500):\n    print('x' * 99_999)",),
             words="printed 50 MB, 1 MB kept"),
        Case("giant_integer", "returns an integer of 100 million digits",
             answers=_answer("return 1 << 300_000_000"), wrong=first),
        Case("giant_string", "returns a string of 1 GB", answers=_answer("return 'x' * 10**9"),
             wrong=first),
        Case("giant_array", "returns an array of 1 GB",
             answers=_answer("return np.zeros(10**9, 'int8')"), wrong=first),
        Case("deep_list", "returns a list that is nested 100,000 deep",
             answers=_answer("x = []\nfor _ in range(10**5):\n    x = [x]\nreturn x"), wrong=first),
        Case("endless_list", "returns a list that holds itself",
             answers=_answer("x = []\nx.append(x)\nreturn x"), wrong=first),
        # Outlives its cell.
        Case("leftover_threads", "threads that print for ever",
             before=("import threading, time\ndef work():\n    while True:\n"
                     "        print('still here')\n        time.sleep(0.01)\n"
                     "threading.Thread(target=work).start()",)),
        Case("daemons", "processes in sessions of their own",
             before=("import os, subprocess, time\n"
                     "subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
                     "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
                     f"        time.sleep(2)\n        open({str(file)!r}, 'w').write('changed')\n"
                     "        time.sleep(1000)\n    os._exit(0)",)),
        Case("at_exit", "atexit handlers that loop",
             before=("import atexit\n@atexit.register\ndef f():\n    while True: pass",)),
        # Steals or forges; the answers are those that were handed out.
        Case("reads_solutions", "looks for the solution in every file",
             before=(_STEAL, "for text in stolen('/'):\n    exec(text.replace('#~', ''))"),
             answers="none", wrong="all"),
        Case("imports_module", "imports the module of the lesson",
             before=("from course.positions import *",),
             answers=_answer("from course import positions\n"
                             "return positions.sinusoidal_encoding(length, d_model)"), wrong=first),
        Case("imports_checks", "imports the exercises and asks the judge",
             before=("import course.exercises.positions",),
             answers=_answer("from course.exercises import find\n"
                             "return find('positions.sinusoidal').probes[0].judge.reference("
                             "{'length': length, 'd_model': d_model})"), wrong=first),
        Case("lifts_the_gate", "removes the import rule, then imports the module by hand",
             before=("import importlib, sys\nsys.meta_path[:] = [f for f in sys.meta_path if "
                     "type(f).__name__ != 'Gate']\nfor n in list(sys.modules):\n"
                     "    if n.startswith('course'):\n        del sys.modules[n]\n"
                     "importlib.invalidate_caches()\nimport course.positions\n"
                     "import course.exercises.positions",),
             answers=_answer("import course.positions as p\n"
                             "return p.sinusoidal_encoding(length, d_model)"), wrong=first),
        Case("searches_memory", "searches its memory for a judge, a reference or the seed",
             before=("import gc, sys\nfound = [o for o in gc.get_objects() "
                     "if 'course.exercises' in str(getattr(type(o), '__module__', '')) "
                     "or 'course.exercises' in str(getattr(o, '__module__', ''))]\n"
                     "found += [m for m in sys.modules if m.startswith('course.exercises')]",),
             answers=_answer("return found[0].reference({'length': length, 'd_model': d_model})"),
             wrong=first),
        Case("reads_parents", "reads the memory and environment of every process that it sees",
             before=("import os\nloot = []\n"
                     "for pid in filter(str.isdecimal, os.listdir('/proc')):\n"
                     "    for name in ('environ', 'mem', 'maps', 'cmdline'):\n"
                     "        try:\n"
                     "            if int(pid) != os.getpid():\n"
                     "                loot.append(open(f'/proc/{pid}/{name}', 'rb').read(4096))\n"
                     "        except OSError:\n            pass\n"
                     "assert not any(loot), loot",
                     "import ctypes\nlibc = ctypes.CDLL(None)\n"
                     "assert libc.ptrace(16, os.getppid(), 0, 0) == -1")),
        Case("reads_canary", "reads a file outside",
             before=(f"text = open({str(file)!r}).read()",),
             answers=_answer("return text"), wrong=first),
        Case("forges_answers", "writes answers of its own to every descriptor",
             before=(_FORGE,),
             answers=_answer("for n in range(60):\n    forge(n)\n"
                             "return np.zeros((length, d_model))"),
             wrong=first),
        Case("garbage", "writes garbage to every descriptor",
             before=("import os\nfor d in range(3, 64):\n    try:\n"
                     "        os.write(d, b'\\xff' * 100)\n    except OSError:\n        pass",),
             words="wrote into the grader's files"),
        Case("patches_runner", "replaces the runner that carries plans out",
             before=("import course.runner.plans as r\n"
                     "r.carry_out = lambda plan, answer: r.Outcome(\n"
                     "    results={n: np.ones(3) for n in plan.get('return', ['result'])},\n"
                     "    types={n: 'float64' for n in plan.get('return', ['result'])})",),
             answers="none", wrong="all"),
        Case("patches_tools", "makes every comparison say yes",
             before=("import json, builtins\nyes = lambda *a, **k: True\n"
                     "np.array_equal = np.allclose = np.all = ops.isclose = yes\n"
                     "np.testing.assert_allclose = np.testing.assert_array_equal = yes\n"
                     "builtins.all = builtins.any = yes\nbuiltins.AssertionError = Warning",),
             answers="none", wrong="all"),
        Case("patches_pipe", "rewrites what is sent",
             before=("import course.grading.sandbox.protocol as p\nold = p.encode\n"
                     "def encode(tree):\n"
                     "    tree = dict(tree)\n    if 'outcome' in tree:\n"
                     "        tree['outcome'] = {'results': {}, 'types': {}, 'failure': None,\n"
                     "            'passed': True, 'points': 5, 'mutated': [], 'called': [],\n"
                     "            'seconds': 0.0}\n    return old(tree)\np.encode = encode",),
             answers="none", wrong="all"),
        Case("blanks_cells", "an input transformer that blanks every cell after it",
             before=("get_ipython().input_transformers_cleanup.append(lambda lines: ['pass'])",),
             wrong="all"),
        Case("liar_equal", "an object that is equal to everything",
             answers=_lie("0", ":\n    def __init__(self, x): pass\n"
                          "    def __eq__(self, other): return True\n"
                          "    def __array__(self, *a, **k): return np.zeros((3, 4))\n"
                          "    shape, dtype = (3, 4), np.dtype('float32')"), wrong=first),
        Case("liar_array", "an array whose shape and dtype lie",
             answers=_answer("class Liar(np.ndarray):\n    shape = (length, d_model)\n"
                             "    dtype = np.dtype('float32')\n"
                             "    def __array_finalize__(self, o): raise SystemExit\n"
                             "return np.zeros(1).view(Liar)"), wrong=first),
        Case("liar_class", "an instance that says it is a NumPy array",
             answers=_answer("class Liar:\n    __class__ = np.ndarray\n    dtype = np.dtype('f4')\n"
                             "    def __getattr__(self, name): raise MemoryError\nreturn Liar()"),
             wrong=first),
        # Does harm outside.
        Case("deletes", "deletes all that it can",
             before=("import os, shutil\n"
                     "for place in ('/', '/root', '/home', '/tmp', '/usr', os.getcwd()):\n"
                     "    shutil.rmtree(place, ignore_errors=True)",
                     f"!rm -rf --no-preserve-root / {file} 2> /dev/null")),
        Case("writes_outside", "writes to a file outside, through a link too",
             before=(f"open({str(file)!r}, 'w').write('changed')",
                     f"import os\nos.symlink({str(file)!r}, 'x')\nopen('x', 'w').write('changed')",
                     "open('/etc/passwd', 'a').write('root2::0:0::/:/bin/sh')",
                     "import sys\nopen(np.__file__, 'a').write('1/0')")),
        Case("kills_others", "signals every process, by number and by -1",
             before=("import os\nfor pid in (-1, *range(2, 70_000)):\n    try:\n"
                     "        if pid != os.getpid():\n            os.kill(pid, 15)\n"
                     "    except OSError:\n        pass",
                     f"import os\nos.kill({pid}, 9)")),
        Case("connects", "connects to a socket outside and to the network",
             before=("import socket\n"
                     f"socket.create_connection(('127.0.0.1', {port}), 2).send(b'x')",
                     "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                     f"s.sendto(b'x', ('127.0.0.1', {port}))",
                     "import os\nassert set(os.listdir('/sys/class/net')) <= {'lo'}")),
        Case("gains_rights", "asks for a namespace, a device and a set-user-id shell",
             before=("import ctypes, os\nlibc = ctypes.CDLL(None)\n"
                     "assert libc.unshare(0x10000000) == -1\n"
                     "assert libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None) == -1\n"
                     "assert libc.setuid(0) == -1 and os.getuid() != 0",)),
        # Traps, most of them without intent.
        Case("warns", "prints warnings, logs and a progress bar",
             before=("import logging, sys, warnings\nwarnings.warn('careful')\n"
                     "logging.error('not an error')\nfor i in range(100):\n"
                     "    print(f'\\r{i} %', end='', file=sys.stderr)",)),
        Case("closes_streams", "closes standard output and the descriptors below",
             before=("import os, sys\nsys.stdout.close()\nsys.stdout = sys.stderr = None",
                     "os.close(1), os.close(2)")),
        Case("breaks_builtins", "sets len to a function that returns 0",
             after=("import builtins\nbuiltins.len = lambda x: 0",),
             words="wrote into the grader's files"),
        Case("moves", "changes folder, environment and locale, and deletes its folder",
             before=("import locale, os, shutil\nos.environ.clear()\n"
                     "shutil.rmtree(os.getcwd(), ignore_errors=True)\nos.chdir('/')",)),
        Case("resets", "%reset, and del of what is to be graded",
             after=("del positional_encoding", "%reset -f"),
             wrong=("positions.sinusoidal", "positions.rotary", "positions.alibi",
                    "positions.reach")),
        Case("magics", "cell magics, shell lines and a %%writefile",
             before=("%%bash\necho hello", "%%writefile note.txt\nhello", "!ls -a", "%time 1 + 1",
                     "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\n"
                     "plt.show()", "from IPython.display import display\ndisplay({'a': 1})")),
        Case("surrogates", "prints text that no encoding holds",
             before=("print('\\ud800 \\x00 \\x1b[31m 中文 \\u202e')",
                     "raise ValueError('\\ud800\\x00')")),
        Case("odd_error", "raises an error whose text raises",
             answers=_answer("class E(Exception):\n    def __str__(self): raise SystemExit\n"
                             "raise E"), wrong=first),
        Case("syntax", "a cell that does not parse, among right ones",
             before=("def f(:\n    pass", "if True:\nprint(1)")),
        Case("null_bytes", "NUL and other control characters in a cell",
             before=("x = 1\0\x01\x1b",)),
        Case("duplicates", "every answer twice, the second one not written",
             after=(f"{_KEY}def positional_encoding(length, d_model):\n"
                    "    raise NotImplementedError",), words="define it"),
        Case("seeds", "sets float16 and another seed for all that follows",
             lesson="attention",
             before=("import random\nrandom.seed(1)\nnp.random.seed(1)\n"
                     "keras.utils.set_random_seed(7)",)),
        Case("attention_right", "lesson 02, right", lesson="attention"),
        Case("attention_module", "lesson 02, imports its module and shows it as its own",
             lesson="attention",
             before=("from course.attention import MultiHeadAttention as SelfAttention",
                     "from course.attention import scaled_dot_product_attention"),
             answers="none", wrong="all"),
        Case("attention_exits", "lesson 02, ends the process in the fifth answer",
             lesson="attention",
             answers={"attention.repair": "# exercise: attention.repair\n"
                      "class SelfAttention(keras.layers.Layer):\n"
                      "    def __init__(self, *a, **k):\n        import os\n        os._exit(1)"},
             wrong=("attention.repair",)),
        Case("builds_on_earlier", "lesson 03, uses lesson 02's module, the data and the runtime",
             before=("from course.attention import MultiHeadAttention\nfrom course import data\n"
                     "rows = data.load('world-en-de', 'test')\nassert len(rows) > 10",
                     "from course.lab import check, curves\ncheck(positional_encoding)\n"
                     "curves(1, 2)(3)[4]")),
        # Files.
        Case("not_json", "half a file", graded=False, words="not valid JSON",
             file=lambda text: text[: len(text) // 2].encode()),
        Case("utf16", "saved as UTF-16", file=lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
             words="saved as UTF-16"),
        Case("bom", "with a byte order mark", file=lambda text: b"\xef\xbb\xbf" + text.encode()),
        Case("latin1", "bytes that are not UTF-8", graded=False, words="is not UTF-8",
             file=lambda text: text.replace("nbformat", "nbf\xf6rmat").encode("latin-1")),
        Case("html", "a web page", graded=False, words="it is a web page",
             file=lambda text: b"<!DOCTYPE html><title>Sign in</title>"),
        Case("nested", "JSON nested 100,000 deep", graded=False, words="nested too deep",
             file=lambda text: b"[" * 100_000),
        Case("no_cells", "no exercise in it", graded=False, words="no exercise of lesson positions",
             file=lambda text: b'{"cells": [], "nbformat": 4, "nbformat_minor": 5}'),
        Case("odd_cells", "cells that are no cells", graded=False, words="no exercise of lesson",
             file=lambda text: b'{"cells": [1, null, {"cell_type": "code", "source": [3, {}]}, '
                               b'{"cell_type": "code"}, []], "metadata": []}'),
        Case("carriage_returns", "line ends of an old Macintosh",
             file=lambda text: text.replace("\\n", "\\r").encode()),
    ]  # fmt: skip


class Outside:
    """What no submission may change, end or reach: a file, a process and a listening socket."""

    def __init__(self, folder):
        self.file = folder / "canary"
        self.file.write_text("alive")
        self.file.chmod(0o666)

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e5)"])
        self.sockets = [socket.create_server(("127.0.0.1", 0))]
        port = self.sockets[0].getsockname()[1]
        self.sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.sockets[1].bind(("127.0.0.1", port))
        return self

    def __exit__(self, *_):
        for each in self.sockets:
            each.close()
        self.process.kill()
        self.process.wait()

    def cases(self):
        """The cases of the bank, aimed at these three."""
        return cases(self.file, self.sockets[0].getsockname()[1], self.process.pid)

    def harm(self):
        """What was done to them, a sentence each."""
        found = []
        if self.file.read_text() != "alive":
            found.append(f"the file holds {self.file.read_text()!r}")
        if self.process.poll() is not None:
            found.append(f"the process ended with {self.process.poll()}")
        if select.select(self.sockets, [], [], 0)[0]:
            found.append("the socket was reached")
        return found


def make(folder, some):
    """Writes cases as submissions.

    Args:
        folder: gets one folder for each case.
        some: the cases.
    """
    parts = {lesson: _parts(lesson) for lesson in {case.lesson for case in some}}
    for case in some:
        right, handed_out = parts[case.lesson]
        answers = handed_out if case.answers == "none" else dict(right)
        if isinstance(case.answers, dict):
            answers = right | case.answers
        sources = [IMPORTS, *case.before, *answers.values(), *case.after]
        text = json.dumps(notebook(sources), ensure_ascii=False)
        data = case.file(text) if case.file else text.encode("utf-8", "surrogatepass")
        path = folder / case.name / exercises.about(case.lesson).file
        path.parent.mkdir(parents=True)
        path.write_bytes(data)


def faults(case, record):
    """What of a record is not as the case says, a sentence each.

    Args:
        case: a `Case`.
        record: the record of its submission.
    """
    found = []
    if (record["state"] == "graded") != case.graded:
        found.append(f"it is {record['state']}: {record['reason']}")
    flags = " | ".join(all_flags(record))
    if case.words not in flags:
        found.append(f"its flags do not say {case.words!r}: {flags}")
    for exercise in record["exercises"]:
        name, full = exercise["exercise"], exercise["points"] == exercise["max_points"]
        if exercise["fault"]:
            found.append(f"{name}: a fault of the grader, {exercise['fault']}")
        elif case.wrong != "any" and full != (case.wrong != "all" and name not in case.wrong):
            said = exercise["message"][:200]
            found.append(f"{name}: {exercise['points']:g} of {exercise['max_points']:g}. {said}")
        elif case.wrong == "all" and case.answers == "none" and exercise["passed"]:
            found.append(f"{name}: passed")
    return found


def notebook(sources):
    """A notebook's tree with these code cells."""
    cells = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{i}",
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for i, source in enumerate(sources)
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def _parts(lesson):
    """(right answers, what was handed out), each {exercise: source}."""
    name = exercises.about(lesson).file
    marks = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)
    solved = _exercise_cells(_load(ROOT / "solutions" / name))
    right = {key: marks.sub("", cell["source"]).rstrip() for key, cell in solved.items()}
    cells = _exercise_cells(_load(ROOT / "lessons" / name))
    return right, {key: cell["source"] for key, cell in cells.items()}
