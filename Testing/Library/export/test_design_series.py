"""The DICOM series that a design came from is told by bytes and bone, never by a name."""

import numpy as np
import pytest
import SimpleITK as sitk
from test_dicom_objects import complete

from dicom_files import small_head, write_series
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export.design_series import design_series
from SkullImplantLib.export.on_bone import share_on_bone
from SkullImplantLib.reading.input import read_input
from SkullImplantLib.reading.same_ct import inputs_in

THRESHOLD_HU = 500.0
OBLIQUE = ((0.8, 0.6, 0.0), (-0.48, 0.64, 0.6))


def series_in(folder, **how):
    return write_series(folder, edit=complete, **how)


def skull_of(ct: sitk.Image) -> sitk.Image:
    return sitk.Cast(ct >= THRESHOLD_HU, sitk.sitkUInt8)


def account(sha256: str, kind: str = "ct") -> dict:
    """What of `design.json` counts here."""
    told = {"input": {"kind": kind, "sha256": sha256}}
    return told | {"parameters": {"bone_threshold_hu": THRESHOLD_HU if kind == "ct" else None}}


@pytest.fixture
def ct(tmp_path):
    return read_input(series_in(tmp_path / "ct", orientation=OBLIQUE))


def places(series) -> set[str]:
    return {str(header.SOPInstanceUID) for header in series.headers}


def test_a_design_of_a_volume_that_was_read_from_the_series_belongs_to_it(ct, tmp_path):
    """As in Slicer: the design is made of voxels, whose checksum is that of no DICOM file."""
    found = design_series(inputs_in(tmp_path / "ct"), account("ab" * 32), skull_of(ct.image))
    assert len(found.headers) == len(ct.files)


def test_so_does_one_on_another_grid(ct, tmp_path):
    """A volume that was cropped, resampled or turned over along an axis; a refined skull."""
    half = [spacing / 1.7 for spacing in ct.image.GetSpacing()]
    size = [int(1.7 * (n - 4)) for n in ct.image.GetSize()]
    start = ct.image.TransformIndexToPhysicalPoint((2, 2, 2))
    fine = sitk.Resample(
        ct.image, size, sitk.Transform(), sitk.sitkLinear, start, half, ct.image.GetDirection()
    )
    for image in (fine, sitk.Flip(ct.image, [True, False, True])):
        assert design_series(inputs_in(tmp_path / "ct"), account("ab" * 32), skull_of(image))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_series_that_lies_a_voxel_off_is_another_one(ct, tmp_path, axis):
    skull = skull_of(ct.image)
    assert share_on_bone(skull, ct.image, THRESHOLD_HU) == 1.0
    step = np.zeros(3)
    step[axis] = 1
    skull.SetOrigin(skull.TransformContinuousIndexToPhysicalPoint(step.tolist()))
    with pytest.raises(SkullImplantError, match="came from; the one that was given is another"):
        design_series(inputs_in(tmp_path / "ct"), account("ab" * 32), skull)


def test_it_is_found_among_others_that_are_larger(tmp_path):
    """Also where `design` was told to take it; by its bytes, or by its bone."""
    head = small_head()
    other = np.where(head > THRESHOLD_HU, 0, head)
    other[5:9] = 900
    series_in(tmp_path / "a", head=other, series_uid="1.2.826.0.1.2")
    mine = read_input(series_in(tmp_path / "b", head=head[:36], series_uid="1.2.826.0.1.3"))
    for sha256 in (mine.sha256, "ab" * 32):
        found = design_series(inputs_in(tmp_path), account(sha256), skull_of(mine.image))
        assert found.first.SeriesInstanceUID == "1.2.826.0.1.3"


def test_a_design_whose_axes_were_said_to_be_others_has_no_place_in_its_series(ct, tmp_path):
    """The bytes are the same, and the masks would lie on the wrong side of the head."""
    turned = sitk.Image(ct.image)
    turned.SetDirection(sitk.Image(ct.image).GetDirection()[3:] + ct.image.GetDirection()[:3])
    skull = skull_of(turned)
    with pytest.raises(SkullImplantError, match="axes were said to be others; export as STL"):
        design_series(inputs_in(tmp_path / "ct"), account(ct.sha256), skull)


def test_what_is_no_series_is_told(ct, tmp_path):
    skull = skull_of(ct.image)
    sitk.WriteImage(ct.image, str(tmp_path / "head.nrrd"))
    for folder, told in (
        (tmp_path / "head.nrrd", account(ct.sha256)),
        (None, account(ct.sha256)),
        (tmp_path / "ct", account(ct.sha256, "skull")),
    ):
        with pytest.raises(SkullImplantError, match="needs the DICOM series that the design came"):
            design_series(inputs_in(folder) if folder else (), told, skull)


def test_nothing_of_a_skull_is_on_the_bone_of_an_empty_mask(ct):
    assert share_on_bone(sitk.Image([8, 8, 8], sitk.sitkUInt8), ct.image, THRESHOLD_HU) == 0.0
