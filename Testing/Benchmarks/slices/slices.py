"""Real heads in slices far apart or uneven: the designs beside those of the whole CT.

Writes each CT with a defect as DICOM series (thin slices, the values where they lie), designs by
the prior of the accuracy tables without clearance, and judges the implant's surface, on the CT's
grid, and its mask, which lies on the grid that the slices make:

    PYTHONPATH=.:Testing/Library python Testing/Benchmarks/slices/slices.py ../shared/data \
        Testing/Benchmarks/slices/slices.md
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil

from dicom_files import write_slices
from SkullImplantLib.core.images import array_of, image_like, resample
from SkullImplantLib.design import design_implant
from SkullImplantLib.designing.proposal import Design
from SkullImplantLib.evaluation.metrics import evaluate_implant
from SkullImplantLib.evaluation.suite_cases import CaseInput, SuiteCase
from SkullImplantLib.geometry.shape_statistics import read_population
from SkullImplantLib.models import PRIOR
from SkullImplantLib.options import DesignOptions
from SkullImplantLib.reading.input import Input, read_input

POPULATION = Path(__file__).resolve().parents[1] / "accuracy" / "population.npz"
HEADS = ("visible-human-female-ct", "unc-cthead-ct")
KINDS = ("parietotemporal", "bilateral")
# The seam lies so far below the hole, and no slice's step is cut there.
BELOW_HOLE_MM = 6.0
SERIES = {
    "whole": None,
    "every 2 mm": (2.0, 2.0),
    "2 below, 5 above": (2.0, 5.0),
    "every 5 mm": (5.0, 5.0),
}


def places_mm(case: CaseInput, steps_mm: tuple[float, float]) -> np.ndarray:
    """Return where slices lie above the CT's lowest: in these steps below and above the seam."""
    image, truth = case.source.image, case.truth
    planes = np.flatnonzero(array_of(truth).any(axis=(1, 2)))
    seam = planes[0] * truth.GetSpacing()[2] - BELOW_HOLE_MM
    low = np.arange(0.0, seam, steps_mm[0])
    top = (image.GetSize()[2] - 1) * image.GetSpacing()[2]
    return np.concatenate([low, np.arange(low[-1] + steps_mm[1], top, steps_mm[1])])


def inside(design: Design, grid: sitk.Image) -> sitk.Image:
    """Return the voxels of `grid` (upright axes) whose middles lie in the implant's surface."""
    stencil = vtkPolyDataToImageStencil()
    stencil.SetInputData(design.mesh)
    stencil.SetOutputOrigin(grid.GetOrigin())
    stencil.SetOutputSpacing(grid.GetSpacing())
    stencil.SetOutputWholeExtent(*(n for size in grid.GetSize() for n in (0, size - 1)))
    image = vtkImageStencilToImage()
    image.SetInputConnection(stencil.GetOutputPort())
    image.SetInsideValue(1)
    image.SetOutsideValue(0)
    image.SetOutputScalarTypeToUnsignedChar()
    image.Update()
    values = vtk_to_numpy(image.GetOutput().GetPointData().GetScalars())
    return image_like(values.reshape(grid.GetSize()[::-1]), grid)


def of_mask(design: Design, grid: sitk.Image) -> sitk.Image:
    """Return the implant's mask on another grid."""
    share = resample(sitk.Cast(design.implant > 0, sitk.sitkFloat32), grid)
    return image_like((array_of(share) > 0.5).astype(np.uint8), grid)


def row(case: CaseInput, source: Input) -> str:
    design = design_implant(
        source,
        DesignOptions(model=PRIOR, clearance_mm=0.0),
        population=read_population(POPULATION),
    )
    surface = evaluate_implant(inside(design, case.truth), case.truth, case.defective)
    mask = evaluate_implant(of_mask(design, case.truth), case.truth, case.defective)
    confidence = design.confidence
    assert confidence is not None
    return (
        f"{surface.dice:.3f} | {mask.dice:.3f} | {surface.hd95_mm:.2f} | "
        f"{confidence.expected_hd95_mm:.1f} | {'yes' if confidence.flagged else 'no'}"
    )


def rows(data: Path) -> Iterator[str]:
    for kind in KINDS:
        for head in HEADS:
            file = data / "test" / f"{head}.nii.gz"
            case = SuiteCase(file, head, kind, 0, 0, POPULATION).load()
            for name, steps_mm in SERIES.items():
                source = case.source
                with tempfile.TemporaryDirectory() as folder:
                    if steps_mm is not None:
                        places = places_mm(case, steps_mm)
                        source = read_input(
                            write_slices(Path(folder) / "series", source.image, places)
                        )
                    yield f"| {head} | {kind} | {name} | {row(case, source)} |"


def main(data: Path, target: Path) -> None:
    lines = [
        "# Slices far apart",
        "",
        "Made by `slices.py`. The surface is what is printed; the mask lies on the grid of the",
        "slices, of 2 mm for the third series and 5 mm for the last.",
        "",
        "| head | defect | slices | Dice, surface | Dice, mask | HD95, mm | expected | flagged |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in rows(data):
        lines.append(line)
        target.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
