"""python -m nfnumpy homework: what is written, what a student reads, what a teacher gets."""
import csv
import json

import pytest

import nfnumpy.homework.grading as grading
from nfnumpy.__main__ import main
from nfnumpy.commands.homework import one_submission
from nfnumpy.homework import intake, packs, reports, runner, templates

ANSWERS = {slug: packs.exercise(slug) for slug in ("change_of_variables_1d", "gaussian_ar", "write_property")}


# A teacher's own points: these tests are of the command, not of the packs as they are shipped.
POINTS = {"credit": {"opposite": 0.5, "false_alarm": 0.25}, "packs": {
    "classroom": {"title": "In class", "version": 1, "exercises": {
        "change_of_variables_1d": {"log_density_1d": 1}, "gaussian_ar": {"gaussian_ar_forward": 2}}},
    "week": {"title": "At home", "version": 1, "exercises": {
        "change_of_variables_1d": {"log_density_1d": 0.5},
        "gaussian_ar": {"gaussian_ar_forward": 0.5, "gaussian_ar_inverse": 0.5, "gaussian_ar_vjp": 1},
        "write_property": {"round_trip_property": 0.5, "log_det_property": 0.5}}},
    "vjp": {"title": "On paper", "version": 1, "exercises": {"gaussian_ar": {"gaussian_ar_vjp": 3}}}}}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch, tmp_path_factory):
    """Answers here are trusted: a process for each would take the suite's time."""
    monkeypatch.setattr(grading.grade, "__defaults__", (None, lambda name: runner.InProcess(name)))
    path, shipped = tmp_path_factory.mktemp("points") / "points.json", packs.load_points
    path.write_text(json.dumps(POINTS), encoding="utf-8")
    monkeypatch.setattr(packs, "load_points", lambda other=None: shipped(other or path))


def hand_in(folder, pack="classroom", variant=0, **changes):
    """A submission with right answers, or a change of them: ``gaussian_ar={old: new}`` or a text."""
    folder.mkdir(parents=True, exist_ok=True)
    for slug in packs.Pack(pack).points:
        first = templates.FIRST_LINE.format(slug=slug, pack=pack, version=1, variant=variant)
        text = ANSWERS[slug].answer_of(0, changes.get(slug, {}))
        (folder / f"{slug}.py").write_text(f"{first}\n{text}", encoding="utf-8")


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("pack, variant", [("classroom", 0), ("week", 1), ("vjp", 2)])
def test_new_files_parse_say_what_they_are_and_are_not_started(tmp_path, capsys, pack, variant):
    assert main(["homework", "new", str(tmp_path / "hw"), "--pack", pack, "--variant", str(variant)]) == 0
    for path in (tmp_path / "hw").iterdir():
        text = path.read_text(encoding="utf-8")
        assert templates.headers(text) == [(path.stem, pack, 1, variant)]
        assert set(packs.Pack(pack).points[path.stem]) == set(packs.parts_of(text)) & set(ANSWERS[path.stem].parts)
    assert main(["homework", "check", str(tmp_path / "hw")]) == 0
    out = capsys.readouterr().out
    assert "not started" in out and "properties" not in out
    assert main(["homework", "new", str(tmp_path / "hw"), "--pack", pack]) == 2
    assert "exists, and nothing was written" in capsys.readouterr().err


