"""Which pieces of bone are the skull."""

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.core.bit_mask import BitMask
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.skull.head import Head, find_head
from SkullImplantLib.skull.not_skull import pieces_of_skull, samples_at_cavity

RADIUS_MM = 70.0


def shell(spacing_mm: float) -> tuple[sitk.Image, np.ndarray, Head]:
    """Return a grid, a hollow ball of 6 mm of bone on it, bool (z, y, x), and its head."""
    size = round(170.0 / spacing_mm)
    grid = sitk.Image([size] * 3, sitk.sitkUInt8)
    grid.SetSpacing([spacing_mm] * 3)
    grid.SetOrigin([-85.0] * 3)
    ticks = [np.arange(size) * spacing_mm - 85.0] * 3
    z, y, x = np.meshgrid(*ticks, indexing="ij", sparse=True)
    radius = np.sqrt(z**2 + y**2 + x**2)
    bone = (radius < RADIUS_MM) & (radius > RADIUS_MM - 6.0)
    image = sitk.GetImageFromArray(bone.astype(np.uint8))
    image.CopyInformation(grid)
    return grid, bone, find_head(image)


@pytest.mark.parametrize("spacing_mm", [0.55, 0.7, 1.0, 1.6])
def test_there_is_one_sample_in_about_a_millimetre(spacing_mm: float) -> None:
    grid, _, head = shell(spacing_mm)
    at_cavity = samples_at_cavity(grid, head)
    step_mm = 170.0 / np.array(at_cavity.shape)
    assert ((step_mm > 0.69) & (step_mm < 1.7)).all()
    assert at_cavity.any() and not at_cavity.all()


@pytest.mark.parametrize("spacing_mm", [0.8, 1.6])
def test_loose_pieces_go_and_both_parts_of_a_vault_stay(spacing_mm: float) -> None:
    grid, bone, head = shell(spacing_mm)
    z = np.arange(bone.shape[0]) * spacing_mm - 85.0
    parted = bone & (np.abs(z - 20.0) > 5.0)[:, None, None]  # a wide defect, all around
    with_loose = parted.copy()
    with_loose[2:5, 2:5, 2:5] = True  # far from the cavity
    kept, notes = pieces_of_skull(BitMask.of(with_loose), grid, samples_at_cavity(grid, head))
    assert np.array_equal(kept.voxels(), parted)
    assert notes == ()


def test_a_loose_flap_at_the_vault_is_told_of() -> None:
    grid, bone, head = shell(1.0)
    flap = bone.copy()
    flap[:, :, 60:62] = False
    flap[:, :, 110:112] = False
    flap[:, 100:102, 60:112] = False
    flap[:, 70:72, 60:112] = False
    kept, notes = pieces_of_skull(BitMask.of(flap), grid, samples_at_cavity(grid, head))
    removed = flap & ~kept.voxels()
    assert removed.any() and not (kept.voxels() & ~flap).any()
    assert notes == (
        f"Loose pieces of bone ({removed.sum() / 1000:.1f} cm³) at the vault were left out.",
    )


def test_no_bone_at_the_cavity_is_an_error() -> None:
    grid, bone, head = shell(1.6)
    with pytest.raises(SkullImplantError, match="No bone was left"):
        pieces_of_skull(BitMask.of(np.zeros_like(bone)), grid, samples_at_cavity(grid, head))
