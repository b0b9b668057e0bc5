"""3MF: surfaces with unit, title and frame stated, as an STL cannot (3MF Core Specification).

Written by lib3mf, the 3MF Consortium's own library, which is optional.
"""

import locale
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..core.files import atomic_path
from ..errors import SkullImplantError
from ..implant.meshes import arrays_of

# The namespace of what 3MF does not define itself; it names the project and leads nowhere.
NAMESPACE = "urn:skull-implant:3mf"
APPLICATION = "SkullImplant"


@dataclass(frozen=True, eq=False)
class Part:
    """A closed mesh (LPS mm) with its title, and how it lies on the printer's plate: a rotation
    (3, 3) that is applied first; its lowest point then lies on the plate. None: as in the head.
    """

    title: str
    mesh: vtkPolyData
    turned: NDArray[np.floating] | None = None


def write_3mf(parts: Sequence[Part], metadata: Mapping[str, str], path: Path) -> None:
    """Write parts to `path` as 3MF, whole or not at all.

    Points keep their place in LPS mm; only the build items are turned and moved. metadata: of the
    model; names that 3MF defines (`Title`, `Description`, ...) as they are, others in a namespace
    of their own. Raises `SkullImplantError` where lib3mf is not installed, or the file cannot be
    written.
    """
    library = _library()
    wrapper = library.get_wrapper()
    model = wrapper.CreateModel()
    model.SetUnit(library.ModelUnit.MilliMeter)
    group = model.GetMetaDataGroup()
    for name, value in {"Application": APPLICATION, **metadata}.items():
        space = "" if name in WELL_KNOWN else NAMESPACE
        group.AddMetaData(space, name, value, "xs:string", True)
    for part in parts:
        points, triangles = arrays_of(part.mesh)
        item = model.AddMeshObject()
        item.SetName(part.title)
        _fill(item, library, points, triangles)
        model.AddBuildItem(item, _placed(library, points, part.turned))
    with atomic_path(path) as temporary, _locale_kept():
        model.QueryWriter("3mf").WriteToFile(str(temporary))


# Names of metadata that the specification defines (3MF Core Specification 1.3, section 3.4.1).
WELL_KNOWN = frozenset(
    {
        "Title",
        "Designer",
        "Description",
        "Copyright",
        "LicenseTerms",
        "Rating",
        "CreationDate",
        "ModificationDate",
        "Application",
    }
)


@contextmanager
def _locale_kept() -> Iterator[None]:
    """Undo that the library sets the process's locale, after which files of text are ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def _library() -> Any:
    try:
        import lib3mf
    except ImportError as error:
        raise SkullImplantError(
            "The export as 3MF needs the library lib3mf; install it (pip install lib3mf), or "
            "export as STL."
        ) from error
    return lib3mf


def _fill(item: Any, library: Any, points: NDArray[Any], triangles: NDArray[Any]) -> None:
    """Give a mesh object its points and triangles, each list at once."""
    places = np.ascontiguousarray(points, np.float32)
    corners = np.ascontiguousarray(triangles, np.uint32)
    vertices = (library.Position * len(places)).from_buffer_copy(places.tobytes())
    faces = (library.Triangle * len(corners)).from_buffer_copy(corners.tobytes())
    item.SetGeometry(vertices, faces)


def _placed(library: Any, points: NDArray[Any], turned: NDArray[Any] | None) -> Any:
    """Return the transform of a build item."""
    rotation = np.eye(3) if turned is None else np.asarray(turned, np.float64)
    there = points @ rotation.T
    shift = np.zeros(3)
    if turned is not None:
        shift = -np.array([*((there.min(axis=0) + there.max(axis=0)) / 2.0)[:2], there[:, 2].min()])
    transform = library.Transform()
    # Row vectors: the four rows are the images of the axes and the shift (section 3.3).
    for row, values in enumerate([*rotation.T, shift]):
        for column, value in enumerate(values):
            transform.Fields[row][column] = float(value)
    return transform
