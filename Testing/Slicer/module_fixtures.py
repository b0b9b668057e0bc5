"""Fixtures of the Slicer module's tests: the development host, a clean scene, a small patient.

Imported by the conftest of each folder whose tests run in the host, so that the library's
own tests start neither Qt nor MRML.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from kept_folders import made_once
from SkullImplantLib.cases.sample import SampleOptions, make_sample_patient
from SkullImplantLib.cases.thorax_phantom import ThoraxOptions, make_thorax
from SkullImplantLib.core.images import write_image
from SkullImplantLib.core.working_axes import as_working, on_working_axes
from slicer_host.host import Host, start

PROJECT = Path(__file__).resolve().parents[2]
MODULE_FILE = PROJECT / "SkullImplant" / "SkullImplant.py"
# Coarse, so that a design takes seconds.
SMALL_SPACING_MM = (2.5, 2.5, 2.5)
SECOND_HOLE_RADIUS_MM, SOFT_TISSUE_HU = 24.0, 40
# A chest on voxels of about 6 mm, turned, so that no axis of its grid is one of the room's.
CHEST_SEED, CHEST_SIZE, CHEST_DEGREES = 3, (80, 80, 72), (8.0, -5.0, 12.0)
SURE = (0.71, 0.99, 0.97, 0.98)
ORGAN_NOTES = (
    "The weights were learnt on chests made by formulas, not on patients: compare each slice with "
    "the CT, or train on patients' CTs (docs/how-to/organs.md).",
    "The network is unsure of the oesophagus (71 %); compare each slice with the CT.",
)
# A design of the small patient on a machine that is busy with other things.
PATIENCE_S = 120.0


@pytest.fixture(scope="session")
def host() -> Host:
    """The development host, with the SkullImplant module loaded as Slicer loads it."""
    host = start()
    # Each folder of tests has this fixture for itself; the host is one.
    if host.application.moduleManager().module("SkullImplant") is None:
        host.load_module(MODULE_FILE)
    return host


@pytest.fixture(scope="session")
def module(host: Host) -> ModuleType:
    """The module's Python module."""
    return sys.modules["SkullImplant"]


@pytest.fixture
def scene(host: Host) -> Iterator[Any]:
    """The scene, empty before and after; an exception in a slot or observer fails the test."""
    host.scene.Clear()
    host.take_slot_errors()
    host.messages.clear()
    yield host.scene
    host.scene.Clear()
    errors = host.take_slot_errors()
    assert not errors, "exceptions in slots:\n" + "\n".join(map(str, errors))


@pytest.fixture(scope="session")
def small_ct_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample patient's CT on a coarse grid."""

    def make(folder: Path) -> None:
        patient = make_sample_patient(0, SampleOptions(spacing_mm=SMALL_SPACING_MM))
        write_image(patient.ct, folder / "small-ct.nrrd")

    return made_once(tmp_path_factory, "patient", make) / "small-ct.nrrd"


