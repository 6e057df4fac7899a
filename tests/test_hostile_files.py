"""Files that are damaged, cut short or forged, and a writer that is killed: the model as it was, or one sentence."""
import io
import json
import os
import struct
import subprocess
import sys
import textwrap
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy import files


def small_model():
    model = nf.realnvp(2, steps=1, hidden=(3,), rng=0).standardized(np.array([[0.0, 1.0], [2.0, 5.0]]))
    model.theta[...] = np.random.default_rng(0).standard_normal(len(model.theta))
    model.info["columns"] = ["a", "b"]
    return model


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "model.npz"
    nf.save(small_model(), path)
    return path


def loads_equal_or_refuses(content, path):
    """Whether the file was refused, in one sentence; a model that loads must be the one that was saved, to the bit."""
    path.write_bytes(content)
    try:
        loaded = nf.load(path)
    except ValueError as error:
        assert "not a model file" in str(error) and "\n" not in str(error)
        return True
    model = small_model()
    assert repr(loaded) == repr(model) and loaded.info == model.info
    np.testing.assert_array_equal(loaded.theta, model.theta)
    np.testing.assert_array_equal(loaded.flow.flows[0].mean, model.flow.flows[0].mean)
    return False


def flip(content, places):
    damaged = bytearray(content)
    for place in places:
        damaged[place % len(damaged)] ^= 1 << place // len(damaged) % 8
    return bytes(damaged)


def overwrite(content, place, number):
    place %= len(content) - len(number)
    return content[:place] + number + content[place + len(number):]


def insert(content, place, more):
    place %= len(content)
    return content[:place] + more + content[place:]


PLACES = st.integers(0, 2 ** 16)
HUGE = st.sampled_from([b"\xff" * 2, b"\xff" * 4, b"\xff" * 8, b"\xff\xff\xff\x7f", b"\x00" * 4, b"9" * 3])
DAMAGE = st.one_of(
    st.builds(lambda places: lambda content: flip(content, places),
              st.lists(st.integers(0, 2 ** 20), min_size=1, max_size=8)),
    st.builds(lambda place: lambda content: content[:place % len(content)], PLACES),
    st.builds(lambda place: lambda content: content[place % len(content):], PLACES),
    st.builds(lambda place, number: lambda content: overwrite(content, place, number), PLACES, HUGE),
    st.builds(lambda place, more: lambda content: insert(content, place, more), PLACES, st.binary(min_size=1, max_size=40)))


@settings(max_examples=settings.default.max_examples * 8)
@given(damage=DAMAGE)
def test_a_damaged_file_loads_the_same_model_or_is_refused(valid, damage):
    loads_equal_or_refuses(damage(valid.read_bytes()), valid.with_name("damaged.npz"))


def test_thousands_of_flipped_bits_change_no_model_in_silence(valid):
    """Most bits are covered by a checksum; the others are time stamps and the like, which change nothing."""
    content, rng = valid.read_bytes(), np.random.default_rng(0)
    bits = rng.choice(8 * len(content), 2000, replace=False)
    refused = sum(loads_equal_or_refuses(flip(content, [int(bit)]), valid.with_name("flipped.npz")) for bit in bits)
    assert refused > 0.75 * len(bits)


def with_members(valid, change):
    """The file with its members, ``{name: bytes}``, changed by `change`, and the archive's own checksums put right."""
    with zipfile.ZipFile(valid) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


def declare(shape):
    def change(members):
        start, stop = members["theta.npy"].index(b"'shape': "), members["theta.npy"].index(b"}")
        header = members["theta.npy"][:start] + b"'shape': " + shape + b", "
        members["theta.npy"] = header + b"}" + members["theta.npy"][stop + 1:]
    return change


def swap(members):
    members["array0.npy"], members["array1.npy"] = members["array1.npy"], members["array0.npy"]


@pytest.mark.parametrize("change", [
    declare(b"(1000000000000,)"), declare(b"(99999999999999999999999,)"), declare(b"(0, 4294967296)"),
    declare(b"(-1,)"), declare(b"(" * 900 + b")" * 900), swap,
    lambda members: members.pop("checksum.npy"), lambda members: members.pop("theta.npy"),
    lambda members: members.update({"more.npy": members["theta.npy"]}),
    lambda members: members.update({"theta.npy": members["theta.npy"] + b"\x00" * 8}),
    lambda members: members.update({"theta.npy": b""})],
    ids=["absurd", "beyond 64 bits", "zero times huge", "negative", "nested", "swapped", "no checksum", "no theta",
         "one more", "longer", "empty"])
def test_what_the_archive_checks_but_nobody_saved_is_refused(valid, change):
    assert loads_equal_or_refuses(with_members(valid, change), valid.with_name("forged.npz"))


