"""A real kernel, for tests of what a notebook's cells say: run a cell, read what it showed."""

import contextlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Cell:
    """What a cell showed: printed text, displayed text and HTML, and the error's traceback."""

    text: str = ""
    html: str = ""
    error: str = ""


@contextlib.contextmanager
def kernel(home, **environment):
    """Starts a kernel whose COURSE_HOME is a folder; yields a `Kernel`."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager()
    manager.kernel_spec.argv[0] = sys.executable
    ours = {k: v for k, v in os.environ.items() if k[:7] != "COURSE_"}
    ours |= {"COURSE_HOME": str(home), "PYTHONPATH": str(ROOT), **environment}
    manager.start_kernel(env=ours, cwd=str(home))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


class Kernel:
    """A running kernel."""

    def __init__(self, manager, client):
        self.manager, self.client = manager, client

    def run(self, source, *, interrupt_after=None, timeout=300):
        """Runs a cell to its end.

        Args:
            source: the cell's text.
            interrupt_after: seconds after which ■ is pressed, or None.
            timeout: seconds to wait for the end.

        Returns:
            A `Cell`.
        """
        from queue import Empty

        sent, cell = self.client.execute(source), Cell()
        started, pressed = time.monotonic(), False
        while True:
            if interrupt_after and not pressed and time.monotonic() - started > interrupt_after:
                self.manager.interrupt_kernel()
                pressed = True
            if time.monotonic() - started > timeout:
                raise TimeoutError(f"the cell did not end in {timeout} s: {source}")
            try:
                message = self.client.get_iopub_msg(timeout=0.2)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") != sent:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                cell.text += content["text"]
            elif kind in ("display_data", "execute_result"):
                cell.text += content["data"].get("text/plain", "") + "\n"
                cell.html += content["data"].get("text/html", "")
            elif kind == "error":
                cell.error += "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                return cell
