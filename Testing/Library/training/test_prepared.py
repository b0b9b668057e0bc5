"""Training cases: a hole and the truth, the same for the same seed; what a full disk is told as."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from SkullImplantLib.cases.skull_folder import SkullFile, skulls_in
from SkullImplantLib.errors import OutOfMemory, Remedy, SkullImplantError
from SkullImplantLib.geometry.shape_statistics import shipped_population
from SkullImplantLib.training.population import save_population
from SkullImplantLib.training.prepared import CaseOptions, load_case, prepare_cases

# The command line where no file may grow beyond 2 kB, as on a disk that is full.
ON_A_FULL_DISK = """
import resource, sys
from SkullImplantLib.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def folder(two_skulls: Path) -> Path:
    return two_skulls


@pytest.mark.slow
def test_cases_hold_a_hole_that_the_target_fills(folder: Path, tmp_path: Path) -> None:
    paths = prepare_cases(skulls_in(folder)[:1], tmp_path, CaseOptions(1, "defect", 4.0, 0))
    assert len(paths) == 1
    for path in paths:
        case = load_case(path)
        view = case.view
        near = view.from_hole_mm() <= 6.0
        missing = near & (case.target >= 0.5) & (view.skull < 0.25)
        assert missing.sum() > 30
        expected = (view.hole_depth_mm > 0.0) & (view.skull < 0.25)
        both = (missing & expected).sum()
        assert both > 0.5 * missing.sum() and both > 0.5 * expected.sum()
        # Target and depth are two pictures of one surface.
        assert (case.depth_mm[case.target > 0.9] > 0.0).mean() > 0.95
        assert (case.depth_mm[case.target < 0.1] < 0.0).mean() > 0.95


@pytest.mark.slow
def test_flaws_are_the_same_for_the_same_seed_and_leave_the_defect(
    folder: Path, tmp_path: Path
) -> None:
    skulls = skulls_in(folder)[:1]
    one, two = (
        load_case(prepare_cases(skulls, tmp_path / name, CaseOptions(1, "head", 8.0, 0, 1.0))[0])
        for name in ("a", "b")
    )
    np.testing.assert_array_equal(one.view.skull, two.view.skull)
    np.testing.assert_array_equal(one.target, two.target)
    plain = load_case(prepare_cases(skulls, tmp_path / "c", CaseOptions(1, "head", 8.0, 0))[0])
    assert (plain.view.skull != one.view.skull).any()
    holes = [case.view.hole & (case.view.depth_mm > -8.0) for case in (plain, one)]
    assert 2 * (holes[0] & holes[1]).sum() > 0.6 * sum(hole.sum() for hole in holes)
    assert np.abs(one.depth_mm - plain.depth_mm).mean() < 1.0


def test_a_damaged_case_is_named(tmp_path: Path) -> None:
    path = tmp_path / "head-bilateral-000-4mm.npz"
    path.write_bytes(b"PK not really")
    with pytest.raises(SkullImplantError, match="damaged"):
        load_case(path)


def test_the_prior_of_a_case_knows_neither_its_skull_nor_those_left_out(tmp_path: Path) -> None:
    everybody = shipped_population()
    options = CaseOptions(1, "defect", 4.0, seed=0)
    without = replace(options, left_out=everybody.names[:2])
    assert without.known_shapes().names == everybody.names[2:]
    other = tmp_path / "population.npz"
    save_population(everybody.without(everybody.names[:2]), other)
    skull, copy = (SkullFile("head", tmp_path / name) for name in ("head.nrrd", "copy.nrrd"))
    for file in (skull, copy):
        file.path.write_bytes(b"bone")
    names = {
        some.names(skull)[0] for some in (options, without, replace(options, population=other))
    }
    # Cases made with other shape statistics, or of another skull's bytes, are other cases.
    assert len(names) == 3
    assert options.names(skull) == replace(options, left_out=("nobody",)).names(copy)
    copy.path.write_bytes(b"another bone")
    assert options.names(skull) != options.names(copy)
    with pytest.raises(SkullImplantError, match="missing or damaged"):
        replace(options, population=tmp_path / "none.npz").names(skull)


@pytest.mark.slow
def test_a_full_disk_is_told_and_not_taken_for_a_skull_without_a_place(
    folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("resource")
    words = ["train", str(folder), "-o", str(tmp_path), "--cases-per-skull", "1", "--jobs", "1"]
    quiet = ["--spacing-mm", "4", "--device", "cpu", "--progress", "none"]
    result = subprocess.run(
        [sys.executable, "-c", ON_A_FULL_DISK, *words, *quiet], capture_output=True, text=True
    )
    assert result.returncode == 2, result.stderr
    assert "No defect" not in result.stderr and "Cannot write head-" in result.stderr
    assert not list((tmp_path / "cases").iterdir())


class Ended(SkullFile):
    """A skull whose reading the system ends."""

    def read(self, cleaned: bool = True) -> NoReturn:
        os._exit(9)


def test_a_process_that_the_system_ends_is_told(tmp_path: Path) -> None:
    path = tmp_path / "head.nrrd"
    path.write_bytes(b"bone")
    skulls = [Ended(name, path) for name in ("a", "b")]
    with pytest.raises(OutOfMemory, match="most likely because memory ran out") as raised:
        prepare_cases(skulls, tmp_path / "cases", CaseOptions(1, "defect", 4.0, 0), jobs=2)
    assert raised.value.remedy == Remedy.FEWER_JOBS


@pytest.mark.slow
def test_defects_without_a_place_are_left_out(folder: Path, tmp_path: Path) -> None:
    vast = CaseOptions(1, "defect", 4.0, 0, areas_cm2=(900.0, 900.0))
    with pytest.raises(SkullImplantError, match="No defect could be cut"):
        prepare_cases(skulls_in(folder)[:1], tmp_path, vast)
