"""Folders of skulls and the public data sets' layouts; splits by skull."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from SkullImplantLib.cases.cohort import SkullFile, cases_in, skulls_in, skulls_of, split_skulls
from SkullImplantLib.core.images import write_image
from SkullImplantLib.errors import SkullImplantError

ONE_SENTENCE = r"; .*\.$"


def write(path: Path, value: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((4, 5, 6), np.int16)
    mask[1:3, 1:3, 1:3] = value
    image = sitk.GetImageFromArray(mask)
    image.SetSpacing((0.4, 0.5, 0.75))
    image.SetOrigin((-3, 2, 1))
    sitk.WriteImage(image, str(path))
    return path


def test_plain_folder_gives_every_image_by_name(tmp_path):
    for name in ("b.nii.gz", "a.nrrd", "c.1.mha", ".partial-d.nrrd", "notes.txt", "model.stl"):
        (tmp_path / name).touch()
    (tmp_path / "folder.nrrd").mkdir()
    assert [skull.name for skull in skulls_in(tmp_path)] == ["a", "b", "c.1"]


@pytest.mark.parametrize("below", ["", "train"])
def test_skullbreak_layout(tmp_path, below):
    kinds = ["bilateral", "random_1"]
    top = tmp_path / below
    for number in ("000", "001"):
        write(top / "complete_skull" / f"{number}.nrrd")
        for kind in kinds:
            write(top / "defective_skull" / kind / f"{number}.nrrd")
            write(top / "implant" / kind / f"{number}.nrrd")
    assert [skull.name for skull in skulls_in(tmp_path)] == ["000", "001"]
    cases = cases_in(tmp_path)
    assert [case.name for case in cases] == [
        f"{n}/{kind}" for kind in kinds for n in ("000", "001")
    ]
    case = cases[1]
    assert (case.skull, case.kind) == ("001", "bilateral")
    assert case.defective == top / "defective_skull" / "bilateral" / "001.nrrd"
    assert case.implant == top / "implant" / "bilateral" / "001.nrrd"
    assert case.complete == top / "complete_skull" / "001.nrrd"


def test_skullfix_layout_with_and_without_truth(tmp_path):
    for part in ("complete_skull", "defective_skull", "implant"):
        write(tmp_path / "training_set" / part / "000.nrrd")
    case = cases_in(tmp_path)[0]
    assert (case.name, case.kind) == ("000", None)
    assert case.implant is not None and case.implant.parent.name == "implant"

    hidden = tmp_path / "hidden"
    write(hidden / "test_set" / "defective_skull" / "100.nrrd")
    case = cases_in(hidden)[0]
    assert (case.name, case.implant, case.complete) == ("100", None, None)


def test_a_skull_is_read_from_a_mask_or_a_ct(tmp_path, patient):
    paths = tmp_path / "mask.nrrd", tmp_path / "ct.nrrd"
    write_image(patient.defective, paths[0])
    write_image(patient.ct, paths[1])
    mask, ct = (sitk.GetArrayFromImage(skull.read()) for skull in skulls_in(tmp_path)[::-1])
    both = (mask & ct).sum()
    assert mask.any() and 2 * both / (int(mask.sum()) + int(ct.sum())) > 0.9


def test_skulls_of_several_folders_have_names_of_their_own(tmp_path):
    for name in ("one/a", "two/b", "three/a"):
        write(tmp_path / f"{name}.nrrd")
    found = skulls_of([tmp_path / "one", tmp_path / "two"])
    assert [skull.name for skull in found] == ["a", "b"]
    with pytest.raises(SkullImplantError, match="Two skulls are called a"):
        skulls_of([tmp_path / "one", tmp_path / "three"])


@pytest.mark.parametrize("what", ["missing", "empty", "file only"])
def test_nothing_found_is_one_sentence(tmp_path, what):
    folder = tmp_path / "skulls"
    if what != "missing":
        folder.mkdir()
    if what == "file only":
        (folder / "read me.txt").touch()
    for find in (skulls_in, cases_in):
        with pytest.raises(SkullImplantError, match=ONE_SENTENCE):
            find(folder)


def test_data_set_without_images_is_one_sentence(tmp_path):
    (tmp_path / "defective_skull" / "bilateral").mkdir(parents=True)
    with pytest.raises(SkullImplantError, match=ONE_SENTENCE):
        cases_in(tmp_path)


def test_what_is_no_mask_is_one_sentence(tmp_path):
    text = tmp_path / "text.nrrd"
    text.write_text("not an image")
    flat = tmp_path / "flat.nrrd"
    sitk.WriteImage(sitk.Image([8, 8], sitk.sitkUInt8), str(flat))
    colour = tmp_path / "colour.nrrd"
    sitk.WriteImage(sitk.Image([8, 8, 8], sitk.sitkVectorUInt8, 3), str(colour))
    for path in (text, flat, colour):
        with pytest.raises(SkullImplantError, match=ONE_SENTENCE) as raised:
            SkullFile("skull", path).read()
        assert path.name in str(raised.value) and "\n" not in str(raised.value)


@given(
    names=st.sets(st.text("abc019-", min_size=1, max_size=4), min_size=2, max_size=30),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_split_is_a_partition_that_order_does_not_change(names, share, seed):
    skulls = [SkullFile(name, Path(name)) for name in sorted(names)]
    learning, held = split_skulls(skulls, share, seed)
    assert learning and held
    assert sorted([*learning, *held], key=lambda skull: skull.name) == skulls
    assert abs(len(held) - share * len(skulls)) <= 1
    again, held_again = split_skulls(skulls[::-1], share, seed)
    assert again == learning[::-1] and held_again == held[::-1]


def test_seeds_split_differently():
    skulls = [SkullFile(f"{k:03d}", Path(f"{k:03d}")) for k in range(40)]
    assert split_skulls(skulls, 0.2, 0) == split_skulls(skulls, 0.2, 0)
    assert split_skulls(skulls, 0.2, 0) != split_skulls(skulls, 0.2, 1)


def test_too_few_skulls_or_a_wrong_share_is_one_sentence():
    one = [SkullFile("a", Path("a"))]
    for skulls, share in ((one, 0.2), ([], 0.2), (one * 2, 1.5)):
        with pytest.raises(SkullImplantError):
            split_skulls(skulls, share, 0)


def test_real_skulls_are_listed(shared_data):
    names = [skull.name for skull in skulls_in(shared_data / "train")]
    assert len(names) == 17 and "visible-human-male" in names
