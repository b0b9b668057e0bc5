"""The public data sets, each in its own layout, told by the names of its files."""

from pathlib import Path

import pytest

from data_set_layouts import (
    KINDS,
    lay_out_mug500,
    lay_out_segthor,
    lay_out_skullbreak,
    lay_out_skullfix,
    write_mask,
)
from SkullImplantLib.cases.cohort import read_cohort, skulls_to_learn_from
from SkullImplantLib.cases.data_sets import MUG500, SCIDATA, SKULLBREAK, SKULLFIX
from SkullImplantLib.cases.segthor import ORGANS, chests_in
from SkullImplantLib.cases.skull_folder import skulls_in
from SkullImplantLib.core.image_files import read_labels
from SkullImplantLib.core.images import array_of
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.training.split import split_skulls

ONE_SENTENCE = r"; .*\.$"


@pytest.mark.parametrize("parts", [("train", "test"), ("training", "evaluation")])
def test_skullbreak_is_judged_on_its_test_part_and_learnt_from_the_other(
    tmp_path: Path, parts: tuple[str, str]
) -> None:
    cohort = read_cohort(lay_out_skullbreak(tmp_path / "SkullBreak", parts))
    assert cohort.data_set.key == SKULLBREAK and len(cohort.found.cases) == 20
    cases, notes = cohort.chosen()
    assert [case.name for case in cases] == [
        f"skullbreak-test-{n}/{kind}" for kind in KINDS for n in ("000", "001")
    ]
    assert notes == ()
    top = tmp_path / "SkullBreak" / parts[1]
    case = cases[1]
    assert (case.skull, case.kind, case.part) == ("skullbreak-test-001", "bilateral", "test")
    assert case.defective == top / "defective_skull" / "bilateral" / "001.nrrd"
    assert case.implant == top / "implant" / "bilateral" / "001.nrrd"
    assert case.complete == top / "complete_skull" / "001.nrrd"
    learnt = cohort.training_skulls()
    assert [skull.name for skull in learnt] == ["skullbreak-train-000", "skullbreak-train-001"]
    assert all(parts[0] in skull.path.parts for skull in learnt)
    # The numbers of each part begin anew: no skull of one is taken for one of the other.
    assert not {skull.name for skull in learnt} & {case.skull for case in cases}
    assert [len(some) for some in split_skulls(learnt, 0.5, 0)] == [1, 1]


def test_a_part_and_kinds_can_be_chosen(tmp_path: Path) -> None:
    cohort = read_cohort(lay_out_skullbreak(tmp_path))
    cases, _ = cohort.chosen("train", ("random_1",))
    assert [case.name for case in cases] == [
        "skullbreak-train-000/random_1",
        "skullbreak-train-001/random_1",
    ]
    assert len(cohort.chosen("all")[0]) == 20
    with pytest.raises(
        SkullImplantError, match=r"of the kinds: bilateral, frontoorbital"
    ) as raised:
        cohort.chosen("test", ("craniotomy",))
    assert "20 defective and 4 complete skulls, of the parts: test, train" in str(raised.value)


def test_one_part_alone_is_known_by_its_folder(tmp_path: Path) -> None:
    folder = lay_out_skullbreak(tmp_path)
    assert read_cohort(folder / "test").chosen()[0][0].skull == "skullbreak-test-000"
    assert read_cohort(folder / "train").chosen()[0][0].skull == "skullbreak-train-000"


@pytest.mark.parametrize("test", ["test_set_for_participants", "test_set_give_participants"])
def test_skullfix_is_judged_where_its_truth_is_public(tmp_path: Path, test: str) -> None:
    cohort = read_cohort(lay_out_skullfix(tmp_path, test))
    assert cohort.data_set.key == SKULLFIX
    cases, notes = cohort.chosen()
    assert [case.name for case in cases] == ["skullfix-train-000", "skullfix-train-001"]
    assert all(case.kind is None and case.implant is not None for case in cases)
    assert notes == (
        "2 cases have no public truth and are left out; choose their part to design them.",
    )
    hidden, _ = cohort.chosen("test")
    assert [(case.name, case.implant) for case in hidden] == [
        ("skullfix-test-100", None),
        ("skullfix-test-000", None),
    ]
    assert [skull.name for skull in cohort.training_skulls()] == [case.skull for case in cases]


def test_a_set_without_any_truth_is_designed(tmp_path: Path) -> None:
    lay_out_skullfix(tmp_path)
    cases, _ = read_cohort(tmp_path / "SkullFix" / "test_set_for_participants").chosen()
    assert [(case.name, case.implant) for case in cases] == [("skullfix-test-000", None)]


def test_mug500_is_found_by_names_however_deep(tmp_path: Path) -> None:
    cohort = read_cohort(lay_out_mug500(tmp_path))
    assert cohort.data_set.key == MUG500
    cases, notes = cohort.chosen()
    assert [(case.name, case.kind) for case in cases] == [("mug500-B0001", "craniotomy")]
    assert cases[0].implant is not None and cases[0].implant.name == "B0001_implant.stl"
    assert "1 cases have no public truth" in notes[0]
    assert [skull.name for skull in cohort.training_skulls()] == [
        "mug500-A0001",
        "mug500-A0002",
        "mug500-A0006",
    ]
    write_mask(tmp_path / "copy" / "A0001.nrrd")
    with pytest.raises(SkullImplantError, match="Two skulls are called A0001; rename"):
        read_cohort(tmp_path)


