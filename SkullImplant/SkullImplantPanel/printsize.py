"""How large the implants of a result are to a printer, found in a thread and told in one text."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import vtk

from slicer.i18n import tr as _

from .background import inBackground
from .results import ResultNodes

if TYPE_CHECKING:
    from SkullImplantLib.export.print_size import PrintSize


class PrintSizes:
    """The sizes of the result that was asked for last.

    :param show: called with the text once it is there.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._of: tuple[tuple[str, int], ...] = ()  # models and when their surfaces were made

    def follow(self, nodes: ResultNodes | None) -> None:
        """Find the sizes of a result's implants, unless they are known or looked for; none of no result."""
        models = () if nodes is None else nodes.models
        state = tuple((model.GetID(), model.GetPolyData().GetMTime()) for model in models)
        if state == self._of:
            return
        self._of = state
        self._show("")
        surfaces = []
        for model in models:
            surfaces.append(vtk.vtkPolyData())
            surfaces[-1].ShallowCopy(model.GetPolyData())

        def found(text: str) -> None:
            if state == self._of:
                self._show(text)

        if surfaces:
            inBackground(lambda: _told(surfaces), found)


def _told(surfaces: Sequence[vtk.vtkPolyData]) -> str:
    from SkullImplantLib.export.print_size import print_size

    # A surface that was made in Slicer may have strips and polygons.
    return textOf([print_size(_inTriangles(surface)) for surface in surfaces])


def _inTriangles(surface: vtk.vtkPolyData) -> vtk.vtkPolyData:
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputData(surface)
    triangles.PassLinesOff()
    triangles.PassVertsOff()
    triangles.Update()
    return triangles.GetOutput()


def textOf(sizes: "Sequence[PrintSize]") -> str:
    """Return the sizes of implants in words."""
    lines = []
    for number, size in enumerate(sizes, 1):
        flat, asInFile = (" × ".join(f"{mm:.0f}" for mm in sides) for sides in (size.least_mm, size.size_mm))
        text = _("To print: {flat} mm as it can lie on the plate, {asInFile} mm as it lies in the file; {volume:.1f} "
                 "cm³.")
        if len(sizes) > 1:
            text = _("To print implant {number}: {flat} mm as it can lie on the plate, {asInFile} mm as it lies in "
                     "the file; {volume:.1f} cm³.")
        lines.append(text.format(number=number, flat=flat, asInFile=asInFile, volume=size.volume_cm3))
    return "\n".join(lines)
