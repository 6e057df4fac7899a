"""Runs one submission of one exercise: in a process of its own, or, for the package's own tests, in this one.

Both give the same interface: ``load(source)`` gives the submission's functions, to be called with plain values; `Raised`
is what a function of theirs raised, `Ended` says that there is no submission any more, and why.
"""
import contextlib
import importlib.util
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types

from nfnumpy.homework.child import Submission
from nfnumpy.homework.peer import Peer, Raised, over_pipe
from nfnumpy.homework.protocol import ProtocolError, read_frame, write_frame

SECONDS = 20.0             # by the clock, for all of an exercise; references take some hundredths of one
MEMORY, FILE, PRINTED = 2 << 30, 16 << 20, 4_000                 # bytes, bytes, characters
CHILD = pathlib.Path(__file__).with_name("child.py")


class Ended(Exception):
    """The process of the submission is no more; the text says why."""


class InProcess:
    """The submission in this process: quick, and for trusted sources only, those of the exercises themselves."""

    def __init__(self, name="submission"):
        submission = Submission(f"homework_{name}")
        self.peer, self.printed = Peer(), ""
        student = Peer(self.peer.handle, where=submission.where, student=True)
        student.shelf.lend(submission.load, ())
        self.peer.exchange = student.handle

    def load(self, cells, whole, names):
        return self.peer.call(0, "", (list(cells), whole, list(names)))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.peer.exchange = None


class ChildProcess:
    """The submission in a process of its own, in a temporary folder, with limits; killed with all that it started.

    Parameters
    ----------
    name : str
        Of the module that the submission becomes.
    seconds : float
        How long the whole may take, by the clock and in computing time.
    """

    def __init__(self, name="submission", seconds=SECONDS):
        self.name, self.seconds, self.printed = name, seconds, ""
        self.peer = Peer()

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="homework_", ignore_cleanup_errors=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment.update({f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM")},
                           PYTHONHASHSEED="0", MPLBACKEND="Agg")
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-u", "-W", "ignore", str(CHILD), json.dumps(self.limits())], cwd=self.folder.name,
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **apart)
        self.deadline, self.frames = time.monotonic() + self.seconds, queue.Queue()
        threading.Thread(target=self._receive, daemon=True).start()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        self.peer.exchange = over_pipe(self.peer, self._read, self._write)
        return self

    def __exit__(self, *error):
        self.kill()
        for stream in (self.process.stdin, ):
            with contextlib.suppress(OSError):
                stream.close()
        self.folder.cleanup()

    def load(self, cells, whole, names):
        return self.peer.call(0, "", (list(cells), whole, list(names)))

    def limits(self):
        """What the child asks of its system for itself."""
        places = [str(pathlib.Path(importlib.util.find_spec(name).origin).parents[1]) for name in ("numpy", "scipy")]
        return {"name": self.name, "cpu": int(self.seconds) + 1, "memory": MEMORY, "file": FILE,
                "processes": processes_of_user(), "path": places}

    def kill(self):
        """End the process and everything in its group."""
        if os.name == "nt":
            self.process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.listener.join(0.2)

    def _receive(self):
        """A thread of its own: waiting with a time limit works for queues on every system, for pipes it does not."""
        try:
            while (frame := read_frame(self.process.stdout)) is not None:
                self.frames.put(frame)
            self.frames.put(None)
        except (ProtocolError, OSError, ValueError) as error:
            self.frames.put(error)

    def _listen(self):
        """Take what the submission prints, all of it, and keep the beginning."""
        with contextlib.suppress(OSError, ValueError):
            while piece := self.process.stderr.read1(1 << 16):
                if len(self.printed) < PRINTED:
                    self.printed += piece.decode("utf-8", "replace")[:PRINTED - len(self.printed)]

    def _read(self):
        try:
            frame = self.frames.get(timeout=max(self.deadline - time.monotonic(), 0.001))
        except queue.Empty:
            self.kill()
            raise Ended(f"it took longer than {self.seconds:g} seconds") from None
        if isinstance(frame, Exception):
            self.kill()
            raise Ended("it wrote rubbish where its answers are read") from frame
        if frame is None:
            raise Ended(self._how_it_ended())
        return frame

    def _write(self, data):
        if time.monotonic() > self.deadline:
            self.kill()
            raise Ended(f"it took longer than {self.seconds:g} seconds")
        try:
            write_frame(self.process.stdin, data)
        except OSError:
            raise Ended(self._how_it_ended()) from None

    def _how_it_ended(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=1)
        status = self.process.poll()
        self.kill()
        if status is not None and status < 0:
            if -status in (signal.SIGXCPU, signal.SIGKILL):
                return f"its process used up its {self.seconds:g} seconds, or its memory, and was ended"
            return f"its process crashed ({signal.Signals(-status).name})"
        return "its process ended before it answered" + (f", with status {status}" if status is not None else "")


def processes_of_user(more=64):
    """A limit on processes: those that the user has now, and some more, since the system counts all of them together.

    None where they cannot be counted. An answer needs no process at all, but another program's must not use it up.
    """
    try:
        mine = [entry for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit() and entry.stat().st_uid == os.getuid()]
        return sum(len(os.listdir(entry / "task")) for entry in mine) + more
    except (OSError, AttributeError):
        return None


def answers(functions):
    """The functions of a submission, as attributes."""
    return types.SimpleNamespace(**functions)


__all__ = ["ChildProcess", "Ended", "InProcess", "Raised", "answers"]