@pytest.mark.parametrize(
    "complete, defective, implant",
    [
        ("complete_skull/case01", "defective_skull/case01/{n}", "implant/case01/{n}"),
        ("case01/complete", "case01/{n}/defective", "case01/{n}/implant"),
        ("case01_complete", "case01_defective_{n}", "case01_implant_{n}"),
        ("x/case01/complete_{n}", "x/case01/defective skull {n}", "x/case01/cranial_implant {n}"),
    ],
)
def test_words_in_paths_tell_what_is_sorted_otherwise(
    tmp_path: Path, complete: str, defective: str, implant: str
) -> None:
    for n in (1, 2, 3):
        for name in (complete, defective, implant):
            write_mask(tmp_path / (name.format(n=n) + ".nrrd"))
    (tmp_path / "read me.txt").touch()
    cohort = read_cohort(tmp_path, "scidata")
    assert cohort.data_set.key == SCIDATA
    cases, notes = cohort.chosen()
    assert len(cases) == 3 and len({case.name for case in cases}) == 3 and notes == ()
    for case in cases:
        assert case.implant is not None and case.implant != case.defective
    # The defects of one skull are never split, and it is learnt from once.
    assert len({case.skull for case in cases}) == 1
    assert len(cohort.training_skulls()) == 1


def test_words_that_contradict_one_another_are_told(tmp_path: Path) -> None:
    write_mask(tmp_path / "case01_defective.nrrd")
    write_mask(tmp_path / "case01_implant.nrrd")
    write_mask(tmp_path / "case02_implant.nrrd")
    write_mask(tmp_path / "case03_defective_with_implant.nrrd")
    cases, notes = read_cohort(tmp_path).chosen()
    assert [case.skull for case in cases] == ["scidata-case01"]
    assert notes == (
        "1 implants have no defective skull and are left out.",
        "1 images have two of the words in one name and are left out.",
    )


def test_segthor_is_read_and_no_skull(tmp_path: Path) -> None:
    chests = chests_in(lay_out_segthor(tmp_path))
    assert [(one.name, one.part, one.labels is not None) for one in chests] == [
        ("Patient_01", "train", True),
        ("Patient_02", "train", True),
        ("Patient_41", "test", False),
    ]
    assert chests[0].ct.name == "Patient_01.nii.gz" and chests[0].labels is not None
    assert ORGANS[int(array_of(read_labels(chests[0].labels)).max())] == "aorta"
    for name in (None, "segthor"):
        with pytest.raises(SkullImplantError, match="holds chests and no skulls"):
            read_cohort(tmp_path, name)
    with pytest.raises(SkullImplantError, match=ONE_SENTENCE):
        chests_in(lay_out_skullbreak(tmp_path / "skulls"))


def test_names_of_the_challenges_are_known(tmp_path: Path) -> None:
    both = lay_out_skullfix(lay_out_skullbreak(tmp_path))
    assert read_cohort(both, "autoimplant2021-task1").data_set.key == SKULLBREAK
    assert read_cohort(both, "autoimplant2020").data_set.key == SKULLFIX
    assert read_cohort(both, "autoimplant2021-task3").data_set.key == SKULLFIX
    with pytest.raises(SkullImplantError, match="holds SkullBreak and SkullFix; say which"):
        read_cohort(both)
    with pytest.raises(SkullImplantError, match="no data set called skulls; there are skullbreak"):
        read_cohort(both, "skulls")


def test_the_wrong_name_says_what_was_looked_for_and_found(tmp_path: Path) -> None:
    with pytest.raises(SkullImplantError) as raised:
        read_cohort(lay_out_skullbreak(tmp_path / "data"), "mug500")
    told = str(raised.value)
    assert "There is no MUG500+ in" in told and "which holds test, train" in told
    assert "A0001.nrrd" in told and "\n" not in told


@pytest.mark.parametrize("what", ["missing", "empty", "file only", "no images"])
def test_no_data_set_is_one_sentence(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "skulls"
    if what != "missing":
        folder.mkdir()
    if what == "file only":
        (folder / "read me.txt").touch()
    if what == "no images":
        (folder / "defective_skull" / "bilateral").mkdir(parents=True)
    with pytest.raises(SkullImplantError, match=ONE_SENTENCE):
        read_cohort(folder)


def test_a_test_part_is_never_learnt_from(tmp_path: Path) -> None:
    folder = lay_out_skullbreak(tmp_path / "SkullBreak")
    skulls, data_sets = skulls_to_learn_from([folder])
    assert [skull.path.parts[-3] for skull in skulls] == ["train", "train"]
    assert [one.key for one in data_sets] == [SKULLBREAK]
    # As complete skulls of a suite too the training part comes first, whatever its name.
    assert all("train" in skull.path.parts for skull in skulls_in(folder))
    with pytest.raises(SkullImplantError, match="a test part is never learnt from"):
        skulls_to_learn_from([folder / "test"])
    given = lay_out_skullfix(tmp_path) / "SkullFix" / "test_set_for_participants"
    with pytest.raises(SkullImplantError, match="a test part is never learnt from"):
        skulls_to_learn_from([given])
    plain = tmp_path / "test"
    write_mask(plain / "anna.nrrd")
    assert [skull.name for skull in skulls_to_learn_from([plain])[0]] == ["anna"]


def test_skulls_beside_a_data_set_are_not_dropped(tmp_path: Path) -> None:
    write_mask(tmp_path / "anna.nrrd")
    lay_out_skullbreak(tmp_path / "SkullBreak")
    skulls, data_sets = skulls_to_learn_from([tmp_path, tmp_path / "SkullBreak"])
    names = [skull.name for skull in skulls]
    assert names == ["anna", "skullbreak-train-000", "skullbreak-train-001"]
    assert [one.title for one in data_sets] == ["SkullBreak"]
