"""What a design leaves on disk: masks, STL, maps, pictures, report, and `design.json` on them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..core.files import atomic_path
from ..core.free_memory import free_bytes
from ..core.images import write_image
from ..core.progress import Progress, part
from ..core.result_names import maps_name, stl_names
from ..core.side_by_side import side_by_side
from ..core.stages import StageReport, Stages, no_report
from ..core.staging import staged_folder
from ..designing.proposal import Design
from ..designing.stored_result import ResultMasks, read_account, read_masks
from ..errors import SkullImplantError, lacks_memory
from ..implant.surface import together
from .deviations import deviation_mm, outer_face
from .map_colours import FROM_OTHER_SIDE, FROM_PREVIOUS
from .map_legends import MapLegend, map_legends
from .maps_file import read_maps, write_maps
from .pictures import Preview, compose_preview
from .report import Scene, write_report
from .shown_scene import ShownImplant, shown_scene
from .shown_skull import ShownSkull
from .stl import read_stl, write_stl
from .unrolled_rim import rim_drawing, unrolled_rim

CT_FILE = "ct.nrrd"  # the grid of the masks, where it is not that of the slices as scanned
NO_PICTURES = (
    "Pictures and report were left out because memory did not suffice; make them later from this "
    "result."
)
# A head of 320,000 points took 0.4 GB of addresses while it was made simpler; twice that and more.
SCENE_BYTES = 900_000_000
PICTURE_FILES = ("preview.png", "report.html")
# The other side of the head, which `mirror` writes beside a design, and which goes with it.
MIRROR_FILES = ("mirror.stl", "mirror.json")
# What a report tells, beside what is told only where it is known.
TOLD_IN_A_REPORT = (
    "disclaimer", "version", "input", "parameters", "model", "device", "implant", "checks", "notes",
    "stages",
)  # fmt: skip
MOST_IMPLANTS = 32  # far more than a head has holes; of an earlier design in a folder, all go
RESULT_FILES = (
    CT_FILE,
    "skull.nrrd",
    "completed.nrrd",
    "implant.nrrd",
    "implant.stl",
    *stl_names(MOST_IMPLANTS),
    *map(maps_name, ("implant.stl", *stl_names(MOST_IMPLANTS))),
    *PICTURE_FILES,
    *MIRROR_FILES,
    "design.json",
)


class Pictures(NamedTuple):
    """The preview of a design, what its report shows in 3-D, and the drawings of its rims."""

    preview: Preview
    scene: Scene | None
    rims: list[str]


def write_design(design: Design, folder: Path | str, pictures: bool = True) -> dict[str, Any]:
    """Write a design, made or edited, into `folder`; return the contents of its `design.json`.

    The folder is made where it is missing. All files are there whole or none is; those of an
    earlier design are replaced; an edited one leaves the CT of the first there.
    `pictures` adds `preview.png` and `report.html`; where they cannot be drawn, by this machine or
    for want of memory, a note says so, and everything else is written all the same.
    Raises `SkullImplantError` where the folder cannot be written.
    """
    belonging = [name for name in RESULT_FILES if name != CT_FILE or not design.edited]
    with staged_folder(Path(folder), belonging) as staging:
        return write_files(design, staging, pictures)


def write_files(design: Design, folder: Path, pictures: bool = True) -> dict[str, Any]:
    """Write the files of `write_design` one by one into a folder that exists."""
    drawn = None
    with design.stages.stage("export") as progress:
        # One by one: on the whole grid a mask takes as much memory as all that came before.
        for done, name in enumerate(("skull", "completed", "implant")):
            progress(0.1 * done, "masks")
            write_image(getattr(design, name), folder / f"{name}.nrrd")
        if design.resampled:
            progress(0.3, "CT as resampled")
            write_image(design.background, folder / CT_FILE)
        for implant, name in zip(design.implants, design.stl_files):
            write_stl(implant.mesh, folder / name)
            write_maps(implant.mesh, implant.maps, folder / maps_name(name))
        if pictures:
            drawn = _drawn(design, part(progress, 0.4, 0.95))
    data = design.as_json()
    if drawn is not None:
        _write_pictures(folder, data, drawn)
    elif pictures:
        data["notes"].append(NO_PICTURES)
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    with atomic_path(folder / "design.json") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return data


def _drawn(design: Design, progress: Progress) -> Pictures | None:
    """Return the pictures of a design; None where memory does not suffice, as nothing else does."""
    shown = [ShownImplant(i.mesh, i.centre_mm, i.way_in.direction, i.maps) for i in design.implants]
    masks = ResultMasks(
        design.skull_part, design.completed_part, design.implant_part, design.background
    )
    skull = ShownSkull(design.skull_part)
    legends = map_legends(design.as_json())
    try:
        return _pictures(masks, skull, design.mesh, shown, legends, progress)
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        return None


def _pictures(
    masks: ResultMasks,
    skull: ShownSkull,
    mesh: vtkPolyData,
    shown: Sequence[ShownImplant],
    legends: Sequence[MapLegend],
    progress: Progress,
) -> Pictures:
    """Return what the report shows; `mesh` is that of all implants, LPS mm."""
    previews: list[Preview] = []
    scenes: list[Scene | None] = []

    def preview(told: Progress) -> None:
        previews.append(
            compose_preview(masks.background, masks.skull, masks.implant, mesh, told, skull)
        )

    def scene(told: Progress) -> None:
        scenes.append(_scene(skull, shown, masks.background, legends))

    side_by_side([("preview", preview), ("skull in 3-D", scene)], progress)
    return Pictures(previews[0], scenes[0], _rims(shown, legends))


def _scene(
    skull: ShownSkull,
    shown: Sequence[ShownImplant],
    background: sitk.Image,
    legends: Sequence[MapLegend],
) -> Scene | None:
    """Return what the report shows in 3-D; None for a design that does not say where its implants
    are, and where memory does not suffice: VTK would end the process.
    """
    free = free_bytes()
    if not shown or (free is not None and free < SCENE_BYTES):
        return None
    return shown_scene(skull.simplified(), shown, background, legends)


def _rims(shown: Sequence[ShownImplant], legends: Sequence[MapLegend]) -> list[str]:
    """Return a drawing of each implant's rim, as far as it was measured."""
    drawings = []
    for number, implant in enumerate(shown, 1):
        rim = unrolled_rim(implant.mesh, implant.maps, implant.direction)
        title = "The rim" if len(shown) == 1 else f"The rim of implant {number}"
        if rim is not None:
            drawings.append(rim_drawing(rim, legends, title))
    return drawings


