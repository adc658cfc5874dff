"""What a training says while it runs: in a terminal, in a file, in a notebook."""

import sys
import time

import keras

LINE_SECONDS = 60  # between two lines in a file
SHOW_SECONDS = 2  # between two pictures of a terminal or notebook


class Progress(keras.callbacks.Callback):
    """Shows step, loss, tokens a second and the time left; a line after each round.

    On a terminal the line is renewed in place, in a notebook so is an output of the cell, which is
    empty in the end; a file gets a line a minute. Until the first step is over it says that the
    model is being compiled.

    Args:
        stream: the `Rounds` that are trained on, which counts the tokens.
        steps: steps of the whole run.
        done: steps of earlier calls.
        notebook: whether to show it in the output of a notebook's cell; else on stderr.
    """

    def __init__(self, stream, steps, done=0, notebook=False):
        super().__init__()
        self.stream, self.steps, self.step = stream, steps, done
        self.screen = _Cell() if notebook else _Terminal() if _is_terminal() else _File()
        self.first = self.shown = None
        if done:
            self.screen.line(f"going on after step {done:,} of {steps:,}")

    def on_train_begin(self, logs=None):
        if self.first is None:
            self.screen.show("compiling, about half a minute")

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        now = time.monotonic()
        if self.first is None:  # the time of the first step is that of compiling
            self.first = now, self.step, self.stream.tokens
        if self.shown is None or now - self.shown >= self.screen.seconds or self.left == 0:
            self.shown = now
            self.screen.show(self.text(now, (logs or {}).get("loss")))

    @property
    def left(self):
        """Steps that are still to come."""
        return self.steps - self.step

    def text(self, now, loss):
        """The line: step, loss, tokens a second, time left."""
        began, step, tokens = self.first
        parts = [f"step {self.step:,} of {self.steps:,}"]
        if loss is not None:
            parts.append(f"loss {float(loss):.3f}")
        spent = now - began
        if self.step > step and spent > 0:
            parts.append(f"{(self.stream.tokens - tokens) / spent:,.0f} tokens/s")
            parts.append(f"{_clock(spent / (self.step - step) * self.left)} left")
        return " · ".join(parts)

    def on_epoch_end(self, epoch, logs=None):
        figures = " · ".join(
            f"{name} {float(value):.4g}" for name, value in (logs or {}).items() if name != "lr"
        )
        self.screen.round(f"step {self.step:,}: {figures}")

    def close(self):
        """Takes the line away."""
        self.screen.close()


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _is_terminal():
    return hasattr(sys.stderr, "isatty") and sys.stderr.isatty()


class _File:
    """A line a minute, for a log file or a pipe."""

    seconds = LINE_SECONDS

    def line(self, text):
        print(text, file=sys.stderr, flush=True)

    show = round = line

    def close(self):
        pass


class _Terminal(_File):
    """One line that is renewed in place."""

    seconds = SHOW_SECONDS

    def __init__(self):
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False)
        self.status = None

    def line(self, text):
        self.console.print(text, markup=False)

    round = line

    def show(self, text):
        from rich.markup import escape

        if self.status is None:
            self.status = self.console.status(escape(text))
            self.status.start()
        self.status.update(escape(text))

    def close(self):
        if self.status is not None:
            self.status.stop()
            self.status = None


class _Cell(_File):
    """An output of a notebook's cell, renewed in place."""

    seconds = SHOW_SECONDS

    def __init__(self):
        self.handle = None

    def show(self, text):
        from IPython.display import display

        data = {"text/plain": text}
        if self.handle is None:
            self.handle = display(data, raw=True, display_id=True)
        else:
            self.handle.update(data, raw=True)

    line = show

    def round(self, text):
        """Left to the cell's own callback."""

    def close(self):
        if self.handle is not None:
            self.show("")


def in_notebook():
    """Whether a notebook's kernel runs this."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return bool(shell) and hasattr(shell, "kernel")
