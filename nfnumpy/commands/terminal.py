"""What the commands know of the terminal: whether it shows colours, and which characters can be written.

A colour never says anything alone: what it marks is a word.
"""
import os
import sys

FAILED, SKIPPED = "1;31", "2"                                    # bold and red; faint
PIECE = 2 ** 13                                                  # characters
KNOWING = ("WT_SESSION", "ANSICON", "ConEmuANSI", "TERM")        # set by programs that show colours on Windows


def shows_colours(stream):
    """Whether to colour what goes to a stream: a terminal that can, and nobody who asked for none (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return False
    return os.name != "nt" or any(name in os.environ for name in KNOWING)


def paint(text, colour, stream):
    """`text` in a `colour` where the stream shows it.

    >>> import io
    >>> paint("FAIL", FAILED, io.StringIO())
    'FAIL'
    """
    return f"\x1b[{colour}m{text}\x1b[0m" if shows_colours(stream) else text


def complain(sentence):
    """Say on stderr what is wrong."""
    print(f"{paint('nfnumpy:', FAILED, sys.stderr)} {sentence}", file=sys.stderr)


def prepare_streams():
    """Let the process print any character: one that a console's encoding lacks comes as its number, not as an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def write_data(text):
    """Print data for another program, in UTF-8 as in files; on a terminal, in its own encoding.

    In pieces: with PYTHONUNBUFFERED one large write to a pipe that is closed meanwhile ends early and is no error.
    """
    if hasattr(sys.stdout, "reconfigure") and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")
    for start in range(0, len(text), PIECE):
        sys.stdout.write(text[start:start + PIECE])
