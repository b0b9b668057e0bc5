"""The one order of axes in which all work is done, whatever the axes of an image are.

Blocks, lattices, meshing and the order of a search begin at an image's first voxel: with axes in
another order, or run the other way, they would come to another implant, by tenths of a voxel. So an
image is brought to the axes nearest L, P and S before anything is done, and what was made of it is
handed back on the axes that it came with.

Of the same head with other axes, files hold places and directions that differ by their rounding
(NIfTI's are 32-bit floats), which may tip a choice too. Both are set on steps that no implant feels
and that are far above that rounding.
"""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .images import index_to_lps_mm

ORIGIN_STEP_MM = 2.0**-10  # a power of two, so that places which scanners give mostly lie on it
COSINE_STEP = 2.0**-20  # over a head of 250 mm, 0.0002 mm
SAME_MM = 1e-6  # the rounding of a place by turning axes and turning them back

Matrix = NDArray[np.float64]
Order = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class OwnAxes:
    """The axes that an image came with.

    order: which of them becomes the first, second and third of the working axes. turned: which of
    the working axes run the other way than those. size, origin_mm, direction: the image's.
    to_own (4, 4): from places (LPS, mm) in the working image to the image's, in mm; both differ by
    less than `ORIGIN_STEP_MM`.
    """

    order: Order
    turned: tuple[bool, ...]
    size: tuple[int, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]
    to_own: Matrix

    def hand_back(self, image: sitk.Image) -> sitk.Image:
        """Return what was made of the working image, on any grid with its axes, on its own axes."""
        back = np.argsort(self.order)
        own = _relabelled(image, tuple(int(k) for k in back), tuple(self.turned[k] for k in back))
        origin = (self.to_own @ [*own.GetOrigin(), 1.0])[:3]
        if own.GetSize() == self.size and np.abs(origin - self.origin_mm).max() < SAME_MM:
            origin = np.array(self.origin_mm)
        return _placed(own, origin, self.direction, fresh=own is not image)


def on_working_axes(image: sitk.Image) -> tuple[sitk.Image, OwnAxes]:
    """Return an image on the working axes, every voxel in its place to `ORIGIN_STEP_MM`, and its
    own axes, which must be at right angles. An image that is there already is not copied.
    """
    direction = np.reshape(image.GetDirection(), (3, 3))
    order, turned = _nearest_lps(direction)
    working = _relabelled(image, order, turned)
    before = index_to_lps_mm(working)
    origin = np.round(np.array(working.GetOrigin()) / ORIGIN_STEP_MM) * ORIGIN_STEP_MM
    cosines = _settled(np.reshape(working.GetDirection(), (3, 3)))
    working = _placed(working, origin, tuple(cosines.ravel()), fresh=working is not image)
    own = OwnAxes(
        order,
        turned,
        image.GetSize(),
        image.GetOrigin(),
        image.GetDirection(),
        before @ np.linalg.inv(index_to_lps_mm(working)),
    )
    return working, own


def as_working(image: sitk.Image) -> sitk.Image:
    """Return an image on the working axes, of which nothing is handed back."""
    return on_working_axes(image)[0]


def _nearest_lps(direction: Matrix) -> tuple[Order, tuple[bool, ...]]:
    """Return the order of axes, and which to turn, that come nearest to L, P and S.

    Where two come as near, as for an image that lies at 45 degrees, the same one is chosen whatever
    order the axes had.
    """
    choices = list(product(permutations(range(3)), product((False, True), repeat=3)))
    order, turned = max(choices, key=lambda choice: _how_near(_chosen(direction, *choice)))
    return order, turned


def _how_near(direction: Matrix) -> tuple[float, ...]:
    settled = np.round(direction / COSINE_STEP)
    return (float(np.trace(settled)), *(float(cosine) for cosine in settled.ravel()))


def _chosen(direction: Matrix, order: Order, turned: tuple[bool, ...]) -> Matrix:
    return np.asarray(direction[:, order] * np.where(turned, -1.0, 1.0))


def _settled(direction: Matrix) -> Matrix:
    """Return the directions on steps of `COSINE_STEP`, and at right angles again."""
    left, _, right = np.linalg.svd(np.round(direction / COSINE_STEP) * COSINE_STEP)
    settled = np.asarray(left @ right)
    # Along the axes of space nothing is left to rounding.
    along = np.round(settled)
    return along if np.abs(settled - along).max() < COSINE_STEP else settled


def _relabelled(image: sitk.Image, order: Order, turned: tuple[bool, ...]) -> sitk.Image:
    """Return an image whose axis k is its axis order[k], run the other way if turned[k]."""
    if order != (0, 1, 2):
        image = sitk.PermuteAxes(image, order)
    return sitk.Flip(image, turned) if any(turned) else image


def _placed(
    image: sitk.Image, origin_mm: Matrix, direction: tuple[float, ...], fresh: bool
) -> sitk.Image:
    """Return an image with another origin and direction: itself, if `fresh` or there already."""
    if tuple(origin_mm) == image.GetOrigin() and direction == image.GetDirection():
        return image
    placed = image if fresh else sitk.Image(image)
    placed.SetDirection([float(cosine) + 0.0 for cosine in direction])
    placed.SetOrigin([float(along) for along in origin_mm])
    return placed