def bomb(kind):
    """An archive of a few kilobytes that declares gigabytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED if kind == "compressed" else zipfile.ZIP_STORED) as archive:
        archive.writestr("theta.npy", bytes(50_000_000 if kind == "compressed" else 1000))
    content = bytearray(content.getvalue())
    central = content.index(b"PK\x01\x02")
    if kind == "declared":
        struct.pack_into("<LL", content, central + 20, 2 ** 32 - 2, 2 ** 32 - 2)    # compressed size, size
    if kind == "overlapping":                                    # the same bytes, two hundred times
        entry, end = content[central:content.index(b"PK\x05\x06")], content[content.index(b"PK\x05\x06"):]
        content[central:] = 200 * entry + end
        struct.pack_into("<HHL", content, len(content) - 14, 200, 200, 200 * len(entry))
    return bytes(content)


@pytest.mark.parametrize("kind", ["compressed", "declared", "overlapping"])
def test_bombs_are_refused_before_memory_is_taken(valid, kind):
    path, content = valid.with_name("bomb.npz"), bomb(kind)
    assert loads_equal_or_refuses(content, path)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="members without compression, together no longer than the file"):
            nf.load(path)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(content) + 500_000
    finally:
        tracemalloc.stop()


def test_loading_takes_a_few_times_the_size_of_the_file(tmp_path):
    path = tmp_path / "large.npz"
    nf.save(nf.realnvp(20, steps=2, hidden=(400, 400), rng=0), path)
    tracemalloc.start()
    try:
        nf.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * path.stat().st_size


@pytest.mark.parametrize("config, reason", [
    ({"dim": 10 ** 15}, "dim: expected"), ({"dim": "2"}, "dim: expected"), ({"dim": [2]}, "dim: expected"),
    ({"nothing": 2}, "unexpected keyword"), ({"dim": 2, "hidden": 7}, "not iterable|hidden: expected")])
def test_a_description_that_fits_no_class_is_refused(tmp_path, config, reason):
    path = tmp_path / "forged.npz"
    model = {"class": "NormalizingFlow", "config": {"flow": {"class": "Coupling", "config": config},
                                                    "base": {"class": "StandardNormal", "config": {"shape": [2]}}}}
    files.write(path, {"program": "nfnumpy", "format": 2, "info": {}, "model": model}, {"theta": np.zeros(10)})
    with pytest.raises(ValueError, match=f"not a model file.*({reason})"):
        nf.load(path)


def test_a_description_that_nests_without_end_is_refused(tmp_path):
    text = np.frombuffer(b"[" * 100_000, np.uint8)
    np.savez(tmp_path / "deep.npz", description=text, checksum=files.checksum({"description": text}))
    with pytest.raises(ValueError, match="not a model file"):
        nf.load(tmp_path / "deep.npz")


def test_files_of_format_1_load(valid, tmp_path):
    """As earlier versions wrote them: without a checksum, with the archive's own alone."""
    with np.load(valid) as arrays:
        arrays = {name: arrays[name] for name in arrays.files if name != "checksum"}
    description = json.loads(arrays["description"].tobytes())
    description["format"] = 1
    arrays["description"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    np.savez(tmp_path / "old.npz", **arrays)
    assert not loads_equal_or_refuses((tmp_path / "old.npz").read_bytes(), tmp_path / "old.npz")


KILLED = """
    import os, signal, sys
    import nfnumpy as nf

    path, stride = sys.argv[1], int(sys.argv[2])
    old, new = nf.realnvp(2, steps=1, hidden=(3,), rng=0), nf.realnvp(2, steps=1, hidden=(3,), rng=1)
    nf.save(old, path)

    def save_and_die(at):
        lines = 0
        def trace(frame, event, argument):
            nonlocal lines
            lines += 1
            if lines == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace
        sys.settrace(trace)
        nf.save(new, path)
        os._exit(0)

    at, outcomes = 1, []
    while True:
        child = os.fork()
        if child == 0:
            save_and_die(at)
        _, status = os.waitpid(child, 0)
        theta = nf.load(path).theta
        assert (theta == old.theta).all() or (theta == new.theta).all()
        outcomes.append("new" if (theta == new.theta).all() else "old")
        if status == 0:
            break
        if outcomes[-1] == "new":
            nf.save(old, path)
        at += stride
    print(len(outcomes), outcomes.count("old"), outcomes.count("new"))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked child")
def test_killed_at_any_moment_the_old_file_or_the_new_one_is_there(tmp_path):
    """A child dies at line 1 of all that Python executes while it saves, the next one at line 98, and so on."""
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "model.npz"), "97"],
                            capture_output=True, text=True, check=True)
    deaths, old, new = map(int, result.stdout.split())
    assert deaths > 50 and old > 10 and new > 0
