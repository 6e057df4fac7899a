"""Runs one submission of one exercise: in a process of its own, or, for the package's own tests, in this one.

Both give the same interface: ``load(source)`` gives the submission's functions, to be called with plain values;
`Raised` (of `peer`) is what a function of theirs raised, `Ended` says that there is no submission any more, and why.
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

from nfnumpy.homework.child import Submission
from nfnumpy.homework.peer import Peer, over_pipe
from nfnumpy.homework.protocol import ProtocolError, read_frame, write_frame

SECONDS = 20.0             # by the clock, for all of an exercise; references take some hundredths of one
MEMORY, FILE, PRINTED = 2 << 30, 16 << 20, 4_000                 # bytes, bytes, characters
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP",
               "TMPDIR")
CHILD = pathlib.Path(__file__).with_name("child.py")


class Ended(Exception):
    """The process of the submission is no more; the text says why."""


class Runner:
    """What both kinds have in common: a `peer`, and `printed`, the beginning of what the submission printed."""

    def load(self, cells, whole, names, beside=()):
        """``{name: function}`` of the submission made of these cells, and what went wrong: see `Submission.load`."""
        return self.peer.call(0, "", (list(cells), whole, list(names), dict(beside)))


class InProcess(Runner):
    """The submission in this process: quick, and for trusted sources only, those of the exercises themselves."""

    def __init__(self, name="submission"):
        submission = Submission(f"homework_{name}")
        self.peer, self.printed = Peer(), ""
        student = Peer(self.peer.handle, where=submission.where, student=True)
        student.shelf.lend(submission.load, ())
        self.peer.exchange = student.handle

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.peer.exchange = None


class ChildProcess(Runner):
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
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        environment.update({f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM")},
                           PYTHONHASHSEED="0", MPLBACKEND="Agg")
        apart = ({"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt"
                 else {"start_new_session": True})
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-u", "-W", "ignore", str(CHILD), json.dumps(self.limits())], cwd=self.folder.name,
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **apart)
        self.deadline, self.frames, self.over = time.monotonic() + self.seconds, queue.Queue(2), False
        self.receiver = threading.Thread(target=self._receive, daemon=True)
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.receiver.start()
        self.listener.start()
        self.peer.exchange = over_pipe(self.peer, self._read, self._write)
        return self

    def __exit__(self, *error):
        self.kill()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        for thread, stream in ((self.receiver, self.process.stdout), (self.listener, self.process.stderr)):
            if not thread.is_alive():                            # else one that got away holds the other end
                stream.close()
        self.folder.cleanup()

    def limits(self):
        """What the child asks of its system for itself."""
        places = [str(pathlib.Path(importlib.util.find_spec(name).origin).parents[1]) for name in ("numpy", "scipy")]
        return {"name": self.name, "cpu": int(self.seconds) + 1, "memory": MEMORY, "file": FILE,
                "processes": processes_of_user(), "path": places}

    def kill(self):
        """End the process and everything in its group."""
        self.over = True
        if os.name == "nt":
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(self.process.pid)], capture_output=True)
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.receiver.join(0.2)
        self.listener.join(0.2)

    def _receive(self):
        """A thread of its own: waiting with a time limit works for queues on every system, for pipes it does not."""
        try:
            while (frame := read_frame(self.process.stdout)) is not None:
                self._hand_over(frame)
            self._hand_over(None)
        except (ProtocolError, OSError, ValueError) as error:
            self._hand_over(error)

    def _hand_over(self, frame):
        """To the grader, who reads one frame at a time: a submission that sends more than it is asked for must wait."""
        while not self.over:
            with contextlib.suppress(queue.Full):
                return self.frames.put(frame, timeout=0.1)

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
        numbers = [entry for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()]
        mine = [entry for entry in numbers if entry.stat().st_uid == os.getuid()]
        return sum(len(os.listdir(entry / "task")) for entry in mine) + more
    except (OSError, AttributeError):
        return None
