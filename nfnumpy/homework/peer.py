"""Two sides that call each other's functions: the grader, and whatever runs a submission.

A call is one frame, and so is its answer; before it answers, the called side may call back. Loaded by the child
process as well, without the rest of nfnumpy.
"""
import builtins

from .protocol import TEXT, ProtocolError, Shelf, decode, encode, read_frame, write_frame    # the child has no nfnumpy

CALL = encode(("call", 0, "", ()), None)[:14]                    # how every call begins, and no answer


class Raised(Exception):
    """The other side's function raised: `kind` of exception, its `message`, and `where`, a line of the submission."""

    def __init__(self, kind, message, where=""):
        super().__init__(f"{kind}: {message}")
        self.kind, self.message, self.where = str(kind), str(message), str(where)


class Peer:
    """One side. `exchange(data)` sends a call and gives the answer, serving calls from the other side meanwhile.

    `catch` are the exceptions of this side's functions that are told to the other one; `where(error)` says in which
    line they happened; a `student` side raises what its callbacks raised as the builtin exception of that name.
    """

    def __init__(self, exchange=None, catch=Exception, where=lambda error: "", student=False):
        self.shelf, self.exchange = Shelf(any_object=student), exchange
        self.catch, self.where, self.student = catch, where, student
        self.changed = []                                    # of the last call: which arguments are not what they were

    def call(self, number, name, args):
        """The value of the other side's function, or of one of its methods."""
        answer = self._decode(self.exchange(encode(("call", number, name, tuple(args)), self.shelf)))
        if type(answer) is tuple and len(answer) == 3 and answer[0] == "result" and isinstance(answer[2], list):
            self.changed = answer[2]
            return answer[1]
        if type(answer) is tuple and len(answer) == 4 and answer[0] == "error":
            raise self._exception(*answer[1:])
        raise ProtocolError("an answer that is neither a result nor an error")

    def handle(self, data):
        """Serve a call that came in: the frame to answer with."""
        try:
            message = self._decode(data)
            if type(message) is not tuple or len(message) != 4 or message[0] != "call" or type(message[1]) is not int:
                raise ProtocolError("expected a call")
            _, number, name, args = message
            before = [encode(arg, self.shelf) for arg in args]
            value = self.shelf.find(number, name)(*args)
            changed = [encode(arg, self.shelf) != was for arg, was in zip(args, before)]
            return encode(("result", value, changed), self.shelf)
        except self.catch as error:
            told = error.kind if isinstance(error, Raised) else type(error).__name__
            return encode(("error", told, _text(error), self.where(error)), None)

    def _decode(self, data):
        return decode(data, self.shelf, self.call)

    def _exception(self, kind, message, where):
        builtin = getattr(builtins, str(kind), None)
        if self.student and isinstance(builtin, type) and issubclass(builtin, Exception):
            return builtin(message)
        return Raised(kind, message, where)


def over_pipe(peer, read, write):
    """`exchange` of a peer on one end of a pipe: what comes before the answer are calls, to be served."""
    def exchange(data):
        write(data)
        while True:
            frame = read()
            if frame is None:
                raise EOFError("the other side has gone")
            if frame[:len(CALL)] != CALL:
                return frame
            write(peer.handle(frame))
    return exchange


def serve(peer, reader, writer):
    """Answer calls until the other side has gone: the life of a child process."""
    peer.exchange = over_pipe(peer, lambda: read_frame(reader), lambda data: write_frame(writer, data))
    while (frame := read_frame(reader)) is not None:
        write_frame(writer, peer.handle(frame))


def _text(error):
    try:
        return str.__getitem__(str(error), slice(0, TEXT))       # a plain str, whatever came
    except Exception:                                            # a submission's exception may do anything, this too
        return "(an exception without a text)"
