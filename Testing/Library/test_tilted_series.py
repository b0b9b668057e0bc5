"""A tilted and an uneven series of the sample patient: the design is that of the straight one."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from dicom_files import write_slices
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.core.image_files import read_labels
from SkullImplantLib.core.images import array_of, resample, same_grid
from SkullImplantLib.design import design_implant
from SkullImplantLib.designing.proposal import Design
from SkullImplantLib.export.results import CT_FILE, write_design
from SkullImplantLib.models import PRIOR
from SkullImplantLib.options import DesignOptions
from SkullImplantLib.reading.input import read_input

NO_WORSE = 0.02  # in Dice than the design of the straight series
TILT_DEGREES = 20.0


def designed(folder: Path) -> Design:
    return design_implant(read_input(folder), DesignOptions(model=PRIOR, clearance_mm=0.0))


def dice(design: Design, patient: SamplePatient) -> float:
    """Return the Dice of a design against the answer, on the answer's grid."""
    share = resample(sitk.Cast(design.implant > 0, sitk.sitkFloat32), patient.implant)
    found, right = array_of(share) >= 0.5, array_of(patient.implant) > 0
    return float(2 * (found & right).sum() / (found.sum() + right.sum()))


@pytest.mark.slow
def test_the_design_is_that_of_the_straight_series(patient: SamplePatient, tmp_path: Path) -> None:
    ct = patient.ct
    step = ct.GetSpacing()[2]
    top = (ct.GetSize()[2] - 1) * step
    straight = designed(write_slices(tmp_path / "straight", ct, np.arange(0.0, top + 0.1, step)))
    assert not straight.resampled
    least = dice(straight, patient) - NO_WORSE
    assert least > 0.8
    deep = ct.GetSpacing()[1] * ct.GetSize()[1] * np.tan(np.radians(TILT_DEGREES))
    tilted = write_slices(tmp_path / "tilted", ct, np.arange(-deep, top, step), TILT_DEGREES)
    design = designed(tilted)
    assert design.resampled and any("tilted by 20.0 degrees" in note for note in design.notes)
    assert dice(design, patient) >= least
    write_design(design, tmp_path / "result", pictures=False)
    written = sitk.ReadImage(str(tmp_path / "result" / CT_FILE))
    assert same_grid(written, read_labels(tmp_path / "result" / "skull.nrrd"))
    assert np.array_equal(array_of(written), array_of(read_input(tilted).image))
    # Another design, of a CT that needs no resampling, takes the first one's CT away.
    write_design(straight, tmp_path / "result", pictures=False)
    assert not (tmp_path / "result" / CT_FILE).exists()


@pytest.mark.slow
def test_uneven_slices_make_the_same_design(patient: SamplePatient, tmp_path: Path) -> None:
    ct = patient.ct
    step = ct.GetSpacing()[2]
    even = np.arange(ct.GetSize()[2]) * step
    straight = designed(write_slices(tmp_path / "straight", ct, even))
    lost = designed(write_slices(tmp_path / "lost", ct, np.delete(even, [60, 61, 90])))
    assert any("3 slice(s) of the CT series are missing" in note for note in lost.notes)
    assert dice(lost, patient) >= dice(straight, patient) - NO_WORSE
