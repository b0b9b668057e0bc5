"""The public data sets' layouts."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.cases.cohort import cases_in
from SkullImplantLib.cases.skull_folder import skulls_in
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


@pytest.mark.parametrize("what", ["missing", "empty", "file only"])
def test_no_data_set_is_one_sentence(tmp_path, what):
    folder = tmp_path / "skulls"
    if what != "missing":
        folder.mkdir()
    if what == "file only":
        (folder / "read me.txt").touch()
    with pytest.raises(SkullImplantError, match=ONE_SENTENCE):
        cases_in(folder)


def test_data_set_without_images_is_one_sentence(tmp_path):
    (tmp_path / "defective_skull" / "bilateral").mkdir(parents=True)
    with pytest.raises(SkullImplantError, match=ONE_SENTENCE):
        cases_in(tmp_path)
