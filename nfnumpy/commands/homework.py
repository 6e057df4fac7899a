"""``python -m nfnumpy homework``: `new` hands exercises out, `check` tells a student how far they are, `grade` grades
all.
"""
import pathlib

from nfnumpy.commands import common

EXAMPLE = """examples: hand out, check what you have, grade a folder or a zip

  python -m nfnumpy homework new my_homework --pack week
  python -m nfnumpy homework check my_homework --hints 1
  python -m nfnumpy homework grade submissions.zip --out grades.csv --seed 2718 --feedback pages

The exercises and their points are in lectures/homework, with a page for teachers."""
STATUS = """exit status: 0 done; 1, of check, if something that was begun is not right yet; 2 not usable: one sentence
on stderr says why; 130 interrupted"""
CHECK_SEED = 0


def add_arguments(parser):
    """The tasks new, check and grade, each with its options."""
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")

    def add_task(name, words, example, run):
        task = tasks.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.",
                                epilog=f"example:\n  python -m nfnumpy homework {example}\n\n{STATUS}",
                                formatter_class=parser.formatter_class)
        task.set_defaults(task=run, parser=task)
        return task

    new = add_task("new", "write the exercises of a pack into a folder", "new my_homework --pack week", run_new)
    new.add_argument("folder", metavar="DIR", help="where to write them; made if it does not exist")
    new.add_argument("--pack", default="week", help="classroom, week, vjp, images or explore (default %(default)s)")
    new.add_argument("--variant", type=common.count(0), default=0, metavar="N",
                     help="another convention than the slides', so that a copied answer fails (default 0, the slides')")
    new.add_argument("--notebook", action="store_true", help="one Jupyter notebook instead of files")
    check = add_task("check", "points, properties that fail, and the smallest counterexamples",
                     "check my_homework --hints 1", run_check)
    check.add_argument("folder", metavar="DIR", help="a folder with your files, or one file")
    grade = add_task("grade", "grade all submissions: a table and feedback",
                     "grade submissions.zip --out grades.csv --seed 2718 --feedback pages", run_grade)
    grade.add_argument("submissions", metavar="SUBMISSIONS", help="a folder, or a zip from Moodle or Canvas")
    grade.add_argument("--out", default="grades.csv", metavar="FILE",
                       help="the table; JSON and Gradescope's format stand beside it (default %(default)s)")
    grade.add_argument("--seed", type=common.count(0), default=1, metavar="N",
                       help="of the hidden inputs; choose one and keep it to yourself (default %(default)s)")
    grade.add_argument("--feedback", metavar="DIR", help="write a Markdown page for each submission into DIR")
    grade.add_argument("--only", metavar="EXERCISE", help="grade one exercise again, keep the other points of --out")
    common.add_quiet(new, "print errors only")
    common.add_quiet(check, "print the points only")
    common.add_quiet(grade)
    for below in (check, grade):
        below.add_argument("--hints", type=int, choices=(0, 1, 2), default=0 if below is check else 1,
                           help="0: what fails, and where; 1: and a question; 2: and the slide (default %(default)s)")
        below.add_argument("--pack", help="default: what the files say")
        below.add_argument("--variant", type=common.count(0), metavar="N", help="default: what the files say")


def run(args):
    """Run the task; its exit status."""
    return args.task(args)


def run_new(args):
    """Write files, never over one that is there."""
    from nfnumpy.homework import packs, templates
    pack, folder = packs.Pack(args.pack, args.variant), pathlib.Path(args.folder)
    if args.variant and not any(pack.variant_of(slug) for slug in pack.exercises):
        raise ValueError(f"--variant: no exercise of {pack.name} has a variant {args.variant}")
    texts = {"homework.ipynb": templates.notebook(pack)} if args.notebook else {
        f"{slug}.py": templates.template(pack, slug) for slug in pack.exercises}
    there = [name for name in texts if (folder / name).exists()]
    if there:
        raise FileExistsError(f"{folder / there[0]} exists, and nothing was written; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    common.say(args, f"Wrote {', '.join(texts)} to {folder}: {pack.title}, {pack.total:g} points.\n"
                     f"See how far you are with: python -m nfnumpy homework check {folder}")


def run_check(args):
    """A student's own files, all of them one submission."""
    from nfnumpy.homework import feedback, grading, intake
    submission = one_submission(args.folder, intake)
    pack = grading.pack_of([submission], args.pack, args.variant)
    graded = grading.grade(submission, pack, CHECK_SEED)
    if pathlib.Path(args.folder).is_file() and len(graded.without) < len(graded.verdicts):
        graded.verdicts = {slug: verdicts for slug, verdicts in graded.verdicts.items() if slug not in graded.without}
    print(feedback.summary(graded))
    for slug, verdicts in graded.verdicts.items() if not args.quiet else ():
        for part, verdict in verdicts.items():
            if verdict.state != "not started" and (verdict.credit < 1 or verdict.notes):
                print("\n" + "\n".join(feedback.part_lines(verdict, pack.points[slug][part], args.hints)))
    for remark in graded.remarks if not args.quiet else ():
        print(f"\n{feedback.clean(remark)}")
    parts = [verdict for verdicts in graded.verdicts.values() for verdict in verdicts.values()]
    return 0 if all(verdict.held == len(verdict.results) for verdict in parts) and not graded.remarks else 1


def one_submission(path, intake):
    """Everything under a path as one submission."""
    from nfnumpy.homework import packs
    parts = intake.read_submissions(path, packs.slugs())
    whole = intake.Submission(pathlib.Path(path).stem)
    for part in parts:
        whole.sources += part.sources
        whole.problems += part.problems
    return whole


def run_grade(args):
    """Every submission gets its row; nothing that one does stops the others."""
    from nfnumpy.homework import grading, intake, packs, reports
    out = common.output_path(args.out, "--out", (".csv",), [args.submissions])
    submissions = intake.read_submissions(args.submissions, packs.slugs())
    pack = grading.pack_of(submissions, args.pack, args.variant)
    if args.only and args.only not in pack.exercises:
        raise ValueError(f"--only: expected one of {', '.join(pack.exercises)}, got {args.only!r}")
    earlier = reports.read_earlier(out.with_suffix(".json"), pack) if args.only else None
    graded = []
    for k, submission in enumerate(submissions):
        graded.append(grading.grade(submission, pack, args.seed, args.only))
        common.say(args, f"{k + 1} of {len(submissions)}  {graded[-1].total:g}  {submission.name}")
    rows = reports.rows_of(graded)
    if args.only:
        rows = reports.merged(rows, earlier, args.only, pack)
    with common.written_whole(out) as aside:
        aside.write_text(reports.as_csv(rows, list(pack.exercises)), encoding="utf-8", newline="")
    with common.written_whole(out.with_suffix(".json")) as aside:
        aside.write_text(reports.as_json(rows, pack, args.seed), encoding="utf-8", newline="\n")
    place = reports.write_gradescope(graded, out.parent, args.hints)
    if args.feedback:
        reports.write_pages(graded, args.feedback, args.hints)
    common.say(args, f"Wrote {out}, {out.with_suffix('.json')} and {place}: "
                     f"{'1 submission' if len(rows) == 1 else f'{len(rows)} submissions'}, {pack.title}, of "
                     f"{pack.total:g} points.")
