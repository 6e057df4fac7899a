"""Plain values over a pipe: what the grader and the process that runs a submission say to each other.

Nothing here is pickled, and nothing that comes in is trusted: a value is None, a truth value, a number, a short text,
an array of numbers, a list, tuple or dict of values, or a *handle*, the number of a function that stays on the other
side and can be called there. A frame is its length and then its bytes; both lengths and depths are limited.

The grader and its child process both load this file, the child without the rest of nfnumpy.
"""
import struct
import types

import numpy as np

DTYPES = [np.dtype(code).newbyteorder("<") for code in (
    "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")]
NUMBERS = {dtype: number for number, dtype in enumerate(DTYPES)}
# Limits: bytes of a frame, levels of nesting, entries of a list, axes of an array, characters of a text.
FRAME, DEPTH, ITEMS, DIMENSIONS, TEXT = 1 << 24, 8, 10_000, 8, 4_000


class ProtocolError(Exception):
    """Bytes that are no frame of this format, or a value that cannot be sent."""


class Handle:
    """A function, or an object with named methods, that lives on the other side."""

    def __init__(self, number, methods, call):
        self._number, self._call = number, call
        for name in methods:
            setattr(self, name, lambda *args, name=name: call(number, name, args))

    def __call__(self, *args):
        return self._call(self._number, "", args)


class Shelf:
    """The functions that this side lends to the other one, by number; only these can be called from there.

    An object is lent by its public methods: any object by a submission, only a `types.SimpleNamespace` by the grader.
    """

    def __init__(self, any_object=False):
        self.lent, self.numbers, self.any_object = [], {}, any_object

    def methods(self, thing):
        """The names of an object's methods that the other side may call; none of a function."""
        if callable(thing) or not (self.any_object or isinstance(thing, types.SimpleNamespace)):
            return []
        return [name for name in dir(thing) if not name.startswith("_") and callable(getattr(thing, name, None))]

    def lend(self, thing, methods):
        """The number of `thing`, the same one each time."""
        if id(thing) not in self.numbers:
            self.numbers[id(thing)] = len(self.lent)
            self.lent.append((thing, tuple(methods)))
        return self.numbers[id(thing)]

    def find(self, number, name):
        """The function behind a number, and a method's name if it has some."""
        if not 0 <= number < len(self.lent):
            raise ProtocolError(f"no function has the number {number}")
        thing, methods = self.lent[number]
        if name and name not in methods:
            raise ProtocolError(f"there is no method {name!r}")
        return getattr(thing, name) if name else thing


def encode(value, shelf, depth=0):
    """`value` as bytes. Functions, and objects with public methods, are lent from the `shelf`.

    >>> decode(encode([np.eye(2), (1, 2.5, "z", None)], None), None)
    [array([[1., 0.],
           [0., 1.]]), (1, 2.5, 'z', None)]
    """
    if depth > DEPTH:
        raise ProtocolError(f"a value nested more than {DEPTH} levels deep")
    if value is None or value is True or value is False:
        return {None: b"N", True: b"T", False: b"F"}[value]
    if type(value) is int and -2 ** 63 <= value < 2 ** 63:
        return b"i" + struct.pack("<q", value)
    if type(value) is float:
        return b"d" + struct.pack("<d", value)
    if type(value) is str:
        return b"s" + _sized(value[:TEXT].encode("utf-8", "replace"))
    if isinstance(value, (list, tuple)):
        if len(value) > ITEMS:
            raise ProtocolError(f"a list of {len(value)} entries, more than {ITEMS}")
        return (b"l" if isinstance(value, list) else b"t") + _items([encode(item, shelf, depth + 1) for item in value])
    if type(value) is dict and all(type(key) is str for key in value):
        return b"m" + _items([part for key, item in value.items()
                              for part in (encode(key, shelf), encode(item, shelf, depth + 1))])
    if isinstance(value, Handle):
        return b"r" + struct.pack("<q", value._number)
    if isinstance(value, (np.ndarray, np.generic)):
        return _encode_array(np.asarray(value))
    if shelf is not None and (callable(value) or shelf.methods(value)):
        names = _items([encode(name, None) for name in shelf.methods(value)])
        return b"h" + struct.pack("<q", shelf.lend(value, shelf.methods(value))) + names
    raise ProtocolError(f"expected numbers or arrays of numbers, got {describe(value)}")


