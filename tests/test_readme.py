"""The README: every block of it runs, here or, where it installs and tests, in .ci/run; what it prints is what it says."""
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.__main__ import main
from nfnumpy.commands import fit, tour

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCTESTS = re.compile(r"^```python\n.*?^```$", re.M | re.S)      # pytest runs these by itself, see setup.cfg
BLOCKS = [[line[4:] for line in block.splitlines()]
          for block in re.findall(r"^ {4}.*\n(?:^ {4}.*\n|^\n(?= {4}))*", DOCTESTS.sub("", README), re.M)]
COMMANDS = [line for block in BLOCKS for line in block if line.startswith("python ")]
OURS = [line for line in COMMANDS if line.startswith("python -m nfnumpy ") and not line.endswith(" tour")]
LECTURE = [line for line in COMMANDS if line.startswith("python -m lectures.lecture02 ")]


def test_a_block_is_commands_or_what_the_tour_prints():
    assert "```" not in DOCTESTS.sub("", README)
    assert sum(block[0].startswith("data  ") for block in BLOCKS) == 1
    others = [block for block in BLOCKS if not block[0].startswith("data  ")]
    assert [line for block in others for line in block if line not in COMMANDS] == []


def test_what_installs_and_tests_is_run_word_for_word_by_ci():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    elsewhere = [line for line in COMMANDS if line not in (*OURS, *LECTURE)]
    assert [line for line in elsewhere if line not in script] == [] and "python -m nfnumpy tour" in elsewhere


@pytest.fixture
def small(monkeypatch, tmp_path):
    """An empty folder with the reader's files in it; trainings of a few steps."""
    monkeypatch.chdir(tmp_path)
    moons = nf.datasets.table("moons", n=120, rng=0).x
    np.savetxt("data.csv", moons, delimiter=",", header="a,b", comments="")
    doubling = re.search(r"^>>> class Doubling.*?(?=^>>> [^.])", README, re.M | re.S).group()
    Path("my_flow.py").write_text("import numpy as np\nimport nfnumpy as nf\n\n" + re.sub(r"^(>>>|\.\.\.) ?", "", doubling, flags=re.M))
    for options in fit.OPTIONS.values():
        monkeypatch.setitem(options, "max_steps", 3)
    for name, (title, n, columns, options, training) in tour.DATA.items():
        monkeypatch.setitem(tour.DATA, name, (title, n and 200, columns, {"hidden": (4,), "steps": 2}, {"max_steps": 3}))
    return tmp_path


def test_the_commands_run_one_after_another(small, capsys):
    """All end with status 0, but `check` of the flow with a mistake, and name the files that they wrote."""
    for line in OURS:
        wanted = 1 if "my_flow.py:Doubling" in line else 0
        assert main(shlex.split(line.removeprefix("python -m nfnumpy "))) == wanted, line
        for option in ("--out", "--animate"):
            if option in line:
                assert (small / shlex.split(line.partition(option)[2])[0]).stat().st_size, line
    assert "check_log_det" in capsys.readouterr().out and (small / "my_homework").is_dir()


def test_the_tour_prints_what_the_readme_shows(small, capsys):
    """The same rows, columns and legend; .ci/run trains as long as the README did."""
    shown = "\n".join(next(block for block in BLOCKS if block[0].startswith("data  "))).strip()
    assert main(["tour"]) == 0
    printed = capsys.readouterr().out
    table, legend = shown.split("\n\n")
    assert legend in printed and tour.LEGEND == legend
    rows = [re.split(r" {2,}", line)[:2] for line in printed.splitlines()]
    assert [re.split(r" {2,}", line)[:2] for line in table.splitlines() if not line.startswith("-")] == [
        row for row in rows if row[0] in ("data", "Old Faithful", "Moons")]


def test_the_folder_above_a_clone_is_no_other_package(tmp_path):
    """There Python finds the clone's folder, `nfnumpy`, first, and must go on to the installed package."""
    (tmp_path / "nfnumpy").mkdir()
    done = subprocess.run([sys.executable, "-c", "import nfnumpy; print(nfnumpy.maf.__name__)"], cwd=tmp_path,
                          capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("maf\n", "")


def test_the_lecture_s_commands_run(monkeypatch, tmp_path):
    """The page without its players, whose drawing takes long; test_page.py has those."""
    spec = importlib.util.spec_from_file_location("lecture02_readme", ROOT / "lectures" / "lecture02" / "__main__.py")
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    monkeypatch.chdir(tmp_path)
    for line in LECTURE:
        argv = shlex.split(line.removeprefix("python -m lectures.lecture02 "))
        assert command.main(argv + ["--no-players"] * (argv[0] == "html")) == 0
    assert len(LECTURE) == 2 and len(list((tmp_path / "notebooks").glob("*.ipynb"))) > 12
    assert (tmp_path / "companion.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
