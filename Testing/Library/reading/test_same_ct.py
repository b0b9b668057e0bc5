"""The CT of a design is found again among the series of its folder, whichever a user had chosen."""

import numpy as np
import pytest
import SimpleITK as sitk

from dicom_files import small_head, write_series
from SkullImplantLib.core.images import write_image
from SkullImplantLib.designing.stored_result import read_masks
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.reading.input import read_input
from SkullImplantLib.reading.same_ct import inputs_in, read_same_ct

SMALLER, LARGER = "1.2.826.0.1.3", "1.2.826.0.1.2"


@pytest.fixture
def folder(tmp_path):
    """Two series of one head; the larger one is read where nobody says which."""
    head = small_head()
    write_series(tmp_path / "study" / "a", head=head, series_uid=LARGER)
    write_series(tmp_path / "study" / "b", head=head[:36] + 10, series_uid=SMALLER)
    return tmp_path / "study"


def test_the_one_with_the_same_bytes_is_read(folder):
    for uid in (SMALLER, LARGER):
        chosen = read_input(folder, "ct", uid)
        assert read_same_ct(folder, chosen.sha256).files == chosen.files
    for unknown in ("ab" * 32, None):
        assert read_same_ct(folder, unknown).files == read_input(folder, "ct").files


def test_each_series_is_read_once_and_the_likeliest_first(folder):
    assert [len(found.files) for found in inputs_in(folder)] == [40, 36]


def test_a_series_of_which_nothing_can_be_made_is_passed_over_where_there_are_others(tmp_path):
    def without_place(dataset, z):
        del dataset.ImagePositionPatient

    write_series(tmp_path / "a", series_uid=LARGER, edit=without_place)
    with pytest.raises(SkullImplantError, match="no usable position"):
        read_same_ct(tmp_path, None)
    write_series(tmp_path / "b", head=small_head()[:36], series_uid=SMALLER)
    chosen = read_input(tmp_path, "ct", SMALLER)
    for sha256 in (chosen.sha256, None):
        assert read_same_ct(tmp_path, sha256).files == chosen.files


def test_a_report_shows_the_series_that_the_design_came_from(folder, tmp_path):
    """Its masks lie on no other one's grid."""
    chosen = read_input(folder, "ct", SMALLER)
    result = tmp_path / "result"
    result.mkdir()
    for name in ("skull", "completed", "implant"):
        write_image(sitk.Cast(chosen.image >= 300, sitk.sitkUInt8), result / f"{name}.nrrd")
    masks = read_masks(result, folder, told={"input": {"kind": "ct", "sha256": chosen.sha256}})
    assert masks.source is not None and masks.source.files == chosen.files
    np.testing.assert_array_equal(
        sitk.GetArrayViewFromImage(masks.background), sitk.GetArrayViewFromImage(chosen.image)
    )
    with pytest.raises(SkullImplantError, match="does not lie on the grid"):
        read_masks(result, folder)
