"""One line on stderr while a model is fitted: the callback that `fit` puts before all others."""
import shutil
import sys

from nfnumpy.history import unit_of


class ProgressLine:
    """Rewritten in place after each evaluation and taken away at the end; in nats, or in bits per dimension.

    Blanks instead of the control sequence that clears a line: not every console knows it.
    """

    def __init__(self):
        self.written = 0                                         # characters that stand on the line

    def __call__(self, state):
        if state.step and state.evaluated:
            history, (unit, nats) = state.history, unit_of(state.model)
            train, valid, best = (value / nats for value in (history.train[-1], history.valid[-1], history.best_valid))
            left = state.seconds / state.step * (state.max_steps - state.step)
            self.write(f"step {state.step}/{state.max_steps}  training {train:.3f} {unit}, held-out {valid:.3f}, "
                       f"best {best:.3f}  {left:.0f} s left")

    def end(self, state):
        """Leave an empty line."""
        if self.written:
            self.write("")

    def write(self, text):
        """Show `text` in place of what was there; of a terminal, only as much as fits its width."""
        if sys.stderr.isatty():
            text = text[:shutil.get_terminal_size().columns - 1]         # a line that wraps cannot be rewritten
        sys.stderr.write(f"\r{text.ljust(self.written)}" + ("" if text else "\r"))
        sys.stderr.flush()
        self.written = len(text)