def test_a_notebook_holds_the_whole_pack(tmp_path, capsys):
    assert main(["homework", "new", str(tmp_path), "--pack", "week", "--notebook"]) == 0
    cells = json.loads((tmp_path / "homework.ipynb").read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert [templates.headers(source)[0][0] for source in sources] == list(packs.Pack("week").points)
    assert main(["homework", "check", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("not started") == 6


def test_check_gives_as_much_help_as_it_may(tmp_path, capsys):
    hand_in(tmp_path / "hw", gaussian_ar={"return z, -log_sigma": "return z, log_sigma"})
    printed = []
    for hints in "012":
        assert main(["homework", "check", str(tmp_path / "hw"), "--hints", hints]) == 1
        printed.append(capsys.readouterr().out)
    always = "5 of 7 properties", "x = [[1., 2.]]", "expected log_det[0]"
    assert all(piece in out for out in printed for piece in always)
    assert ["which direction" in out for out in printed] == [False, True, True]
    assert ["Read again: slide" in out for out in printed] == [False, False, True]
    assert not any("exp(" in out for out in printed)             # no level has a formula


def test_check_of_one_file_is_of_its_exercises(tmp_path, capsys):
    hand_in(tmp_path / "hw", "week")
    assert main(["homework", "check", str(tmp_path / "hw" / "gaussian_ar.py")]) == 0
    out = capsys.readouterr().out
    assert "gaussian_ar_vjp" in out and "2 of 2\n" in out and "log_density_1d" not in out and "not there" not in out
    (tmp_path / "hw" / "write_property.py").unlink()
    assert main(["homework", "check", str(tmp_path / "hw")]) == 0
    out = capsys.readouterr().out
    assert out.count("not there") == 2 and "2.5 of 3.5\n" in out


def test_a_syntax_error_says_its_place_once(tmp_path, capsys):
    """By the process that a student's file gets."""
    hand_in(tmp_path / "hw", gaussian_ar="def gaussian_ar_forward(:\n    pass\n")
    pack = packs.Pack("classroom")
    whole = one_submission(tmp_path / "hw" / "gaussian_ar.py", intake)
    graded = grading.grade(whole, pack, 0, "gaussian_ar", runner.ChildProcess)
    assert sum(remark.count("(gaussian_ar.py, line 2)") for remark in graded.remarks) == 1


def test_grade_a_class(tmp_path, capsys, monkeypatch):
    hand_in(tmp_path / "all" / "=1+1")
    hand_in(tmp_path / "all" / "opposite", gaussian_ar=ANSWERS["gaussian_ar"].opposite[0].change)
    hand_in(tmp_path / "all" / "broken", gaussian_ar="this is no python")
    hand_in(tmp_path / "all" / "short")
    (tmp_path / "all" / "short" / "gaussian_ar.py").unlink()
    (tmp_path / "all" / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    command = ["homework", "grade", "all", "--out", "grades.csv", "--seed", "271828", "--feedback", "pages", "--quiet"]
    assert main(command) == 0
    rows = table("grades.csv")
    assert list(rows[0]) == ["submission", "change_of_variables_1d", "gaussian_ar", "total", "remarks"]
    assert [(row["submission"], row["gaussian_ar"], row["total"]) for row in rows] == [
        ("'=1+1", "2", "3"), ("broken", "0", "1"), ("empty", "0", "0"), ("opposite", "1", "2"), ("short", "0", "1")]
    assert "SyntaxError" in rows[1]["remarks"] and "no .py and no .ipynb" in rows[2]["remarks"]
    assert [row["remarks"] for row in rows[3:]] == ["", "gaussian_ar: no file handed in"] and not rows[0]["remarks"]
    pages = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "pages").iterdir()}
    assert set(pages) == {"=1+1.md", "broken.md", "empty.md", "opposite.md", "short.md"}
    assert "another convention" in pages["opposite.md"] and "271828" not in "".join(pages.values())
    for name in pages:
        scope = json.loads((tmp_path / "results" / name.replace(".md", ".json")).read_text(encoding="utf-8"))
        assert scope["score"] == sum(test["score"] for test in scope["tests"]) and len(scope["tests"]) == 2


def test_regrade_one_exercise_keeps_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hand_in(tmp_path / "all" / "mia", gaussian_ar="broken (")
    assert main(["homework", "grade", "all", "--only", "gaussian_ar"]) == 2      # nothing to keep yet
    assert main(["homework", "grade", "all"]) == 0 and table("grades.csv")[0]["total"] == "1"
    hand_in(tmp_path / "all" / "mia", change_of_variables_1d="broken (")
    assert main(["homework", "grade", "all", "--only", "gaussian_ar"]) == 0
    row, = table("grades.csv")
    assert (row["change_of_variables_1d"], row["gaussian_ar"], row["total"], row["remarks"]) == ("1", "2", "3", "")
    assert main(["homework", "grade", "all", "--only", "nothing"]) == 2


def test_points_do_not_depend_on_the_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, name, change in (("one", "a", {"-log_sigma": "log_sigma"}), ("two", "z", {"-log_sigma": "log_sigma"}),
                                 ("one", "b", {}), ("two", "b", {})):
        hand_in(tmp_path / folder / name, gaussian_ar=change)
    found = []
    for folder in ("one", "two"):
        assert main(["homework", "grade", folder, "--out", f"{folder}.csv"]) == 0
        found.append({row["submission"].replace("z", "a"): row["total"] for row in table(f"{folder}.csv")})
    assert found[0] == found[1]


def test_which_variant_is_graded(tmp_path, monkeypatch, capsys):
    """What the first lines say, if they agree; a pasted answer to variant 0 fails, and a false first line does not
    help.
    """
    monkeypatch.chdir(tmp_path)
    hand_in(tmp_path / "all" / "pasted", variant=1)
    assert main(["homework", "grade", "all", "--quiet"]) == 0
    assert float(table("grades.csv")[0]["total"]) < 1
    hand_in(tmp_path / "all" / "liar", variant=0)
    assert main(["homework", "grade", "all"]) == 2
    assert "say --variant" in capsys.readouterr().err
    assert main(["homework", "grade", "all", "--variant", "1", "--quiet"]) == 0
    rows = {row["submission"]: row for row in table("grades.csv")}
    assert rows["liar"]["total"] == rows["pasted"]["total"]
    assert "graded was classroom 1, variant 1" in rows["liar"]["remarks"]


def test_points_are_a_teachers_and_checked(tmp_path):
    points = json.loads((packs.folder() / "points.json").read_text(encoding="utf-8"))
    path = tmp_path / "points.json"
    points["packs"]["classroom"]["exercises"]["gaussian_ar"] = {"gaussian_ar_forward": "two"}
    path.write_text(json.dumps(points))
    with pytest.raises(ValueError, match="gaussian_ar_forward: expected points from 0 up, got 'two'"):
        packs.load_points(path)
    path.write_text(json.dumps(points)[:-5])
    with pytest.raises(ValueError, match="this is no JSON: line 1"):
        packs.load_points(path)


def test_without_the_lectures_there_is_one_clear_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.undo()                                           # points are looked for where they are shipped
    monkeypatch.setattr(packs, "LECTURES", tmp_path / "nowhere")
    assert main(["homework", "new", str(tmp_path / "hw")]) == 2
    assert "it comes with a clone of the repository" in capsys.readouterr().err


def test_names_make_safe_cells_and_files():
    assert [reports.safe_cell(name) for name in ("=a", "+a", "-a", "@a", "a=")] == ["'=a", "'+a", "'-a", "'@a", "a="]
    names = reports.safe_names(["../../x", "张伟", "a/b", "A\\B", "A\\b"], "").values()
    assert list(names) == ["____x", "张伟", "a_b", "A_B 2", "A_b 3"]
