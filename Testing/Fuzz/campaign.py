"""Change sound inputs of every kind in thousands of ways, kill runs at every move, send the command
to awkward places, and count what comes of each.

    python Testing/Fuzz/campaign.py --cases 5000 --seed 1 --jobs 2 -o Testing/Fuzz

writes `campaign.md` and `campaign.json`, and of each wrong outcome the least change that makes it
into `found/`. A case is drawn from seed and number alone; `--case N` makes it again.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Library"))

from awkward_places import PLACES, sent
from killed_runs import MOST_MOVES, SIGNALS, killed, prepare
from mutations import Step, drawn
from outcomes import RIGHT, WRONG, Outcome, make_sound, outcome_of
from specimens import SPECIMENS

KINDS = list(SPECIMENS)


def steps_of(seed: int, number: int) -> tuple[str, list[Step]]:
    """Return the kind and the steps of a case."""
    draw = random.Random(f"{seed}-{number}")
    kind = KINDS[number % len(KINDS)]
    return kind, drawn(draw, SPECIMENS[kind].changes)


def run_case(given: tuple[int, int, Path]) -> tuple[int, str, Outcome]:
    """Return a case's number, its kind and what comes of it."""
    seed, number, sound = given
    kind, steps = steps_of(seed, number)
    return number, kind, outcome_of(kind, sound, steps)


def run_killed(given: tuple[Path, int, int, bool]) -> tuple[str, Outcome | None]:
    """Return the kind of a killed run, and what comes of it; nothing where it had ended before."""
    prepared, at, sign, beside = given
    beside_what = "beside another's file" if beside else "alone"
    return f"killed, {signal.Signals(sign).name}, {beside_what}", killed(prepared, at, sign, beside)


def run_sent(given: tuple[str, bytes]) -> tuple[str, Outcome]:
    """Return the name of a place, and what comes of the command that is sent there."""
    return given[0], sent(*given)


def least(kind: str, sound: Path, steps: list[Step], outcome: str) -> list[Step]:
    """Return the fewest of the steps after which the outcome is the same."""
    for at in reversed(range(len(steps))):
        fewer = steps[:at] + steps[at + 1 :]
        if fewer and outcome_of(kind, sound, fewer)[0] == outcome:
            steps = fewer
    return steps


def campaign(seed: int, numbers: range, jobs: int, found: Path | None = None) -> dict[str, Any]:
    """Run cases and return the counts by kind and outcome, and the wrong ones."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    wrong = []
    sentences: Counter[str] = Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder)
        make_sound(sound)
        cases = [(seed, number, sound) for number in numbers]
        # Forked before anything of ITK has run, and of processes that have no threads.
        with multiprocessing.get_context("fork").Pool(jobs) as pool:
            for number, kind, (outcome, what) in pool.imap_unordered(run_case, cases, 4):
                counts[kind][outcome] += 1
                if outcome in ("told", "noted"):
                    sentences[f"{kind}: {re.sub(r'[0-9.]+', '#', what)}"] += 1
                if outcome in RIGHT:
                    continue
                _, steps = steps_of(seed, number)
                steps = least(kind, sound, steps, outcome)
                wrong.append({"case": number, "kind": kind, "outcome": outcome, "said": what,
                              "steps": steps})  # fmt: skip
                print(f"{kind}, case {number}: {outcome}: {what}", file=sys.stderr, flush=True)
                if found:
                    outcome_of(kind, sound, steps, found / f"{seed}-{number}")
    return {
        "seed": seed, "cases": len(numbers), "seconds": round(time.monotonic() - began),
        "counts": {kind: dict(counts[kind]) for kind in KINDS}, "wrong": wrong,
        "sentences": dict(sorted(sentences.items())),
    }  # fmt: skip


def runs(kills: int, places: int, jobs: int) -> dict[str, Any]:
    """Kill runs and send them to places, of all there are, and return counts and faults."""
    counts: dict[str, Counter[str]] = {}
    wrong = []
    ways = [(sign, beside) for sign in SIGNALS for beside in (False, True)]
    every = [(at, *way) for at in range(1, MOST_MOVES) for way in ways]
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder)
        # In a process of its own, after whose threads none is forked.
        maker = multiprocessing.get_context("spawn").Process(target=prepare, args=(prepared,))
        maker.start()
        maker.join()
        skull = (prepared / "skull.nrrd").read_bytes()
        with multiprocessing.get_context("fork").Pool(jobs) as pool:
            chosen = [
                (prepared, at, int(sign), beside) for at, sign, beside in spread(every, kills)
            ]
            names = [(name, skull) for name in spread(list(PLACES), places)]
            found = [*pool.imap(run_killed, chosen), *pool.imap(run_sent, names)]
    for name, outcome in found:
        if outcome is None:
            continue
        kind = name if name.startswith("killed") else "sent to awkward places"
        counts.setdefault(kind, Counter())[outcome[0]] += 1
        if outcome[0] not in RIGHT:
            wrong.append({"kind": name, "outcome": outcome[0], "said": outcome[1]})
            print(f"{name}: {outcome[0]}: {outcome[1]}", file=sys.stderr, flush=True)
    return {"counts": {kind: dict(count) for kind, count in counts.items()}, "wrong": wrong}


def spread(all_of_them: list[Any], count: int) -> list[Any]:
    """Return so many of a list, evenly spread over it; all where there are fewer."""
    step = max(len(all_of_them) / count, 1.0) if count else 1.0
    return [all_of_them[int(i * step)] for i in range(min(count, len(all_of_them)))]


def table(counted: dict[str, dict[str, int]]) -> str:
    """Return the counts as a table in Markdown."""
    outcomes = (*RIGHT, *WRONG)
    lines = ["| kind | cases | " + " | ".join(outcomes) + " |", "|---" * (len(outcomes) + 2) + "|"]
    rows = {**counted}
    rows["all"] = sum((Counter(counts) for counts in rows.values()), Counter())
    for kind, counts in rows.items():
        cells = [str(sum(counts.values())), *(str(counts.get(o, 0)) for o in outcomes)]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


TEXT = """# What becomes of changed inputs

