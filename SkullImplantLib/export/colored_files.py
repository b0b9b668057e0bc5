"""Implants with their colours, for programs that show meshes: PLY as they lie in the head, and GLB.

glTF's lengths are metres and its second axis points up (glTF 2.0, section 3.4): in a GLB the head
stands upright and looks at the viewer.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkIOPLY import vtkPLYWriter

from ..core.files import atomic_path, for_native
from ..core.progress import Progress
from ..core.result_names import maps_name, stl_names
from ..errors import DiskError, SkullImplantError
from ..implant.meshes import arrays_of
from .format_writers import Exported
from .formats import implants_of
from .map_legends import map_legends
from .maps_file import read_maps

METRES_PER_MM = 0.001
# Of LPS: to the patient's left, up, forwards.
UPRIGHT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
BONE = (247, 237, 217)
# The map by which files are coloured: it is everywhere on an implant.
SHOWN_MAP = "thickness_mm"


def write_ply(exported: Exported, progress: Progress) -> None:
    """Write each implant in LPS millimetres, coloured by its thickness."""
    names = stl_names(implants_of(exported.account))
    for name, (mesh, colors) in zip(names, _colored(exported)):
        shown = vtkPolyData()
        shown.ShallowCopy(mesh)
        array = numpy_to_vtk(colors, deep=True)
        array.SetName("RGB")
        shown.GetPointData().SetScalars(array)
        path = exported.to(name.replace(".stl", ".ply"))
        with atomic_path(path) as temporary:
            writer = vtkPLYWriter()
            writer.SetFileName(for_native(temporary))
            writer.SetInputData(shown)
            writer.SetArrayName("RGB")
            writer.SetFileTypeToBinary()
            writer.SetDataByteOrderToLittleEndian()
            if not writer.Write():
                raise DiskError(f"{path.name} could not be written; free space on the disk.")


def write_glb(exported: Exported, progress: Progress) -> None:
    """Write skull and implants as one GLB, the implants coloured by their thickness."""
    trimesh = _library()
    scene = trimesh.Scene()
    bone = exported.shown_skull().simpler()
    progress(0.7)
    colors = np.tile(np.array(BONE, np.uint8), (bone.GetNumberOfPoints(), 1))
    for name, (mesh, of_points) in zip(
        ("Skull", *stl_names(implants_of(exported.account))), [(bone, colors), *_colored(exported)]
    ):
        points, triangles = arrays_of(mesh)
        shown = trimesh.Trimesh(
            points @ UPRIGHT.T * METRES_PER_MM, triangles, vertex_colors=of_points, process=False
        )
        scene.add_geometry(shown, geom_name=name.removesuffix(".stl").capitalize())
    content = trimesh.exchange.gltf.export_glb(scene, include_normals=True)
    with atomic_path(exported.to("implant.glb")) as temporary:
        temporary.write_bytes(content)


def _colored(exported: Exported) -> list[tuple[vtkPolyData, NDArray[np.uint8]]]:
    """Return each implant's mesh and the colours of its points (n, 3)."""
    scale = next(s for s in map_legends(exported.account) if s.array == SHOWN_MAP)
    found = []
    for name in stl_names(implants_of(exported.account)):
        read = read_maps(exported.result / maps_name(name))
        if read is None or SHOWN_MAP not in read[1]:
            raise SkullImplantError(
                "The result was made by a version without maps of the surface; design or update "
                "it again for coloured files."
            )
        found.append((read[0], scale.colors(read[1][SHOWN_MAP])))
    return found


def _library() -> Any:
    try:
        import trimesh
    except ImportError as error:
        raise SkullImplantError(
            "The export as GLB needs the library trimesh; install it (pip install trimesh), or "
            "export as PLY."
        ) from error
    return trimesh
