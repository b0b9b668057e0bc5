"""An implant's surface with values at its points (`checks.surface_maps`), as VTK XML (`.vtp`).

Points are LPS millimetres, which the field data state as Slicer's models do (`SPACE`); they are
those of the STL file, each once. Arrays are named with their units.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkStringArray
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader, vtkXMLPolyDataWriter

from ..core.files import atomic_path, for_native
from ..errors import DiskError, SkullImplantError

SPACE, LPS = "SPACE", "LPS"


def write_maps(mesh: vtkPolyData, maps: Mapping[str, NDArray[np.float32]], path: Path) -> None:
    """Write the triangles of `mesh` (LPS mm) with `maps`, by name (p,), compressed, whole or not at
    all.

    Raises `SkullImplantError` where the folder cannot be written.
    """
    written = vtkPolyData()
    written.SetPoints(mesh.GetPoints())
    written.SetPolys(mesh.GetPolys())
    for name, values in maps.items():
        array = numpy_to_vtk(np.ascontiguousarray(values, np.float32), deep=True)
        array.SetName(name)
        written.GetPointData().AddArray(array)
    space = vtkStringArray()
    space.SetName(SPACE)
    space.InsertNextValue(LPS)
    written.GetFieldData().AddArray(space)
    with atomic_path(Path(path)) as temporary:
        writer = vtkXMLPolyDataWriter()
        writer.SetFileName(for_native(temporary))
        writer.SetInputData(written)
        writer.SetDataModeToAppended()
        writer.EncodeAppendedDataOff()
        writer.SetCompressorTypeToZLib()
        if not writer.Write():
            raise DiskError(f"{path.name} could not be written; free space on the disk.")


def read_maps(path: Path) -> tuple[vtkPolyData, dict[str, NDArray[np.float32]]] | None:
    """Return the mesh (LPS mm) and the maps in a file that `write_maps` wrote; None where there is
    no such file, as beside a design of an earlier version.

    Raises `SkullImplantError` where it is damaged.
    """
    if not path.is_file():
        return None
    reader = vtkXMLPolyDataReader()
    if not reader.CanReadFile(for_native(path)):
        raise SkullImplantError(f"{path.name} is damaged; design or update again.")
    reader.SetFileName(for_native(path))
    reader.Update()
    mesh = reader.GetOutput()
    data = mesh.GetPointData()
    arrays = [data.GetArray(k) for k in range(data.GetNumberOfArrays())]
    maps = {array.GetName(): vtk_to_numpy(array) for array in arrays}
    if mesh.GetNumberOfPolys() == 0 or not maps:
        raise SkullImplantError(f"{path.name} is damaged; design or update again.")
    return mesh, maps