`make fuzz`; seed {seed}, {cases} cases, {seconds} s on {cores} cores. Each case changes a sound
input in one to four ways (bytes; fields of headers; elements; members of archives; values of JSON;
files of a folder) and reads it in a process of its own.

*same*: the sound input's result. *told*: refused in one sentence. *noted*: another result, which a
note says. *agreed*: another result, which another reader of images (pynrrd, NiBabel, pydicom, a
plain reader of MetaImage) sees too; for files that the program keeps, any values that it takes.
*silent*: another result that no other reader sees. *long*: not one sentence of 15 to 300 letters.
*mixed*: neither the old results nor the new ones, or something left of the run. *lost*: a file of
the user's own.

{table}

The command `defect` is killed at every move that it makes on the disk, over older results; then the
folder must hold the old or the new ones, and the next run must leave its own and nothing else. Sent
to {places} awkward places, for its input or its results, it must make them or say one sentence.

{runs}
"""


def main() -> int:
    """Run the campaign and write its table; return 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kills", type=int, default=6 * MOST_MOVES, help="runs to be killed")
    parser.add_argument("--places", type=int, default=len(PLACES), help="awkward places to try")
    parser.add_argument("--only", choices=KINDS, help="cases of one kind alone")
    parser.add_argument("--case", type=int, help="one case alone")
    parser.add_argument("-o", "--output", type=Path, help="folder for the table")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # pydicom's, of values that are written wrong on purpose
    numbers = range(options.cases)
    if options.only:
        first = KINDS.index(options.only)
        numbers = range(first, first + options.cases * len(KINDS), len(KINDS))
    if options.case is not None:
        numbers = range(options.case, options.case + 1)
    if options.only or options.case is not None:
        options.kills = options.places = 0
    found = options.output / "found" if options.output else None
    result = campaign(options.seed, numbers, options.jobs, found)
    result["runs"] = runs(options.kills, options.places, options.jobs)
    rows, run_rows = table(result["counts"]), table(result["runs"]["counts"])
    print(rows, run_rows, sep="\n\n")
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        text = TEXT.format(
            cores=os.cpu_count(), table=rows, places=options.places, **{**result, "runs": run_rows}
        )
        (options.output / "campaign.md").write_text(text)
        (options.output / "campaign.json").write_text(json.dumps(result, indent=1) + "\n")
    return 1 if result["wrong"] or result["runs"]["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