def decode(data, shelf, call=None):
    """The value that `encode` made bytes of. Handles of the other side become functions that go through `call`."""
    value, end = _decode(memoryview(data), 0, shelf, call, 0)
    if end != len(data):
        raise ProtocolError(f"{len(data) - end} bytes after the end of a value")
    return value


def describe(value):
    """What something is, in a few words, without asking it."""
    return f"an object of type {type(value).__name__}"



def write_frame(stream, data):
    """Send bytes."""
    if len(data) > FRAME:
        raise ProtocolError(f"{len(data)} bytes at once, more than {FRAME}")
    stream.write(struct.pack("<I", len(data)) + data)
    stream.flush()


def read_frame(stream):
    """Bytes that the other side sent, or None at the end of the stream."""
    header = stream.read(4)
    if len(header) < 4:
        return None
    length = struct.unpack("<I", header)[0]
    if length > FRAME:
        raise ProtocolError(f"a frame of {length} bytes, more than {FRAME}")
    data = stream.read(length)
    return data if len(data) == length else None


def _sized(data):
    return struct.pack("<I", len(data)) + data


def _items(parts):
    return struct.pack("<I", len(parts)) + b"".join(parts)


def _encode_array(array):
    number = NUMBERS.get(array.dtype.newbyteorder("<")) if array.dtype.kind in "biufc" else None
    if number is None:
        raise ProtocolError(f"expected an array of numbers, got one of dtype {array.dtype}")
    if array.ndim > DIMENSIONS or array.nbytes > FRAME:
        raise ProtocolError(f"an array of shape {array.shape} is too large")
    data = array.astype(DTYPES[number], copy=False).tobytes()
    shape = struct.pack(f"<{array.ndim}I", *array.shape)
    return b"a" + bytes([number, array.ndim]) + shape + data


def _decode(data, at, shelf, call, depth):
    if depth > DEPTH or at >= len(data):
        raise ProtocolError("a value that is cut off or nested too deeply")
    kind, at = bytes(data[at:at + 1]), at + 1
    if kind in b"NTF":
        return {b"N": None, b"T": True, b"F": False}[kind], at
    if kind in b"id":
        return _number(data, at, "<q" if kind == b"i" else "<d"), at + 8
    if kind == b"s":
        length = _number(data, at, "<I")
        return bytes(_slice(data, at + 4, length)).decode("utf-8", "replace"), at + 4 + length
    if kind == b"a":
        return _decode_array(data, at)
    if kind in b"ltm":
        return _decode_items(data, at, shelf, call, depth, kind)
    if kind == b"r" and shelf is not None:
        return shelf.find(_number(data, at, "<q"), ""), at + 8
    if kind == b"h" and call is not None:
        number = _number(data, at, "<q")
        methods, at = _decode_items(data, at + 8, None, None, depth, b"l")
        if not all(type(name) is str and name.isidentifier() and not name.startswith("_") for name in methods):
            raise ProtocolError("a method whose name is no name")
        return Handle(number, methods, call), at
    raise ProtocolError(f"a value of unknown kind {kind!r}")


def _decode_items(data, at, shelf, call, depth, kind):
    count, at = _number(data, at, "<I"), at + 4
    if count > 2 * ITEMS:
        raise ProtocolError(f"a list of {count} entries")
    items = []
    for _ in range(count):
        item, at = _decode(data, at, shelf, call, depth + 1)
        items.append(item)
    if kind == b"m":
        if len(items) % 2 or not all(type(key) is str for key in items[::2]):
            raise ProtocolError("a dict whose keys are no texts")
        return dict(zip(items[::2], items[1::2])), at
    return (items if kind == b"l" else tuple(items)), at


def _decode_array(data, at):
    code, ndim = _slice(data, at, 2)
    if code >= len(DTYPES) or ndim > DIMENSIONS:
        raise ProtocolError("an array of unknown dtype, or of too many axes")
    shape = struct.unpack(f"<{ndim}I", _slice(data, at + 2, 4 * ndim))
    dtype, at, size = DTYPES[code], at + 2 + 4 * ndim, 1
    for length in shape:
        size *= length                                           # in Python's whole numbers, which do not overflow
    raw = _slice(data, at, size * dtype.itemsize)
    return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("=")).reshape(shape), at + size * dtype.itemsize


def _number(data, at, code):
    return struct.unpack(code, _slice(data, at, struct.calcsize(code)))[0]


def _slice(data, at, length):
    if at + length > len(data):
        raise ProtocolError("a value that is cut off")
    return data[at:at + length]