def write_pictures(
    result: Path,
    ct: Path | None,
    output: Path,
    report: StageReport = no_report,
    previous: Path | None = None,
) -> dict[str, Any]:
    """Write `preview.png` and `report.html` of a result folder into `output`; return the contents
    of its `design.json`.

    For a design that was written without pictures. ct: the CT it was made for, shown behind it; the
    skull is shown without one. previous: the folder of another design of the same head, from whose
    outer faces the deviation is shown; that from the head's other side is where `mirror` wrote it
    into the folder. Raises `SkullImplantError` where a folder is no complete result.
    """
    data = whole_account(result)
    masks = read_masks(result, ct, report, data)
    with Stages(report).stage("pictures") as progress:
        skull = ShownSkull(masks.skull)
        return draw_pictures(result, data, masks, skull, output, progress, previous)


def whole_account(result: Path) -> dict[str, Any]:
    """Return the contents of a result's `design.json`, with all that a report tells.

    Raises `SkullImplantError` where there is none, or something is missing.
    """
    data = read_account(result)
    if not set(TOLD_IN_A_REPORT) <= set(data):
        raise SkullImplantError(
            f"{result} holds no whole design.json; give a folder that a design was written to."
        )
    return data


def draw_pictures(
    result: Path,
    data: dict[str, Any],
    masks: ResultMasks,
    skull: ShownSkull,
    output: Path,
    progress: Progress,
    previous: Path | None = None,
) -> dict[str, Any]:
    """Do what `write_pictures` does with what is read already: `whole_account`, masks, and the
    skull's surface. A note on what the pictures lack joins `data`.
    """
    names = stl_names(len(data.get("implants", [])) or 1)
    meshes = [read_stl(result / name) for name in names]
    compared = _compared_with(result, previous)
    shown, compares = [], previous is None
    for mesh, name, told in zip(meshes, names, data.get("implants", [])):
        mesh, maps = read_maps(result / maps_name(name)) or (mesh, {})
        way = told["insertion_direction_lps"]
        maps |= {array: deviation_mm(mesh, way, others) for array, others in compared.items()}
        compares = compares or bool(np.isfinite(maps[FROM_PREVIOUS]).any())
        shown.append(ShownImplant(mesh, told["centre_mm_xyz"], way, maps))
    if not compares:
        raise SkullImplantError(
            f"Nothing of the implants in {previous} lies over or under those of {result}; give a "
            "result of the same head, in the same place."
        )
    with staged_folder(output) as staging:
        whole = together(tuple(meshes))
        drawn = _pictures(masks, skull, whole, shown, map_legends(data), progress)
        _write_pictures(staging, data, drawn)
    return data


def _compared_with(result: Path, previous: Path | None) -> dict[str, list[vtkPolyData]]:
    """Return the surfaces (LPS mm) that a result's implants are compared with, by the map's array.

    Raises `SkullImplantError` where `previous` is no complete result.
    """
    found = {}
    if (result / MIRROR_FILES[0]).is_file():
        found[FROM_OTHER_SIDE] = [read_stl(result / MIRROR_FILES[0])]
    if previous is not None:
        told = read_account(previous).get("implants", [])
        if not all(implant.get("insertion_direction_lps") for implant in told) or not told:
            raise SkullImplantError(
                f"{previous} holds no whole design.json; give a folder that a design was written "
                "to, updated if it is old."
            )
        found[FROM_PREVIOUS] = [
            outer_face(read_stl(previous / name), implant["insertion_direction_lps"])
            for name, implant in zip(stl_names(len(told)), told)
        ]
    return found


def _write_pictures(folder: Path, data: dict[str, Any], drawn: Pictures) -> None:
    """Write preview and report; a note joins `data` on what the preview lacks."""
    preview = drawn.preview
    if preview.lacks and preview.lacks not in data["notes"]:
        data["notes"].append(preview.lacks)
    with atomic_path(folder / "preview.png") as temporary:
        temporary.write_bytes(preview.png)
    pictures = {"preview": preview.png}
    write_report(folder / "report.html", data, pictures, drawn.scene, drawn.rims)
