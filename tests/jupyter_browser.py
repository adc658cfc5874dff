"""A real JupyterLab in headless Chromium, for tests that do what a student does.

    with jupyter_lab(folder) as lab:
        notebook = lab.open("02_attention.ipynb")
        notebook.set_cell_source(3, "answer = 42")
        notebook.run_cell(3)
        notebook.wait_for_text("passed", index=4)
        notebook.cell(7).locator(".course-explorer").screenshot(path="explorer.png")

The server listens on 127.0.0.1 behind a token, with settings, configuration, home and progress in
a temporary folder, and is gone at the end. Where Chromium, Playwright or JupyterLab is missing the
test skips and says which. Cells are counted from 0. `notebook.page` is the Playwright page.
"""

import contextlib
import importlib.util
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import pytest

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SETTINGS = {
    # Off-screen cells would otherwise not be in the page, and could be neither found nor read.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}
# The notebook on top, as JupyterLab's own objects: read from here, acted on through the screen.
PANEL = "window.jupyterapp.shell.currentWidget"


def require_browser():
    """Skips the test where no browser can be driven.

    Returns:
        Path of a Chromium.
    """
    for module in ("playwright", "jupyterlab", "ipykernel"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"browser test: the package {module} is not installed")
    chromium = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if chromium is None:
        pytest.skip(f"browser test: none of {', '.join(CHROMIUM_NAMES)} is on PATH")
    return chromium


@contextlib.contextmanager
def jupyter_lab(root_dir, env=None, *, start_timeout=90, size=(1400, 1000)):
    """Serves a folder with JupyterLab and drives it with a browser.

    Args:
        root_dir: the folder that JupyterLab shows.
        env: dict of environment variables for the server and its kernels, beside this process's.
        start_timeout: seconds to wait for the server.
        size: width and height of the window, in pixels.

    Yields:
        A `Lab`.
    """
    chromium = require_browser()
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory(prefix="jupyter-", ignore_cleanup_errors=True) as scratch,
        _server(pathlib.Path(root_dir), pathlib.Path(scratch), env or {}, start_timeout) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=chromium, args=list(CHROMIUM_ARGUMENTS), env={**os.environ}
        )
        width, height = size
        context = browser.new_context(viewport={"width": width, "height": height})
        try:
            yield Lab(url, context)
        finally:
            context.close()
            browser.close()


