"""Tiny patients in SegTHOR's layout, made by formulas."""

from pathlib import Path

import SimpleITK as sitk

from SkullImplantLib.cases.thorax_phantom import ThoraxOptions, make_thorax

SIZE = (80, 80, 48)


def lay_out_chests(
    folder: Path, count: int = 3, part: str = "train", size: tuple[int, int, int] = SIZE
) -> Path:
    """Write patients 1 to `count` of a part, and in a test part one without labels."""
    for number in range(1, count + 1):
        subject = make_thorax(number, ThoraxOptions(size=size))
        own = folder / part / f"Patient_{number:02d}"
        own.mkdir(parents=True)
        sitk.WriteImage(subject.ct, str(own / f"{own.name}.nii.gz"))
        sitk.WriteImage(subject.labels, str(own / "GT.nii.gz"))
    (folder / "test").mkdir(exist_ok=True)
    sitk.WriteImage(subject.ct, str(folder / "test" / "Patient_41.nii.gz"))
    return folder
