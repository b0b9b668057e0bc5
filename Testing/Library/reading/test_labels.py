"""Masks of several labels or segments: one is chosen, or all are named."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.cli.wording import sentence_of
from SkullImplantLib.core.images import array_of
from SkullImplantLib.errors import Remedy, SkullImplantError
from SkullImplantLib.reading import Choices, read_input


def shell() -> tuple[np.ndarray, np.ndarray]:
    """A skull, and the brain within it (z, y, x)."""
    z, y, x = np.ogrid[-1:1:48j, -1:1:64j, -1:1:56j]
    radius = np.sqrt(z**2 + y**2 + x**2)
    return (radius < 0.9) & (radius > 0.8), radius < 0.8


def written(path: Path, array: np.ndarray) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((3.2, 3.0, 3.0))
    sitk.WriteImage(image, str(path))
    return path


def test_a_map_of_labels_names_them_and_one_can_be_chosen(tmp_path: Path) -> None:
    bone, brain = shell()
    path = written(tmp_path / "labels.nii.gz", (bone * 91 + brain * 90).astype(np.uint8))
    with pytest.raises(SkullImplantError, match="labels 90 and 91") as caught:
        read_input(path)
    assert sentence_of(caught.value).endswith("choose the skull's with --label N.")
    found = read_input(path, choices=Choices(label=91))
    assert found.kind == "skull" and (array_of(found.image) == bone).all()
    with pytest.raises(SkullImplantError, match="no label 5 in the image; it has 90 and 91"):
        read_input(path, choices=Choices(label=5))


def test_a_mask_that_a_resampler_made_hazy_is_rounded(tmp_path: Path) -> None:
    bone, _ = shell()
    noise = np.random.default_rng(0).random(bone.shape) * 9e-4
    hazy = np.where(bone, 1 - noise, noise).astype(np.float32)
    found = read_input(written(tmp_path / "hazy.nii.gz", hazy))
    assert found.kind == "skull" and (array_of(found.image) == bone).all()
    half = np.where(bone, 0.9, noise).astype(np.float32)
    with pytest.raises(SkullImplantError):
        read_input(written(tmp_path / "half.nii.gz", half))


def test_a_picture_of_greys_is_no_map_of_labels(tmp_path: Path) -> None:
    bone, _ = shell()
    grey = np.random.default_rng(0).integers(0, 200, bone.shape).astype(np.uint8)
    path = written(tmp_path / "grey.nrrd", grey)
    with pytest.raises(SkullImplantError, match="Hounsfield"):
        read_input(path)
    with pytest.raises(SkullImplantError, match="no map of labels") as caught:
        read_input(path, choices=Choices(label=3))
    assert caught.value.remedy is Remedy.NO_LABEL


def segmentation(path: Path, *names: str) -> Path:
    bone, brain = shell()
    image = sitk.GetImageFromArray((bone + 2 * brain).astype(np.uint8))
    image.SetSpacing((3.2, 3.0, 3.0))
    for n, name in enumerate(names):
        told = {"ID": f"Segment_{n + 1}", "Name": name, "LabelValue": str(n + 1), "Layer": "0"}
        for key, value in told.items():
            image.SetMetaData(f"Segment{n}_{key}", value)
    sitk.WriteImage(image, str(path))
    return path


def test_the_segment_named_skull_wins(tmp_path: Path) -> None:
    bone, _ = shell()
    found = read_input(segmentation(tmp_path / "a.seg.nrrd", "Skull", "Bone flap"))
    assert (array_of(found.image) == bone).all()


def test_a_segment_can_be_chosen_by_name_or_id(tmp_path: Path) -> None:
    bone, brain = shell()
    path = segmentation(tmp_path / "a.seg.nrrd", "Bone A", "bone B")
    with pytest.raises(SkullImplantError, match="'Bone A', 'bone B'") as caught:
        read_input(path)
    assert sentence_of(caught.value).endswith("choose the skull's with --segment NAME.")
    for wanted in ("Bone A", "Segment_1", "BONE A"):
        found = read_input(path, choices=Choices(segment=wanted))
        assert (array_of(found.image) == bone).all()
    assert (array_of(read_input(path, choices=Choices(segment="bone B")).image) == brain).all()
    with pytest.raises(SkullImplantError, match="none of that name"):
        read_input(path, choices=Choices(segment="Skull"))


def test_axes_are_taken_as_they_are_said_to_be(tmp_path: Path) -> None:
    bone, _ = shell()
    path = written(tmp_path / "skull.nrrd", bone.astype(np.uint8))
    found = read_input(path, choices=Choices(orientation="ras"))
    assert found.image.GetDirection()[:5:4] == (-1.0, -1.0)
    assert any("RAS, as you said, and not LPS" in note for note in found.notes)
    assert not read_input(path, choices=Choices(orientation="LPS")).notes
    with pytest.raises(SkullImplantError, match="names no three axes"):
        read_input(path, choices=Choices(orientation="up"))


def test_inches_taken_for_millimetres_are_refused(tmp_path: Path) -> None:
    image = sitk.Image([110, 110, 40], sitk.sitkUInt8)
    image[30:80, 30:80, 10:30] = 1
    image.SetSpacing((9.9, 9.9, 9.9))
    sitk.WriteImage(image, str(tmp_path / "wide.nii.gz"))
    with pytest.raises(SkullImplantError, match="wrong unit"):
        read_input(tmp_path / "wide.nii.gz")


@pytest.mark.parametrize("field", ["Layer", "LabelValue"])
@pytest.mark.parametrize("value", ["x", "", "1 1", "1e400", "-3", "9" * 5000])
def test_a_segment_without_layer_or_label_is_one_sentence(
    tmp_path: Path, field: str, value: str
) -> None:
    path = segmentation(tmp_path / "head.seg.nrrd", "Skull", "Brain")
    lines = path.read_bytes().split(b"\n\n", 1)
    lines[0] += f"\nSegment0_{field}:={value}".encode()
    path.write_bytes(b"\n\n".join(lines))
    with pytest.raises(SkullImplantError) as caught:
        read_input(path)
    assert 20 < len(str(caught.value)) <= 300


@pytest.mark.parametrize(
    ("slope", "offset", "told"),
    [(1, 0, False), (1, -24, False), (1.03, 0, False), (0.97, 20, False), (0.9, 0, True),
     (1.15, 0, True), (2, 0, True), (10, 0, True), (1, 150, True), (1, -150, True), (1, -500, True),
     (0.5, 0, True)],
)  # fmt: skip
def test_a_ct_of_another_scale_or_offset_is_told(
    tmp_path: Path, patient, slope: float, offset: float, told: bool
) -> None:
    values = array_of(patient.ct).astype(np.float32) * slope + offset
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(patient.ct)
    sitk.WriteImage(image, str(tmp_path / "head.nrrd"))
    notes = read_input(tmp_path / "head.nrrd").notes
    assert any("scale or offset may be wrong" in note for note in notes) == told


def test_values_that_no_scanner_writes_are_no_ct(tmp_path: Path, patient) -> None:
    image = sitk.Cast(patient.ct, sitk.sitkFloat32) * 1e30
    sitk.WriteImage(image, str(tmp_path / "head.nrrd"))
    with pytest.raises(SkullImplantError, match="neither Hounsfield units"):
        read_input(tmp_path / "head.nrrd")
