"""A folder of skulls: what counts as one, under which name, and how it is read."""

import pytest
import SimpleITK as sitk

from SkullImplantLib.cases.skull_folder import (
    ENDINGS,
    SkullFile,
    named_skulls,
    skulls_in,
    skulls_of,
)
from SkullImplantLib.core.images import array_of, write_image
from SkullImplantLib.errors import Remedy, SkullImplantError
from SkullImplantLib.evaluation.evaluation_options import SuiteOptions
from SkullImplantLib.evaluation.suite_cases import suite_cases
from SkullImplantLib.training.population import load_skulls

ONE_SENTENCE = r"; .*\.$"


def test_plain_folder_gives_every_image_by_name(tmp_path):
    for name in ("b.nii.gz", "a.nrrd", "c.1.mha", ".partial-d.nrrd", "notes.txt", "model.stl"):
        (tmp_path / name).touch()
    (tmp_path / "folder.nrrd").mkdir()
    assert [skull.name for skull in skulls_in(tmp_path)] == ["a", "b", "c.1"]


def test_skulls_of_several_folders_have_names_of_their_own(tmp_path):
    for name in ("one/a", "two/b", "three/a"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.nrrd").touch()
    found = skulls_of([tmp_path / "one", tmp_path / "two"])
    assert [skull.name for skull in found] == ["a", "b"]
    with pytest.raises(SkullImplantError, match="Two skulls are called a"):
        skulls_of([tmp_path / "one", tmp_path / "three"])


def test_two_files_of_one_name_are_told(tmp_path):
    for name in ("a.nrrd", "a.nii"):
        (tmp_path / name).touch()
    with pytest.raises(SkullImplantError, match="Two skulls are called a; rename"):
        skulls_in(tmp_path)


def test_a_name_that_is_not_there_is_told(tmp_path):
    skulls = [SkullFile(name, tmp_path) for name in "abc"]
    assert named_skulls(skulls, ["c", "a"]) == [skulls[0], skulls[2]]
    with pytest.raises(SkullImplantError, match="no skull called d; there are a, b, c"):
        named_skulls(skulls, ["a", "d"])


def test_who_trains_evaluates_or_knows_a_skull_reads_the_same_folder(tmp_path, patient):
    names = [f"head{k}" for k in range(len(ENDINGS))]
    for name, ending in zip(names, ENDINGS):
        (tmp_path / f"{name}{ending.upper()}").touch()
    trained = skulls_of([tmp_path])
    evaluated = suite_cases([tmp_path], SuiteOptions(("random_1",), 1))
    assert [skull.name for skull in trained] == names
    assert [(case.skull, case.path) for case in evaluated] == [(s.name, s.path) for s in trained]
    with pytest.raises(SkullImplantError, match="head0"):  # the population too finds it, empty
        load_skulls(tmp_path)
    some = tmp_path / "some"
    some.mkdir()
    write_image(patient.complete, some / "mask.mha")
    (some / "mask.mha").rename(some / "a.b.MHA")
    (known,) = load_skulls(some).items()
    (trained_on,) = skulls_in(some)
    (case,) = suite_cases([some], SuiteOptions(("random_1",), 1))
    assert known[0] == trained_on.name == case.skull == "a.b"
    assert (array_of(trained_on.read()[1]) == array_of(case.complete().mask)).all()
    assert (array_of(known[1]) == array_of(patient.complete)).all()  # as it is


def test_a_skull_is_read_from_a_mask_or_a_ct(tmp_path, patient):
    paths = tmp_path / "mask.nrrd", tmp_path / "ct.nrrd"
    write_image(patient.defective, paths[0])
    write_image(patient.ct, paths[1])
    mask, ct = (array_of(skull.read()[1]) for skull in skulls_in(tmp_path)[::-1])
    both = (mask & ct).sum()
    assert mask.any() and 2 * both / (int(mask.sum()) + int(ct.sum())) > 0.9


def test_an_error_of_a_file_keeps_its_remedy(tmp_path, patient):
    ct = array_of(patient.ct) * 0 - 1000
    ct[2:-2, 2:-2, 2:-2] = 40  # soft tissue all over
    path = tmp_path / "soft.nrrd"
    image = sitk.GetImageFromArray(ct)
    image.CopyInformation(patient.ct)
    write_image(image, path)
    with pytest.raises(SkullImplantError, match="soft") as raised:
        SkullFile("soft", path).read()
    assert raised.value.remedy in tuple(Remedy)


@pytest.mark.parametrize("what", ["missing", "empty", "file only"])
def test_nothing_found_is_one_sentence(tmp_path, what):
    folder = tmp_path / "skulls"
    if what != "missing":
        folder.mkdir()
    if what == "file only":
        (folder / "read me.txt").touch()
    with pytest.raises(SkullImplantError, match=ONE_SENTENCE):
        skulls_in(folder)


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


def test_real_skulls_are_listed(shared_data):
    names = [skull.name for skull in skulls_in(shared_data / "train")]
    assert len(names) == 17 and "visible-human-male" in names
