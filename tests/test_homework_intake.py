"""What learning platforms and students hand in: whose files are whose, encodings, copies, archives that would do harm.
"""
import io
import json
import zipfile

import pytest

from nfnumpy.homework import intake, packs
from nfnumpy.homework.sources import Unreadable, assign, read_source
from nfnumpy.homework.templates import started

SLUGS = packs.slugs()
EXERCISES = {slug: packs.exercise(slug) for slug in SLUGS}


def zipped(files, **options):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text, **options)
    return data.getvalue()


def read(tmp_path, files):
    """``{submission: [file names], ...}`` of a zip with these files, and the problems."""
    path = tmp_path / "all.zip"
    path.write_bytes(zipped(files))
    found = intake.read_submissions(path, SLUGS)
    return {one.name: [source.name for source in one.sources] for one in found}, {
        one.name: one.problems for one in found if one.problems}


def test_moodle_as_it_comes(tmp_path):
    found, problems = read(tmp_path, {
        "Mia Li_17_assignsubmission_file_/gaussian_ar.py": "x = 1",
        "Ωmega Ünal_18_assignsubmission_file_/hw (1).py": "x = 1",
        "张伟_19_assignsubmission_file_/deep/er/gaussian_ar.py": "x = 1", "__MACOSX/._gaussian_ar.py": "x",
        "Flat File_20_assignsubmission_file_write_property.py": "x = 1",
        "Empty_21_assignsubmission_file_/essay.pdf": "%PDF",
        "Zip In Zip_22_assignsubmission_file_/all.zip": zipped({"a/gaussian_ar.py": "x = 2", ".DS_Store": "x"})})
    assert found == {"Mia Li_17": ["gaussian_ar.py"], "Ωmega Ünal_18": ["hw (1).py"], "张伟_19": ["gaussian_ar.py"],
                     "Flat File_20": ["write_property.py"], "Empty_21": [], "Zip In Zip_22": ["gaussian_ar.py"]}
    assert problems == {"Empty_21": ["there is no .py and no .ipynb file in it"]}


def test_canvas_as_it_comes(tmp_path):
    found, _ = read(tmp_path, {"limia_17_2034_gaussian_ar-1.py": "x = 1", "limia_17_2035_write_property.py": "x = 1",
                               "wangbo_LATE_18_2036_homework.ipynb": '{"cells": []}'})
    assert found == {"limia_17": ["gaussian_ar-1.py", "write_property.py"], "wangbo_18": ["homework.ipynb"]}


def test_folders_and_flat_files(tmp_path):
    (tmp_path / "mia").mkdir()
    (tmp_path / "mia" / "gaussian_ar.py").write_text("x = 1")
    (tmp_path / "nobody").mkdir()
    (tmp_path / "bo.ipynb").write_text('{"cells": []}')
    (tmp_path / "ann (1).py").write_text("x = 1")
    (tmp_path / ".hidden.py").write_text("x = 1")
    found = {one.name: one for one in intake.read_submissions(tmp_path, SLUGS)}
    assert list(found) == ["ann", "bo", "mia", "nobody"] and found["nobody"].problems
    alone = intake.read_submissions(tmp_path / "mia", SLUGS)
    assert [(one.name, len(one.sources)) for one in alone] == [("mia", 1)]


def test_a_folder_around_everything_is_no_student(tmp_path):
    found, _ = read(tmp_path, {"hw/mia/gaussian_ar.py": "x = 1", "hw/bo/gaussian_ar.py": "x = 1"})
    assert set(found) == {"mia", "bo"}


def test_archives_that_would_do_harm(tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "FILE", 1000)
    monkeypatch.setattr(intake, "ALL", 10_000)
    found, problems = read(tmp_path, {
        "mia/gaussian_ar.py": "x = 1", "../../evil/gaussian_ar.py": "x", "/etc/gaussian_ar.py": "x",
        "C:/x/gaussian_ar.py": "x",
        "bomb/gaussian_ar.py": "#" * 5000, "nested/a.zip": zipped({"b.zip": zipped({"c.zip": zipped({"d.py": "x"})})}),
        "broken/a.zip": "PK no zip"})
    assert found["mia"] == ["gaussian_ar.py"] and not (tmp_path.parent / "evil").exists()
    assert len(problems["(unknown)"]) == 3 and "leads out of the archive" in problems["(unknown)"][0]
    assert "larger than" in problems["bomb"][0]
    assert "not opened" in problems["nested"][0] and "cannot be read" in problems["broken"][0]
    with pytest.raises(ValueError, match="this zip cannot be read: more than"):
        read(tmp_path, {f"s{k}/gaussian_ar.py": "#" * 900 for k in range(12)})


@pytest.mark.parametrize("data", [b"\xef\xbb\xbfx = '\xc3\xa4'\r\n", "x = 'ä'\n".encode("utf-16"), b"x = '\xe4'\r",
                                  b"# coding: latin-1\nx = '\xe4'\n"])
def test_every_encoding_is_read(data):
    cell, = read_source("a.py", data).cells
    assert "x = 'ä'\n" in cell and "\r" not in cell and "\ufeff" not in cell


def test_what_is_no_source():
    with pytest.raises(Unreadable, match="not a text file"):
        read_source("a.py", b"\0\1\2")
    with pytest.raises(Unreadable, match="not a notebook"):
        read_source("a.ipynb", b"{}")


def test_which_exercise_a_file_is():
    """By its first line, else by its name, else by what it defines; of several the latest copy."""
    first = "# nfnumpy homework: exercise gaussian_ar, pack week 1, variant 0 (keep this line)\n"
    files = {"x.py": first, "write_property.py": "", "gaussian_ar (1).py": first + "# newer", "gaussian_ar.py": first,
             "mine.py": "def log_density_1d(x, f df): broken", "notes.py": "a = 1"}
    found, remarks = assign([read_source(name, text.encode()) for name, text in files.items()], EXERCISES)
    assert {slug: source.name for slug, source in found.items()} == {
        "gaussian_ar": "gaussian_ar (1).py", "write_property": "write_property.py", "change_of_variables_1d": "mine.py"}
    assert any("notes.py belongs to no exercise" in remark for remark in remarks)
    assert any("more than once: gaussian_ar (1).py was graded" in remark for remark in remarks)


def test_not_started_is_a_matter_of_syntax():
    template = EXERCISES["gaussian_ar"].template
    parts = list(EXERCISES["gaussian_ar"].parts)
    untouched = template.replace("About 60", "Only 3") + "\n\n# I will do that tomorrow\n"
    assert started([untouched], parts, [template]) == []
    assert started([template.replace("    raise NotImplementedError", "    pass")], parts, [template]) == []
    begun = template.replace("    raise NotImplementedError", "    return x, 0", 1)
    assert started([begun], parts, [template]) == parts[:1]
    assert started(["this is no python"], parts, [template]) == parts


def test_a_notebook_with_its_own_commands():
    cells = [{"cell_type": "markdown", "source": ["# a"]},
             {"cell_type": "code", "source": ["%matplotlib inline\n", "x = 1"]},
             {"cell_type": "code", "source": "%%timeit\nx"}, {"cell_type": "code", "source": "!pip install y\nnp.abs?"}]
    assert read_source("a.ipynb", json.dumps({"cells": cells}).encode()).cells == ["\nx = 1", "", "\n"]
