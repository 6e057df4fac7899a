"""`python -m lectures.lecture02`, and the figures: each is drawn by a script, in its place, and shown by a page."""
import doctest
import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import drawing
import pytest
from companion import pages
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*(ROOT / "lectures").rglob("*.md"), ROOT / "README.md"]


@pytest.fixture
def command():
    spec = importlib.util.spec_from_file_location("lecture02_command", ROOT / "lectures" / "lecture02" / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_names_are_those_of_the_scripts(command):
    """`names` reads the scripts as text, so that --list is fast; it finds what importing them would find."""
    scripts = {path.stem for path in (ROOT / "lectures" / "lecture02").glob("*_figures.py")}
    found = {name: script for script in scripts for name in importlib.import_module(script).FIGURES}
    assert command.names() == found and found


def test_two_scripts_with_one_figure_are_refused(command, tmp_path, monkeypatch):
    for script in ("a_figures", "b_figures"):
        (tmp_path / f"{script}.py").write_text('FIGURES = {"same": print}\n')
    monkeypatch.setattr(command, "HERE", tmp_path)
    with pytest.raises(ValueError, match="same: expected one script .* a_figures.py and b_figures.py"):
        command.names()


def test_every_figure_is_shown_or_linked():
    shown = {Path(target).name for page in PAGES
             for target in re.findall(r"\]\(([^)]*figures/[^)]*)\)", page.read_text(encoding="utf-8"))}
    assert {path.name for path in (ROOT / "figures").iterdir()} == shown


@pytest.mark.parametrize("wanted, near",
                         [("energy", "energies"), ("kl_direction.png", "kl_directions"), ("atlsa", "atlas")])
def test_a_wrong_name_gets_one_sentence_with_the_nearest(command, capsys, wanted, near):
    assert command.main([wanted]) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1
    assert f"{wanted}: there is no such figure; did you mean " in err and near in err


def test_a_name_like_no_other_is_pointed_to_the_list(command, capsys):
    assert command.main(["qqqqqqqqqq"]) == 2
    assert capsys.readouterr().err == "lectures.lecture02: qqqqqqqqqq: there is no such figure; --list has all names\n"


def test_progress_and_order(command, capsys, monkeypatch):
    drawn = []
    monkeypatch.setattr(command, "draw", lambda name, script: drawn.append((name, script)) or Path(f"{name}.png"))
    assert command.main([]) == 0
    everything = command.names()
    assert drawn == list(everything.items())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(everything) + 1
    assert all(re.fullmatch(rf"{k} of {len(everything)}: {name}\.png, \d+\.\d s", line)
               for k, (name, line) in enumerate(zip(everything, lines), 1))
    drawn.clear()
    assert command.main(["energies", "kl_directions", "energies"]) == 0
    assert [name for name, _ in drawn] == ["energies", "kl_directions"]


def test_draw_calls_the_function_and_saves_what_it_returns(command, tmp_path):
    path = command.draw("linear_factors", "linear_figures", folder=tmp_path)
    assert path == tmp_path / "linear_factors.png" and path.read_bytes().startswith(b"\x89PNG")


# The pages in other forms

def test_a_page_is_written_and_its_size_said(command, tmp_path, capsys, monkeypatch):
    wanted = []
    monkeypatch.setattr("companion.document.document", lambda players: wanted.append(players) or "<p>é</p>\n")
    path = tmp_path / "a.html"
    assert command.main(["html", str(path)]) == 0 and command.main(["html", "--no-players", str(path)]) == 0
    assert wanted == [True, False] and path.read_bytes() == "<p>é</p>\n".encode() and list(tmp_path.iterdir()) == [path]
    assert capsys.readouterr().out.splitlines() == [f"{path}: 0.0 MB"] * 2


def test_notebooks_are_written_once_counted_and_not_lost(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pages, "lecture_pages", lambda: ["lectures/numerics.md", "lectures/lecture02/summary.md"])
    argv = ["notebook", str(tmp_path / "new")]
    first, second = tmp_path / "new" / "numerics.ipynb", tmp_path / "new" / "summary.ipynb"
    assert command.main(argv) == 0
    assert capsys.readouterr().out == f"2 notebooks in {tmp_path / 'new'}; begin with numerics.ipynb\n"
    first.unlink()
    assert command.main(argv) == 0
    assert capsys.readouterr().out == (
        f"2 notebooks in {tmp_path / 'new'}, 1 of them there before and left as it is; begin with numerics.ipynb\n")
    first.unlink()
    second.write_text("my notes", encoding="utf-8")
    assert command.main(argv) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and second.read_text(encoding="utf-8") == "my notes" and not first.exists()
    assert f"got {second}; nothing was written" in err and "--force" in err
    assert command.main([*argv, "--force"]) == 0 and first.exists() and second.read_text(encoding="utf-8") != "my notes"


@pytest.mark.parametrize("argv, sentence", [
    (["html", "companion"], "FILE: expected a name that ends in .html, got companion"),
    (["html", "no/such/folder/a.html"], "FILE: expected a file in a folder that is there, got "),
    (["notebook", __file__], "DIR: expected a folder, got the file "),
    (["notebok"], "notebok: there is no such figure; did you mean notebook"),
])
def test_a_wrong_place_gets_one_sentence(command, capsys, argv, sentence):
    assert command.main(argv) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith(f"lectures.lecture02: {sentence}") and err.count("\n") == 1


def test_a_place_that_cannot_be_written_is_status_1(command, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert command.main(["notebook", str(tmp_path / "file" / "inside")]) == 1
    assert "lectures.lecture02: " in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--help"], ["html", "--help"], ["notebook", "--help"]])
def test_each_command_has_help(command, capsys, argv):
    with pytest.raises(SystemExit) as end:
        command.main(argv)
    out = capsys.readouterr().out
    assert end.value.code == 0 and f"usage: python -m lectures.lecture02 {argv[0].replace('--help', '')}".strip() in out
    assert argv != ["--help"] or "notebook DIR" in out and "html FILE" in out
    assert argv[0] != "notebook" or "--force" in out and "nothing is written" in " ".join(out.split())


def test_its_examples(command):
    """pytest collects no doctests from a file called __main__.py."""
    assert doctest.testmod(command) == (0, 2)


def test_from_the_checkout():
    command = [sys.executable, "-m", "lectures.lecture02", "--list"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0 and "energies" in run.stdout.split() and "atlas" in run.stdout.split()


def test_it_runs_from_another_folder(tmp_path):
    """An editable install puts the checkout on Python's path, `lectures` with it."""
    run = subprocess.run([sys.executable, "-m", "lectures.lecture02", "--list"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0 and "energies" in run.stdout.split()


# How a picture is saved

def figure():
    made = Figure(figsize=(1, 1))
    made.subplots().plot([0, 1])
    return made


def test_the_same_drawing_gives_the_same_bytes(tmp_path):
    first, second = (drawing.save(figure(), name, tmp_path).read_bytes() for name in "ab")
    assert first == second and b"matplotlib" not in first.lower()


def test_a_drawing_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    old = drawing.save(figure(), "a", tmp_path).read_bytes()

    class Torn(Figure):
        def savefig(self, path, **how):
            path.write_bytes(b"half of a ")
            raise OSError("no space left")

    with pytest.raises(OSError):
        drawing.save(Torn(), "a", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"] and (tmp_path / "a.png").read_bytes() == old
