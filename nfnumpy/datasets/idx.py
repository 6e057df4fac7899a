"""IDX, the format of MNIST's files: a header that says everything about the size, then the numbers, most significant
byte first."""
import gzip
import math
import pathlib
import struct
import zlib

import numpy as np

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MOST_AXES = 32                                                   # as many as every NumPy takes
CHUNK = 1 << 20


def read_idx(path):
    """The array in an IDX file, plain or compressed by gzip (told by its first bytes, not by its name).

    ::

        byte 0    00 00                     always
        byte 2    the type                  08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64
        byte 3    d, the number of axes     3 for images (n, height, width), 1 for labels (n,)
        byte 4    d sizes                   4 bytes each, most significant byte first, like all that follows
        4 + 4 d   the numbers               the last axis runs fastest

    Arguments: `path`, a file. Returns an array of the file's type in the machine's byte order. Raises FileNotFoundError
    and other OSErrors, and ValueError for a damaged file, with the byte where it breaks; in a compressed file bytes are
    counted in its content. What the header declares is never allocated before that much has been read.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "The IDX file format".

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels.idx"
    >>> _ = path.write_bytes(b"\\x00\\x00\\x08\\x01" + b"\\x00\\x00\\x00\\x03" + b"\\x05\\x00\\x04")
    >>> read_idx(path)
    array([5, 0, 4], dtype=uint8)
    """
    path = pathlib.Path(path)
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    content = _Content(path, gzip.open(path, "rb") if compressed else open(path, "rb"))
    with content.file:
        zeros, type_code, axes = struct.unpack(">HBB", content.take(4, "the first four bytes"))
        if zeros:
            content.refuse(0, "expected the bytes 00 00 of an IDX file, or 1f 8b of a compressed one, got "
                              f"{zeros >> 8:02x} {zeros & 255:02x}")
        if type_code not in TYPES:
            content.refuse(2, f"expected a type among {', '.join(f'{code:02x}' for code in TYPES)}, got "
                              f"{type_code:02x}")
        if not 1 <= axes <= MOST_AXES:
            content.refuse(3, f"expected 1 to {MOST_AXES} axes, got {axes}")
        shape = struct.unpack(f">{axes}I", content.take(4 * axes, f"the sizes of {axes} axes"))
        if 0 in shape:
            content.refuse(4 + 4 * shape.index(0), f"expected a size of at least 1, got 0 (sizes {sizes(shape)})")
        dtype = np.dtype(TYPES[type_code])
        declared = f"{sizes(shape)} numbers of type {dtype.newbyteorder('=')}"
        data = content.take(math.prod(shape) * dtype.itemsize, declared)
        if content.take(1):
            content.refuse(content.at - 1, f"expected the end after {declared}, got more bytes")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def sizes(shape):
    """A shape in words.

    >>> sizes((10000, 28, 28))
    '10000 x 28 x 28'
    """
    return " x ".join(map(str, shape))


class _Content:
    """A file's content, taken piece by piece, and the place it has been read to."""

    def __init__(self, path, file):
        self.path, self.file, self.at = path, file, 0

    def take(self, n, what=None):
        """The next n bytes, which are `what`; without `what`, n bytes or fewer, where the content may end."""
        data = bytearray()
        while len(data) < n:                                     # in chunks: n is only what the header claims
            try:
                chunk = self.file.read1(min(n - len(data), CHUNK))
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                self.refuse(self.at, f"the compressed data are damaged or cut short ({error})")
            if not chunk and what:
                self.refuse(self.at, f"the file ends, expected {what}: {n - len(data)} bytes are missing")
            if not chunk:
                break
            data += chunk
            self.at += len(chunk)
        return data

    def refuse(self, at, words):
        raise ValueError(f"{self.path}: not an IDX file, or a damaged one; at byte {at}: {words}")
