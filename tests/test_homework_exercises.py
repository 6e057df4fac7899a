"""Every exercise of the homework: its reference and right answers get all points, its wrong answers lose some, and why.
"""
import re
import types

import pytest

from nfnumpy.homework import packs
from nfnumpy.homework.judge import Answers, cases_of, check_all, judge_part
from nfnumpy.homework.runner import InProcess

CREDITS = {"opposite": 0.5, "false_alarm": 0.25}
EXERCISES = {slug: packs.exercise(slug) for slug in packs.slugs()}


def verdicts(exercise, source, variant=0, parts=None, seed=1):
    """``{part: PartVerdict}`` of a trusted source, in this process."""
    with InProcess() as runner:
        functions, _ = runner.load([source], True, list(exercise.parts))
        return {part: judge_part(exercise, part, Answers(functions, runner.peer), variant, seed, CREDITS)
                for part in parts or exercise.parts}


def failed(verdict):
    return {result.name: result for result in verdict.results if not result.holds}


def told(verdict):
    """What failed, for the message of a failing test."""
    return {name: (result.seen, result.question) for name, result in failed(verdict).items()}


@pytest.mark.parametrize("slug, name", [(slug, name) for slug in EXERCISES
                                        for name in ["the answer", *EXERCISES[slug].right]])
def test_right_answers_get_all_points(slug, name):
    exercise = EXERCISES[slug]
    source = exercise.answer_of(0, exercise.right.get(name, {}))
    for verdict in verdicts(exercise, source).values():
        assert verdict.credit == 1, told(verdict)


@pytest.mark.parametrize("slug, k", [(slug, k) for slug in EXERCISES for k in range(len(EXERCISES[slug].wrong))],
                         ids=lambda value: str(value))
def test_wrong_answers_lose_points_and_hear_why(slug, k):
    exercise, wrong = EXERCISES[slug], EXERCISES[slug].wrong[k]
    verdict = verdicts(exercise, exercise.answer_of(0, wrong.change), parts=[wrong.part])[wrong.part]
    assert verdict.credit < 1 and verdict.credit <= wrong.credit, (wrong.name, verdict.credit, told(verdict))
    assert wrong.fails in failed(verdict), (wrong.name, told(verdict))
    assert wrong.asks in failed(verdict)[wrong.fails].question, (wrong.name, told(verdict))


@pytest.mark.parametrize("slug, k", [(slug, k) for slug in EXERCISES for k in range(len(EXERCISES[slug].opposite))])
def test_another_convention_is_named_and_gets_part_of_the_points(slug, k):
    exercise, opposite = EXERCISES[slug], EXERCISES[slug].opposite[k]
    found = verdicts(exercise, exercise.answer_of(0, opposite.change), parts=opposite.parts or None)
    for verdict in found.values():
        assert verdict.convention == opposite.sentence, told(verdict)
        assert CREDITS["opposite"] <= verdict.credit < 1


@pytest.mark.parametrize("slug, variant", [(slug, number) for slug in EXERCISES for number in EXERCISES[slug].variants])
def test_a_variant_wants_another_answer(slug, variant):
    exercise = EXERCISES[slug]
    assert exercise.template_of(variant) != exercise.template
    compile(exercise.template_of(variant), slug, "exec")
    for verdict in verdicts(exercise, exercise.answer_of(variant), variant).values():
        assert verdict.credit == 1, told(verdict)
    pasted = verdicts(exercise, exercise.answer, variant).values()
    assert min(verdict.credit for verdict in pasted) < 0.7 and not any(verdict.convention for verdict in pasted)


@pytest.mark.parametrize("slug", EXERCISES)
def test_the_reference_itself_holds(slug):
    """The library, asked as a student is: its values are consistent with its own Jacobians and round trips."""
    exercise = EXERCISES[slug]
    for part in exercise.parts:
        for case in cases_of(exercise, 0, 1):
            reference = exercise.reference(case, 0)
            answers = Answers(vars(reference), types.SimpleNamespace(changed=[]))
            results = check_all(exercise, part, answers, [case], 0)
            assert all(result.holds for result in results), [(r.name, r.seen) for r in results if not r.holds]


@pytest.mark.parametrize("slug", EXERCISES)
def test_an_exercise_is_complete(slug):
    exercise = EXERCISES[slug]
    assert len(exercise.wrong) >= 5 and len(exercise.right) >= 2 and exercise.minutes > 0
    assert "lecture" in exercise.template.lower() and exercise.slide in exercise.template
    assert all(wrong.part in exercise.parts for wrong in exercise.wrong)


def test_parts_have_names_of_their_own():
    names = [part for exercise in EXERCISES.values() for part in exercise.parts]
    assert len(names) == len(set(names))


def test_the_page_shows_an_exercise_that_works(tmp_path, monkeypatch):
    """The worked example of the page for authors, saved as it says."""
    page = (packs.folder() / "README.md").read_text(encoding="utf-8")
    template, checks = re.findall(r"^```\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "checks").mkdir()
    (tmp_path / "scaling.py").write_text(template, encoding="utf-8")
    (tmp_path / "checks" / "scaling.py").write_text(checks, encoding="utf-8")
    (tmp_path / "points.json").write_text("{}")
    monkeypatch.setattr(packs, "LECTURES", tmp_path)
    exercise = packs.exercise("scaling")
    for change in ({}, *exercise.right.values()):
        assert verdicts(exercise, exercise.answer_of(0, change))["scaling_forward"].credit == 1
    wrong, opposite = exercise.wrong[0], exercise.opposite[0]
    result = failed(verdicts(exercise, exercise.answer_of(0, wrong.change))["scaling_forward"])[wrong.fails]
    assert wrong.asks in result.question
    assert verdicts(exercise, exercise.answer_of(0, opposite.change))["scaling_forward"].convention == opposite.sentence