@pytest.fixture(scope="session")
def small_result(small_ct_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder of the library for the small CT, with its report."""

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "SkullImplantLib", "design", str(small_ct_file)]
        subprocess.run([*command, "-o", str(folder)], check=True, capture_output=True, cwd=PROJECT)

    return made_once(tmp_path_factory, "result", make)


@pytest.fixture(scope="session")
def two_holes_ct_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample patient's CT on a coarse grid, with a second hole on the other side."""

    def make(folder: Path) -> None:
        patient = make_sample_patient(0, SampleOptions(spacing_mm=SMALL_SPACING_MM))
        hu = sitk.GetArrayFromImage(patient.ct)
        middle = np.argwhere(sitk.GetArrayFromImage(patient.implant)).mean(axis=0)
        middle[2] = hu.shape[2] - 1 - middle[2]  # the head's middle plane is that of the grid
        away_mm = SMALL_SPACING_MM[0] * np.linalg.norm((np.indices(hu.shape).T - middle).T, axis=0)
        hu[(hu > SOFT_TISSUE_HU) & (away_mm < SECOND_HOLE_RADIUS_MM)] = SOFT_TISSUE_HU
        ct = sitk.GetImageFromArray(hu)
        ct.CopyInformation(patient.ct)
        write_image(ct, folder / "two-holes-ct.nrrd")

    return made_once(tmp_path_factory, "two-holes", make) / "two-holes-ct.nrrd"


@pytest.fixture(scope="session")
def two_holes_result(two_holes_ct_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder of the library with two implants."""

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "SkullImplantLib", "design", str(two_holes_ct_file)]
        options = ["-o", str(folder), "--model", "prior", "--no-report"]
        subprocess.run([*command, *options], check=True, capture_output=True, cwd=PROJECT)

    return made_once(tmp_path_factory, "two-implants", make)


@pytest.fixture(scope="session")
def chest_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A procedural chest on a coarse, oblique grid: `chest.nrrd` (HU), and `labels.nrrd`."""

    def make(folder: Path) -> None:
        chest = make_thorax(CHEST_SEED, ThoraxOptions(size=CHEST_SIZE))
        write_image(turned(chest.ct, CHEST_DEGREES), folder / "chest.nrrd")
        write_image(turned(chest.labels, CHEST_DEGREES), folder / "labels.nrrd")

    return made_once(tmp_path_factory, "chest", make)


@pytest.fixture(scope="session")
def organs_result(chest_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `skull-implant organs` writes of the chest, had it found the true organs."""

    def make(folder: Path) -> None:
        from SkullImplantLib.export.organs_result import write_organs
        from SkullImplantLib.organs.coarse_grid import coarse_grid, labels_on
        from SkullImplantLib.organs.known_organs import KNOWN_ORGANS
        from SkullImplantLib.organs.segmented_organs import FoundOrgan, OrganSegmentation

        ct, own = on_working_axes(sitk.ReadImage(str(chest_folder / "chest.nrrd")))
        labels = as_working(sitk.ReadImage(str(chest_folder / "labels.nrrd")))
        voxels = sitk.GetArrayViewFromImage(labels)
        shares = [float((voxels == organ.label).mean()) for organ in KNOWN_ORGANS]
        whole_cm3 = voxels.size * float(np.prod(labels.GetSpacing())) / 1000.0
        organs = tuple(
            FoundOrgan(organ, share * whole_cm3, share * whole_cm3, share, sure, False)
            for organ, share, sure in zip(KNOWN_ORGANS, shares, SURE)
        )
        coarse = labels_on(labels, coarse_grid(labels, (32, 32, 24)))
        found = OrganSegmentation(coarse, labels, organs, ORGAN_NOTES, "cpu")
        write_organs(ct, found, own, {"notes": []}, folder)

    return made_once(tmp_path_factory, "organs", make)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real skulls and head CTs, which stays outside the project."""
    folder = Path(os.environ.get("SKULL_IMPLANT_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real head CTs are not at {folder}; set SKULL_IMPLANT_DATA to their folder")
    return folder


@pytest.fixture
def small_ct(scene: Any, small_ct_file: Path) -> Any:
    """The small CT as a volume node."""
    import slicer

    return slicer.util.loadVolume(str(small_ct_file))


@pytest.fixture
def wait_until(host: Host) -> Callable[..., None]:
    """`wait_until(condition, seconds)` handles events until the condition holds, or fails.

    The seconds are those of the event loop (`own_seconds`).
    """

    def wait(condition: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
        end = own_seconds() + seconds
        while not condition():
            assert own_seconds() < end, f"not within {seconds:.0f} s"
            host.process_events()
            time.sleep(0.005)

    return wait


def own_seconds() -> float:
    """A clock that stands still while this thread waits for a processor, as it does on a machine
    busy with other things (Linux tells it in schedstat; elsewhere the clock never stands still).
    """
    try:
        waited_ns = int(Path("/proc/thread-self/schedstat").read_text().split()[1])
    except OSError:
        waited_ns = 0
    return time.perf_counter() - waited_ns / 1e9


def node_ids(scene: Any) -> dict[str, str]:
    """What a scene holds, to compare it before and after: class and name of each node by its id."""
    nodes = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
    return {node.GetID(): f"{node.GetClassName()} {node.GetName()}" for node in nodes}


def ijk_to_ras(volume_node: Any) -> np.ndarray:
    """A volume's matrix, 4x4."""
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def turned(image: sitk.Image, degrees: tuple[float, float, float]) -> sitk.Image:
    """The image with its grid turned in space about its centre: oblique, voxels untouched."""
    rotation = sitk.Euler3DTransform()
    rotation.SetRotation(*np.radians(degrees))
    turn = np.reshape(rotation.GetMatrix(), (3, 3))
    centre = np.array(
        image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    )
    oblique = sitk.Image(image)
    oblique.SetDirection((turn @ np.reshape(image.GetDirection(), (3, 3))).ravel().tolist())
    oblique.SetOrigin((centre + turn @ (np.array(image.GetOrigin()) - centre)).tolist())
    return oblique
