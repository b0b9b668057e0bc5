"""The published table of a data set: what is counted, what stands below it, what is told."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from data_set_layouts import KINDS
from quick_trial import QuickTrial, lay_out_heads, write_head
from SkullImplantLib.cases.data_sets import DATA_SETS
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cli.main import main
from SkullImplantLib.core.image_files import read_mask
from SkullImplantLib.core.images import same_grid, write_image
from SkullImplantLib.evaluation.cohort_table import MEASURES, cohort_statistics
from SkullImplantLib.evaluation.evaluation_options import CohortOptions, RunOptions
from SkullImplantLib.evaluation.published_rows import ABSTRACT, PUBLISHED, READ, published_rows
from SkullImplantLib.evaluation.suite import evaluate_cohort
from SkullImplantLib.export.stl import write_stl
from SkullImplantLib.implant.surface import surface_of_mask

MEASURED = tuple(key for key, _, _ in MEASURES)


def row(skull: str, kind: str, dice: float, hd95: float | None = 1.0) -> dict[str, Any]:
    values = dict.fromkeys(MEASURED, dice) | {"hd95_mm": hd95, "hd95_vox": hd95 and hd95 / 0.4}
    return {"skull": skull, "kind": kind, **values}


def refused(skull: str, kind: str) -> dict[str, Any]:
    return {"skull": skull, "kind": kind, "error": "No.", "dice": 0.0, "border_dice_10vox": 0.0}


def test_kinds_and_all_have_mean_median_and_failures() -> None:
    rows = [
        row("b", "random_1", 0.9, 1.0),
        row("a", "random_1", 0.8, 2.0),
        row("a", "bilateral", 0.4, 9.0),
        refused("b", "bilateral"),
        {"skull": "c", "kind": "bilateral", "no_truth": True},
        {"skull": "c", "kind": "bilateral", "not_read": "It is damaged."},
    ]
    statistics = cohort_statistics(rows)
    assert list(statistics) == ["bilateral", "random_1", "all"]
    everything = statistics["all"]
    assert (everything["skulls"], everything["cases"], everything["no_design"]) == (2, 4, 1)
    assert everything["under_0.60"] == 2
    assert everything["dice_mean"] == pytest.approx((0.9 + 0.8 + 0.4) / 4)
    assert everything["dice_median"] == pytest.approx(0.6)
    assert (everything["hd95_mm_mean"], everything["hd95_mm_median"]) == (4.0, 2.0)
    assert everything["hd95_vox_median"] == pytest.approx(5.0)


def test_a_set_that_sorts_no_defects_has_one_line() -> None:
    assert list(cohort_statistics([row("a", "unnamed", 0.9)])) == ["all"]
    assert cohort_statistics([]) == {}


def test_published_rows_say_how_they_are_known() -> None:
    assert set(PUBLISHED) <= set(DATA_SETS)
    for rows in PUBLISHED.values():
        for one in rows:
            assert one.known in (READ, ABSTRACT) and one.source and float(one.dice.split()[-1])
    assert published_rows("mug500") == ()


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out_heads(tmp_path_factory.mktemp("heads"), KINDS[-2:], skulls=2)


def test_the_table_has_its_parts_and_the_published_rows_below(heads: Path, tmp_path: Path) -> None:
    data, table = evaluate_cohort(heads, QuickTrial(tmp_path))
    assert table + "\n" == (tmp_path / "table.md").read_text(encoding="utf-8")
    lines = table.splitlines()
    assert lines[0] == "# SkullBreak"
    assert "CC BY-NC-SA 4.0" in lines[2] and "Part test: 4 cases of 2 skulls." in lines[2]
    own = next(line for line in lines if line.startswith("| random_2 |"))
    assert own.startswith("| random_2 | 2 | 2 | 2 | 2 | 0.000 / 0.000 |") and own.endswith(
        "- / - |"
    )
    theirs = lines.index("## Published by others on the same data set")
    assert lines.index(own) < theirs
    assert sum("pcdiff-implant" in line for line in lines[theirs:]) == 5
    assert any(line.startswith("| **this program** |") for line in lines[theirs:])
    assert "10 voxels (AutoImplant 2021" in table and "All that is known" in table
    assert data["data_set"] == "skullbreak" and len(data["published"]) == len(
        PUBLISHED["skullbreak"]
    )
    assert data["published_table"]["all"]["no_design"] == 2
    assert json.loads(json.dumps(data)) == data


def test_hd95_in_voxels_is_of_the_grid(heads: Path, tmp_path: Path) -> None:
    data, _ = evaluate_cohort(heads, QuickTrial(tmp_path), CohortOptions(kinds=("random_1",)))
    for one in data["cases"]:  # moved by one voxel of 4 mm
        assert (one["hd95_mm"], one["hd95_vox"]) == (4.0, 1.0)


def test_cases_without_truth_are_designed_and_not_judged(tmp_path: Path) -> None:
    folder = tmp_path / "test_set_for_participants"
    for name in ("100", "101"):
        write_head(folder / f"{name}.nrrd", int(name[-1]), "defective")
    output = tmp_path / "out"
    data, table = evaluate_cohort(folder, QuickTrial(output))
    assert [one["no_truth"] for one in data["cases"]] == [True, True]
    assert "2 cases have no public truth: designed, not judged." in table
    assert data["published_table"] == {} and "| no truth |" in table
    # The implant is on the skull's own grid, as who holds the truth wants it.
    implant = read_mask(next((output / "cases").glob("*100*.implant.nrrd")))
    assert same_grid(implant, read_mask(folder / "100.nrrd"))
    before = (output / "table.md").read_bytes()
    evaluate_cohort(folder, QuickTrial(output))
    assert (output / "table.md").read_bytes() == before


def test_real_craniotomies_are_judged_by_an_experts_design(
    coarse_patient: SamplePatient, tmp_path: Path
) -> None:
    folder = tmp_path / "craniotomy_skull" / "B0001"
    folder.mkdir(parents=True)
    write_image(coarse_patient.defective, folder / "B0001.nrrd")
    write_stl(surface_of_mask(coarse_patient.implant), folder / "B0001_implant.stl")
    data, table = evaluate_cohort(tmp_path, QuickTrial(tmp_path / "out"))
    assert data["data_set"] == "mug500" and 0.3 < data["cases"][0]["dice"] < 1.0
    assert "**The truth is an implant that an expert designed, and not the bone" in table
    assert "| craniotomy | 1 | 1 | 0 |" in table and "No row is known" in table


def test_a_damaged_case_is_told_and_tried_again(heads: Path, tmp_path: Path) -> None:
    cohort = shutil.copytree(heads, tmp_path / "SkullBreak") / "test"
    damaged, empty, other = (
        cohort / where / name
        for where, name in (
            ("defective_skull/random_1", "000.nrrd"),
            ("implant/random_1", "001.nrrd"),
            ("implant/random_2", "001.nrrd"),
        )
    )
    good = [path.read_bytes() for path in (damaged, empty, other)]
    damaged.write_bytes(good[0][: len(good[0]) // 2])
    write_image(read_mask(empty) * 0, empty)
    write_image(read_mask(other)[1:, :, :], other)
    output = tmp_path / "out"
    data, table = evaluate_cohort(tmp_path / "SkullBreak", QuickTrial(output))
    assert len(data["summary"]["not_read"]) == 3
    assert "**3 cases could not be read:**" in table and table.count("| not read |") == 3
    assert "001.nrrd of skullbreak-test-001-random_1 is empty" in table
    assert "001.nrrd of skullbreak-test-001-random_2 is not on the grid" in table
    for path, content in zip((damaged, empty, other), good):
        path.write_bytes(content)
    mended, table = evaluate_cohort(tmp_path / "SkullBreak", QuickTrial(output))
    assert mended["summary"]["not_read"] == [] and "not read" not in table


@pytest.mark.slow
def test_a_newcomer_types_one_command(
    coarse_patient: SamplePatient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A real design, on one machine, in shards and on a cluster."""
    for where, image in (("defective_skull", "defective"), ("implant", "implant")):
        for kind in KINDS[2:4]:
            path = tmp_path / "SkullBreak" / "test" / where / kind / "000.nrrd"
            path.parent.mkdir(parents=True)
            write_image(getattr(coarse_patient, image), path)
    monkeypatch.chdir(tmp_path)
    command = ["evaluate", "--cohort", "SkullBreak", "--progress", "json", "--threads", "1"]
    assert main([*command, "-o", "plain"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("# SkullBreak") and "| random_1 | 1 | 1 | 0 |" in out
    assert "SkullBreak, told by its file names; test: 2 cases of 1 skulls." in err
    assert "1 of 2, mean Dice 0." in err and " left; " in err
    plain = [Path("plain", name).read_bytes() for name in ("table.md", "table.csv")]
    for number in (1, 2):
        assert main([*command, "-o", "shards", "--shard", f"{number}/2"]) == 0
    assert [Path("shards", name).read_bytes() for name in ("table.md", "table.csv")] == plain

    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        address = cluster.scheduler_address
        assert main([*command, "-o", "cluster", "--cluster", address]) == 0
    assert [Path("cluster", name).read_bytes() for name in ("table.md", "table.csv")] == plain


def test_what_is_wrong_is_told_in_a_line(
    heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = ["evaluate", "--progress", "none", "-o", str(tmp_path)]
    (tmp_path / "skulls").mkdir()
    for arguments, sentence in (
        (["--cohort", str(heads), "--dataset", "mug500"], "There is no MUG500+ in"),
        (["--cohort", str(heads), "--shard", "4/3"], "'4/3' is no share; write I/N"),
        (["--cohort", str(heads), "--part", "train"], "of the parts: test"),
        (["--suite", str(heads), "--kinds", "craniotomy"], "of the kind craniotomy can be cut"),
        (["--cohort", str(tmp_path / "skulls")], "There is no known data set in"),
    ):
        assert main([*quiet, *arguments]) == 2
        told = capsys.readouterr().err
        assert sentence in told and told.count("\n") == 1


def test_pictures_of_a_cohort_are_of_what_was_judged(heads: Path, tmp_path: Path) -> None:
    run = RunOptions(pictures=True)
    data, _ = evaluate_cohort(heads, QuickTrial(tmp_path), CohortOptions(kinds=("random_1",)), run)
    assert data["pictures"] == ["random_1-prior.png"]
