"""Low frontal defects of clinical shapes in every CT skull: a table and a picture of each case.

    python Testing/Benchmarks/low_frontal/low_frontal_table.py DATA -o FOLDER [--model NAME|FILE]

DATA holds `train` and `test`. Six shapes in each of four skulls from CT (`low_frontal_cuts.py`), no
clearance; each skull is left out of the shape statistics, which know no test skull. Cases that are
in FOLDER are not made again. The pictures of a shape show its best, median and worst case. With
`--skulls` of `train` alone the cases are trials for `SkullImplantLib.training.confidence`.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from low_frontal_cuts import NAMES, LowFrontal, low_frontal_defect

from SkullImplantLib.cases.defects import apply_to_ct
from SkullImplantLib.cases.skull_folder import SkullFile, named_skulls, skulls_of
from SkullImplantLib.core.checksums import sha256_of
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.evaluation.evaluation_options import EXACT, RunOptions
from SkullImplantLib.evaluation.judging import Trial
from SkullImplantLib.evaluation.suite import evaluate_cases
from SkullImplantLib.evaluation.suite_cases import CaseInput, complete_skull
from SkullImplantLib.reading import Input

POPULATION = Path(__file__).parents[1] / "accuracy" / "population.npz"
SKULLS = ("visible-human-male", "vismale", "unc-cthead-ct", "visible-human-female-ct")
SEED = 0


@dataclass(frozen=True)
class LowFrontalCase:
    """One shape in one skull; on the left in the first, third, ... skull, else on the right."""

    file: SkullFile
    shape: LowFrontal

    @property
    def skull(self) -> str:
        return self.file.name

    @property
    def name(self) -> str:
        return f"{self.skull}-{self.shape.name}"

    @property
    def facts(self) -> dict[str, Any]:
        return {"skull": self.skull, "kind": self.shape.name, "number": 0, "seed": SEED}

    def identity(self) -> dict[str, Any]:
        return {
            **self.facts,
            "side": self.shape.side,
            "input_sha256": sha256_of(self.file.path),
            "placed_by": sha256_of(POPULATION),
        }

    def load(self) -> CaseInput:
        complete = complete_skull(self.file, POPULATION)
        rng = np.random.default_rng([SEED, NAMES.index(self.shape.name), *self.skull.encode()])
        defect = low_frontal_defect(complete.mask, complete.pose, self.shape, rng)
        source, image = complete.source, defect.defective
        if source.kind == "ct":
            image = apply_to_ct(source.image, defect, rng)
        facts = {**self.facts, "input": source.kind, "area_cm2": round(defect.area_cm2, 1)}
        return CaseInput(
            Input(image, source.kind, "", "a low frontal defect"),
            defect.implant,
            defect.defective,
            complete.pose.centre_mm,
            facts,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of `train` and `test`")
    parser.add_argument("-o", "--output", type=Path, required=True, help="table, cases, pictures")
    parser.add_argument("--model", default=EXACT.model, help="what completes the skull")
    parser.add_argument("--skulls", nargs="+", default=SKULLS, metavar="NAME", help="other skulls")
    parser.add_argument("--no-pictures", action="store_true", help="the table alone")
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time")
    options = parser.parse_args()
    try:
        names = list(options.skulls)
        found = named_skulls(skulls_of([options.data / "train", options.data / "test"]), names)
        cases = [
            LowFrontalCase(file, LowFrontal(name, 1 - 2 * (number % 2)))
            for number, file in enumerate(sorted(found, key=lambda file: names.index(file.name)))
            for name in NAMES
        ]
        trial = Trial(options.output, replace(EXACT, model=options.model), POPULATION)
        run = RunOptions(jobs=options.jobs, pictures=not options.no_pictures)
        _, table = evaluate_cases(cases, trial, run)
    except SkullImplantError as error:
        print(error, file=sys.stderr)
        return 2
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
