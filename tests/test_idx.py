"""MNIST's file format: what was written is read, and every kind of damage is refused with the byte where it breaks."""
import gzip
import re
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import nfnumpy as nf
from nfnumpy.datasets.idx import TYPES

CODES = {np.dtype(name).newbyteorder("="): code for code, name in TYPES.items()}
ARRAYS = st.sampled_from(sorted(CODES, key=str)).flatmap(
    lambda dtype: arrays(dtype, array_shapes(max_dims=4, max_side=5)))
ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def as_idx(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, CODES[array.dtype], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def refused(path, content):
    """The byte that the refusal of `content` names, and the sentence."""
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        nf.datasets.read_idx(path)
    sentence = str(error.value)
    assert sentence.startswith(f"{path}: ") and "\n" not in sentence
    return int(re.search(r"at byte (\d+): ", sentence)[1]), sentence


@ONE_FOLDER
@given(ARRAYS, st.booleans())
def test_what_was_written_is_read(tmp_path, array, compressed):
    path = tmp_path / "any-name"
    path.write_bytes(gzip.compress(as_idx(array)) if compressed else as_idx(array))
    found = nf.datasets.read_idx(path)
    assert found.dtype == array.dtype and found.dtype.isnative and found.flags.writeable
    np.testing.assert_array_equal(found, array)


@ONE_FOLDER
@given(ARRAYS, st.booleans(), st.data())
def test_a_file_cut_short_is_refused_at_its_end(tmp_path, array, compressed, data):
    content = as_idx(array)
    content = content[:data.draw(st.integers(0, len(content) - 1))]
    at, sentence = refused(tmp_path / "cut", gzip.compress(content) if compressed else content)
    assert at == len(content) and "missing" in sentence


@ONE_FOLDER
@given(ARRAYS, st.booleans(), st.binary(min_size=1, max_size=9))
def test_more_bytes_than_declared_are_refused_where_they_start(tmp_path, array, compressed, more):
    content = as_idx(array)
    path = tmp_path / "long"
    assert refused(path, gzip.compress(content + more) if compressed else content + more)[0] == len(content)


@ONE_FOLDER
@given(ARRAYS, st.data())
def test_a_damaged_header_is_refused_or_is_another_valid_one(tmp_path, array, data):
    """One byte of the header changed: the byte that is named is that one, or follows from the size it declares now."""
    content = bytearray(as_idx(array))
    at = data.draw(st.integers(0, 3 + 4 * array.ndim))
    content[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
    path = tmp_path / "damaged"
    path.write_bytes(content)
    try:
        found = nf.datasets.read_idx(path)
    except ValueError:
        named, _ = refused(path, content)
        assert named == 0 if at < 2 else named >= 2
    else:                                                        # such as uint8 that became int8
        assert at >= 2 and as_idx(found) == content


@ONE_FOLDER
@given(ARRAYS, st.data())
def test_damaged_gzip_is_refused(tmp_path, array, data):
    """A change or a cut anywhere but in gzip's own notes (name, time, system) is found, if only by the checksum."""
    content = bytearray(gzip.compress(as_idx(array)))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(2, len(content) - 1)):]
    else:
        at = data.draw(st.integers(10, len(content) - 1))
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "damaged.gz"
    path.write_bytes(content)
    try:
        found = nf.datasets.read_idx(path)
    except ValueError:
        refused(path, content)                                   # damage may also make the content longer
    else:                                                        # a bit that means nothing, as in a block's padding
        np.testing.assert_array_equal(found, array)


def test_every_sentence(tmp_path):
    good = as_idx(np.zeros((2, 3), np.uint8))
    cases = [(b"", 0, "missing"), (b"PK\x03\x04", 0, "got 50 4b"), (b"\0\0\x07\1", 2, "got 07"),
             (b"\0\0\x08\0", 3, "got 0"), (b"\0\0\x08\xff", 3, "got 255"), (good[:10], 10, "2 axes: 2 bytes"),
             (good[:11] + b"\0" + good[12:], 8, "got 0"),
             (good[:-1], 17, "2 x 3 numbers of type uint8: 1 bytes"), (good + b"x", 18, "more bytes"),
             (gzip.compress(good)[:-3], 18, "damaged or cut short"), (gzip.compress(good) + b"x", 18, "damaged")]
    for content, at, words in cases:
        named, sentence = refused(tmp_path / "file", content)
        assert named == at and words in sentence, sentence
    with pytest.raises(FileNotFoundError):
        nf.datasets.read_idx(tmp_path / "nowhere")


@pytest.mark.parametrize("compressed, axes", [(False, 3), (True, 3), (False, 1)])
def test_absurd_sizes_are_not_allocated(tmp_path, compressed, axes):
    content = struct.pack(f">HBB{axes}I", 0, 0x0E, axes, *[2**32 - 1] * axes) + bytes(100)
    path = tmp_path / "absurd"
    path.write_bytes(gzip.compress(content) if compressed else content)
    tracemalloc.start()
    with pytest.raises(ValueError, match="missing"):
        nf.datasets.read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_a_bomb_is_not_unpacked(tmp_path):
    """A hundred megabytes of zeros behind a file that declares three: refused after a look at the first of them."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(as_idx(np.zeros(3, np.uint8)) + bytes(10**8), compresslevel=1))
    tracemalloc.start()
    with pytest.raises(ValueError, match="at byte 11: expected the end"):
        nf.datasets.read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