@contextlib.contextmanager
def _server(root_dir, scratch, env, start_timeout):
    """A JupyterLab server as a process of its own; yields (address, token)."""
    for name, values in SETTINGS.items():
        path = scratch / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    folders = {
        "HOME": "home",
        "COURSE_HOME": "course",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }
    environment = {**os.environ, **{name: str(scratch / at) for name, at in folders.items()}}
    for at in folders.values():
        (scratch / at).mkdir(exist_ok=True)
    environment.update(env)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root_dir.resolve()}"),
        *("--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    log = scratch / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=scratch,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for_server(process, f"{address}/api/status?token={token}", log, start_timeout)
        yield address, token
    finally:
        process.terminate()  # the server then ends its kernels
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _wait_for_server(process, status, log, seconds):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"JupyterLab ended at once:\n{log.read_text()[-3000:]}")
        try:
            with opener.open(status, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not answer in {seconds} s:\n{log.read_text()[-3000:]}")


class Lab:
    """A running JupyterLab.

    Attributes:
        url: the server's address.
        token: what a request needs, as `?token=`.
        context: the Playwright browser context, for a page of your own.
    """

    def __init__(self, server, context):
        self.url, self.token = server
        self.context = context

    def open(self, path, *, dark=False, kernel=True, timeout=90):
        """Opens a notebook in a page of its own.

        Args:
            path: the notebook's path inside the served folder.
            dark: whether to use JupyterLab's dark theme.
            kernel: whether to wait until its kernel is ready.
            timeout: seconds to wait.

        Returns:
            A `Notebook`.
        """
        page = self.context.new_page()
        page.set_default_timeout(timeout * 1000)
        workspace = f"auto-{secrets.token_hex(4)}"
        address = f"{self.url}/lab/workspaces/{workspace}/tree/{path}"
        page.goto(f"{address}?token={self.token}", timeout=timeout * 1000)
        page.wait_for_function(
            f"() => window.jupyterapp && {PANEL}?.content?.widgets?.length > 0"
            f" && {PANEL}.context.isReady"
        )
        notebook = Notebook(page, timeout)
        if dark:
            notebook.use_theme("JupyterLab Dark")
        if kernel:
            page.wait_for_function(
                f"() => {PANEL}.sessionContext.session?.kernel?.status === 'idle'"
            )
        return notebook


class Notebook:
    """An open notebook.

    Attributes:
        page: the Playwright page.
        problems: errors that the page's JavaScript threw.
    """

    def __init__(self, page, timeout):
        self.page = page
        self.timeout = timeout
        self.problems = []
        page.on("pageerror", lambda problem: self.problems.append(str(problem)))

    @property
    def count(self):
        """How many cells there are."""
        return self.page.evaluate(f"() => {PANEL}.content.widgets.length")

    def cell(self, index):
        """The Playwright locator of one cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def cell_source(self, index):
        """The text of one cell, all of it."""
        return self.page.evaluate(
            f"index => {PANEL}.content.widgets[index].model.sharedModel.getSource()", index
        )

    def find_cell(self, text):
        """Index of the first cell whose source contains a text.

        Raises:
            LookupError: if there is none.
        """
        for index in range(self.count):
            if text in self.cell_source(index):
                return index
        raise LookupError(f"no cell contains {text!r}")

    def select_cell(self, index):
        """Selects a cell with a click beside its text, in command mode."""
        cell = self.cell(index)
        cell.scroll_into_view_if_needed()
        cell.locator(".jp-InputPrompt").first.click()

    def set_cell_source(self, index, text):
        """Replaces a code cell's text, typed key by key into its editor."""
        editor = self.cell(index).locator(".cm-content")
        editor.scroll_into_view_if_needed()
        editor.click()
        keyboard = self.page.keyboard
        keyboard.press("Control+a")
        keyboard.press("Delete")
        for number, line in enumerate(text.split("\n")):
            if number:
                keyboard.press("Enter")
                keyboard.press("Shift+Home")  # over the indentation that the editor guessed
                if not line:
                    keyboard.press("Delete")
            keyboard.type(line)
        typed = self.cell_source(index)
        assert typed.rstrip() == text.rstrip(), f"the editor holds {typed!r}, not {text!r}"

    def run_cell(self, index, *, timeout=None):
        """Runs a cell with Ctrl+Enter and waits until it has run.

        Returns:
            The text of its output.
        """
        before = self._execution_count(index)
        self.select_cell(index)
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_function(
            f"""([index, before]) => {{
                const model = {PANEL}.content.widgets[index].model;
                return model.type !== "code"
                    || (model.executionCount !== null && model.executionCount !== before);
            }}""",
            arg=[index, before],
            timeout=1000 * (timeout or self.timeout),
        )
        return self.cell_output_text(index)

    def run_all(self, *, timeout=None):
        """Runs every cell in order and waits until the last has run."""
        self.page.evaluate(
            """() => {
                window.courseRan = null;
                window.jupyterapp.commands.execute("notebook:run-all-cells").then(
                    () => { window.courseRan = "done"; },
                    (problem) => { window.courseRan = String(problem); });
            }"""
        )
        self.page.wait_for_function(
            "() => window.courseRan !== null", timeout=1000 * (timeout or self.timeout)
        )
        self.page.wait_for_function(
            f"() => {PANEL}.sessionContext.session.kernel.status === 'idle'",
            timeout=1000 * (timeout or self.timeout),
        )

    def cell_output_text(self, index):
        """What a reader sees below a cell, as text; alt text of pictures is not in it."""
        area = self.cell(index).locator(".jp-Cell-outputArea")
        return area.inner_text() if area.count() else ""

    def wait_for_text(self, text, *, index=None, timeout=None):
        """Waits until a text, or a match of a compiled pattern, can be seen.

        Args:
            text: string or `re.Pattern`.
            index: the cell to look below; None means anywhere in the notebook.
            timeout: seconds.

        Returns:
            The text found around it.
        """
        until = time.monotonic() + (timeout or self.timeout)
        wanted = text if isinstance(text, re.Pattern) else re.compile(re.escape(text))
        while True:
            seen = (
                self.page.locator(".jp-Notebook").first.inner_text()
                if index is None
                else self.cell_output_text(index)
            )
            if wanted.search(seen):
                return seen
            if time.monotonic() > until:
                raise AssertionError(f"{wanted.pattern!r} was not shown; seen: {seen[-2000:]!r}")
            self.page.wait_for_timeout(100)

    def save(self):
        """Saves with Ctrl+S and waits until it is on disk."""
        self.page.locator(".jp-Notebook").first.focus()
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("Control+s")
        self.page.wait_for_function(f"() => !{PANEL}.context.model.dirty")

    def use_theme(self, name):
        """Switches to a theme: "JupyterLab Light" or "JupyterLab Dark"."""
        self.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name
        )
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)

    def screenshot(self, path, *, index=None):
        """Takes a picture of the page, or of one cell."""
        target = self.page if index is None else self.cell(index)
        target.screenshot(path=str(path))
        return pathlib.Path(path)

    def _execution_count(self, index):
        return self.page.evaluate(
            f"index => {PANEL}.content.widgets[index].model.executionCount ?? null", index
        )
