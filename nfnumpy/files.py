"""Files that are written whole and read with suspicion: named arrays and a description in JSON, with a checksum.

A file is a zip archive of ``.npy`` members without compression, as `numpy.savez` writes it and `numpy.load` reads it:

    description.npy     JSON text, as bytes
    checksum.npy        SHA-256 of all other members: their names, dtypes, shapes and bytes
    NAME.npy            one array each

Nothing that a file declares is believed: `read` allocates what the file's bytes fill, and no pickle is read.
"""
import contextlib
import hashlib
import io
import json
import math
import os
import re
import zipfile
from pathlib import Path

import numpy as np

# The header that NumPy writes for plain numbers, and no other: no objects, no fields, no nesting to lose a parser in.
HEADER = re.compile(rb"\{'descr': '([<>|][biufc]\d{1,2})', 'fortran_order': (False|True), "
                    rb"'shape': \(([\d, ]*)\), \} *\n")


@contextlib.contextmanager
def written_whole(path):
    """A path beside `path` to write to, which takes its place when all went well: no half file, no lost old one.

    Killed at any moment, also by a power cut, the old file or the new one is there; at most a ``.part`` lies beside it,
    which the next writing takes away.
    """
    path = Path(path)
    aside = path.with_name(path.name + ".part")
    try:
        yield aside
        with open(aside, "r+b") as file:
            os.fsync(file.fileno())                              # on the disk before the name is
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write(path, description, arrays):
    """Write the arrays, ``{name: array}``, and the description, made of plain values, to the open path `path`.

    Raises TypeError for a description that JSON cannot hold.
    """
    members = {"description": np.frombuffer(json.dumps(description).encode(), np.uint8), **arrays}
    with open(path, "wb") as file:
        np.savez(file, checksum=checksum(members), **members)


def read(path):
    """``description, arrays`` of a file that `write` wrote; a file without a checksum must say that its format is 1.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        For any other file, and for one that is damaged anywhere that matters, before more memory is taken than a few
        times the file's size.
    """
    content = Path(path).read_bytes()
    try:
        arrays = _members(content)
        description, found = json.loads(arrays["description"].tobytes()), arrays.pop("checksum", None)
        if found is None and description["format"] != 1:
            raise ValueError("expected a checksum, got none")
        if found is not None and not np.array_equal(found, checksum(arrays)):
            raise ValueError("its checksum is not that of its content")
        del arrays["description"]
        return description, arrays
    except ValueError:
        raise
    except Exception as error:                                   # damaged archives make zipfile raise almost anything
        raise ValueError(f"damaged, or of another program ({type(error).__name__}: {error})") from error


def checksum(arrays):
    """SHA-256 of named arrays as 32 bytes, in the order of their names.

    >>> checksum({"a": np.zeros(2)}).shape, bool((checksum({"a": np.zeros(2)}) == checksum({"b": np.zeros(2)})).all())
    ((32,), False)
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array))
    return np.frombuffer(digest.digest(), np.uint8)


def _members(content):
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if (any(member.compress_type != zipfile.ZIP_STORED for member in members)
                or sum(member.file_size for member in members) > len(content)):
            raise ValueError("expected members without compression, together no longer than the file")
        for member in members:
            arrays[member.filename.removesuffix(".npy")] = _array(archive.read(member), member.filename)
    return arrays


def _array(content, name):
    """The array in the bytes of a ``.npy`` member, which must fill them to the last one."""
    start = 10 + int.from_bytes(content[8:10], "little")         # 6 bytes of magic, 2 of version, 2 of header length
    header = HEADER.fullmatch(content[10:start])
    if content[:8] != b"\x93NUMPY\x01\x00" or not header:
        raise ValueError(f"{name}: expected a .npy header of plain numbers")
    dtype, shape = np.dtype(header[1].decode()), tuple(int(size) for size in header[3].replace(b",", b" ").split())
    if math.prod(shape) * dtype.itemsize != len(content) - start:
        raise ValueError(f"{name}: expected {len(content) - start} bytes of numbers, a header that declares shape "
                         f"{shape}")
    order = "F" if header[2] == b"True" else "C"
    return np.frombuffer(content, dtype, offset=start).reshape(shape, order=order).copy()
