"""Small folders in exactly the layouts of the public data sets."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

KINDS = ("bilateral", "frontoorbital", "parietotemporal", "random_1", "random_2")


def write_mask(path: Path, value: int = 1) -> Path:
    """Write a small mask: too small for a design, and enough for a reader."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((4, 5, 6), np.uint8)
    mask[1:3, 1:3, 1:3] = value
    image = sitk.GetImageFromArray(mask)
    image.SetSpacing((0.4, 0.5, 0.75))
    sitk.WriteImage(image, str(path))
    return path


def lay_out_skullbreak(
    folder: Path, parts: Iterable[str] = ("train", "test"), skulls: int = 2, truth: bool = True
) -> Path:
    """Lay out SkullBreak: the numbers of each part begin with 000."""
    for part in parts:
        for number in range(skulls):
            name = f"{number:03d}.nrrd"
            write_mask(folder / part / "complete_skull" / name)
            for kind in KINDS:
                write_mask(folder / part / "defective_skull" / kind / name)
                if truth:
                    write_mask(folder / part / "implant" / kind / name)
    return folder


def lay_out_skullfix(folder: Path, test: str = "test_set_for_participants") -> Path:
    """Lay out SkullFix as the archive on figshare unpacks: the truth of the test sets is hidden."""
    for number in range(2):
        for what in ("complete_skull", "defective_skull", "implant"):
            write_mask(folder / "SkullFix" / "training_set" / what / f"{number:03d}.nrrd")
    write_mask(folder / "SkullFix" / test / "000.nrrd")
    write_mask(folder / "SkullFix" / "additional_test_set_for_participants" / "100.nrrd")
    return folder


def lay_out_mug500(folder: Path) -> Path:
    """Lay out MUG500+: archives of five skulls that nest them one or two folders deep."""
    for nested in (
        "A0001-A0005/A0001/A0001",
        "A0001-A0005/A0002/A0002",
        "A0006-A0010/x/A0006/A0006",
    ):
        write_mask(folder / f"{nested}.nrrd")
        for ending in (".stl", "_clear.stl"):
            (folder / f"{nested}{ending}").touch()
    for name in ("B0001", "B0002"):
        write_mask(folder / "craniotomy_skull" / name / f"{name}.nrrd")
        (folder / "craniotomy_skull" / name / f"{name}.stl").touch()
    (folder / "craniotomy_skull" / "B0001" / "B0001_implant.stl").touch()
    return folder


def lay_out_segthor(folder: Path) -> Path:
    """Lay out SegTHOR."""
    for name in ("Patient_01", "Patient_02"):
        write_mask(folder / "train" / name / f"{name}.nii.gz")
        write_mask(folder / "train" / name / "GT.nii.gz", 4)
    write_mask(folder / "test" / "Patient_41.nii.gz")
    return folder
