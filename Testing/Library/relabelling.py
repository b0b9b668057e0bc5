"""The same image under other axes: every voxel at the place where it was, by plain numpy."""

from itertools import permutations, product

import numpy as np
import SimpleITK as sitk

# Which axis becomes the first, second and third, and which way each runs then: 48, of which half
# change the handedness.
RELABELLINGS = list(product(permutations(range(3)), product((1, -1), repeat=3)))


def relabelled(image: sitk.Image, order: tuple[int, ...], way: tuple[int, ...]) -> sitk.Image:
    """The same voxels at the same places with axes in another order and run another way, by plain
    numpy.
    """
    values = sitk.GetArrayFromImage(image).T.transpose(order)[
        tuple(slice(None, None, w) for w in way)
    ]
    direction = np.reshape(image.GetDirection(), (3, 3))
    spacing = np.array(image.GetSpacing())
    first = np.zeros(3)
    for axis, w in zip(order, way):
        first[axis] = image.GetSize()[axis] - 1 if w < 0 else 0
    made = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    made.SetSpacing(spacing[list(order)].tolist())
    made.SetDirection((direction[:, order] * np.array(way)).ravel().tolist())
    made.SetOrigin((np.array(image.GetOrigin()) + direction @ (first * spacing)).tolist())
    return made
