"""Binary STL, in LPS millimetres, which the header states because the format itself cannot.

Slicer reads the frame from `SPACE=` in the header; a header must not begin with `solid`, which
many readers take for the text format.
"""

from pathlib import Path

import numpy as np
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkIOGeometry import vtkSTLReader

from ..core.files import atomic_path, for_native
from ..errors import SkullImplantError
from ..implant.meshes import arrays_of, facet_vectors

HEADER = b"SkullImplant proposal for review; SPACE=LPS; UNITS=mm"
HEADER_BYTES = 80
FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
# A head has millions; so many are worked on within the processor's cache.
FACETS_AT_ONCE = 1 << 15


def write_stl(mesh: vtkPolyData, path: Path) -> None:
    """Write the triangles of `mesh` (LPS mm) to `path` as binary STL, whole or not at all.

    Raises `SkullImplantError` where the folder cannot be written, `ValueError` for a mesh that is
    empty or not of triangles.
    """
    content = stl_content(mesh)
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(content)


def stl_content(mesh: vtkPolyData) -> memoryview:
    """Return the triangles of `mesh` (LPS mm) as binary STL.

    Raises `ValueError` for a mesh that is empty or not of triangles.
    """
    points, triangles = arrays_of(mesh)
    if len(triangles) == 0:
        raise ValueError("the mesh is empty")
    head = HEADER.ljust(HEADER_BYTES, b" ") + np.array([len(triangles)], "<u4").tobytes()
    content = np.zeros(len(head) + len(triangles) * FACET.itemsize, np.uint8)
    content[: len(head)] = np.frombuffer(head, np.uint8)
    facets = content[len(head) :].view(FACET)
    for start in range(0, len(triangles), FACETS_AT_ONCE):
        some = slice(start, start + FACETS_AT_ONCE)
        normals = facet_vectors(points, triangles[some])
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        facets["normal"][some] = normals / np.maximum(length, np.finfo(np.float64).tiny)
        facets["corners"][some] = points[triangles[some]]
    return content.data


def read_stl(path: Path) -> vtkPolyData:
    """Return the mesh (LPS mm) in an STL file that `write_stl` wrote.

    Raises `SkullImplantError` where it is missing, damaged or of something else.
    """
    facets = 0
    if path.is_file():
        with path.open("rb") as file:
            beginning = file.read(HEADER_BYTES + 4)
        if beginning.startswith(HEADER) and len(beginning) == HEADER_BYTES + 4:
            facets = int.from_bytes(beginning[HEADER_BYTES:], "little")
    if not facets or path.stat().st_size != HEADER_BYTES + 4 + facets * FACET.itemsize:
        raise SkullImplantError(
            f"{path.name} is missing, damaged or of another program; design or update again."
        )
    reader = vtkSTLReader()
    reader.SetFileName(for_native(path))
    reader.Update()
    return reader.GetOutput()
