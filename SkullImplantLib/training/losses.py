"""What the networks are taught by.

Of a batch that processes share (`sparse.sharing`), each loss is that of the whole batch: sums of
numerators and denominators go over all processes, never means over the means of each. So every
voxel counts the same as in one process, though sparse batches differ in size, and the gradients
summed over the processes are those of one.
"""

import numpy as np
import torch
import torch.nn.functional as F

from ..networks.autoencoder import Decoded
from ..sparse.sharing import mean_of_all, sum_of_all, total_count

# The fine stage is judged on voxels without bone this close to what the prior expects in the hole:
# the missing bone, and the free air and brain on either side of it and of the rim.
JUDGED_MM = 6.0
# The depth at which a voxel counts as bone to three quarters, in the overlap of the fine stage.
SOFTNESS_MM = 0.4
# Errors of depth count in full this close to the true surface, and less farther away.
NEAR_SURFACE_MM, FAR_WEIGHT = 2.0, 0.3
# Truth is known to this depth; deeper or farther out, a prediction is only asked to be there too.
KNOWN_MM = 3.0
SQUARED_MM = 0.5  # smaller errors of depth, within a third of a voxel, count by their square
OVERLAP_WEIGHT = 2.0


def autoencoder_loss(
    completion: Decoded, fraction: torch.Tensor, hole: torch.Tensor, hole_weight: float
) -> torch.Tensor:
    """Return the sum of the levels' binary cross-entropies, with a soft Dice term on the hole.

    The hole holds a few percent of the voxels. Cross-entropy alone makes thin bone whose place is
    uncertain too thin, as no voxel of it is then likely; Dice keeps its volume.

    `fraction` (float32) and `hole` (bool), dense (batch, z, y, x): the target's share of each
    voxel, and where bone is missing. Candidates of coarser levels are judged by "is it in the
    strided target".
    """
    total = levels_loss(completion, fraction)
    finest = completion.levels[-1]
    places = finest.coordinates.long().unbind(1)
    in_hole = hole[places]
    if hole_weight > 0.0 and total_count(int(in_hole.sum()), hole.device):
        share = torch.sigmoid(finest.logits[in_hole])
        total = total + hole_weight * (1.0 - soft_dice(share, fraction[places][in_hole]))
    return total


def levels_loss(decoded: Decoded, fraction: torch.Tensor) -> torch.Tensor:
    """Return the papers' loss: the sum over the levels of the mean cross-entropy of candidates."""
    total = fraction.new_zeros(())
    for level in decoded.levels:
        assert level.target is not None
        true = level.target.float()
        if level.stride == 1:
            true = fraction[level.coordinates.long().unbind(1)]
        each = F.binary_cross_entropy_with_logits(level.logits, true, reduction="none")
        total = total + mean_of_all(each)
    return total


def rearranging_loss(decoded: Decoded, fraction: torch.Tensor, dice_weight: float) -> torch.Tensor:
    """Return the loss of super-resolution: the papers' (`levels_loss`), and so many times the loss
    of the finest level's soft Dice.

    fraction: float32, dense (batch, z, y, x): the truth's share of each voxel.
    """
    finest = decoded.levels[-1]
    true = fraction[finest.coordinates.long().unbind(1)]
    overlap = soft_dice(torch.sigmoid(finest.logits), true)
    return levels_loss(decoded, fraction) + dice_weight * (1.0 - overlap)


def refiner_loss(
    depth_mm: torch.Tensor, true_mm: torch.Tensor, fraction: torch.Tensor
) -> torch.Tensor:
    """Return the loss of the fine stage on its judged sites: [N] each.

    The mean error of depth in mm, which places the surface within a voxel, and a soft Dice, which
    is what the implant is measured by. `fraction`: the part of the voxel that bone fills.
    """
    true_mm = true_mm.clamp(-KNOWN_MM, KNOWN_MM)
    # Deeper than known is no error: the prediction is taken to be as deep as the truth.
    said = torch.where(
        true_mm >= KNOWN_MM,
        depth_mm.clamp(max=KNOWN_MM),
        torch.where(true_mm <= -KNOWN_MM, depth_mm.clamp(min=-KNOWN_MM), depth_mm),
    )
    weight = torch.where(true_mm.abs() <= NEAR_SURFACE_MM, 1.0, FAR_WEIGHT)
    error = F.smooth_l1_loss(said, true_mm, reduction="none", beta=SQUARED_MM)
    error = (error * weight).sum() / weight.sum()
    overlap = soft_dice(torch.sigmoid(depth_mm / SOFTNESS_MM), fraction)
    return error + OVERLAP_WEIGHT * (1.0 - overlap)


def soft_dice(share: torch.Tensor, truth: torch.Tensor, shared: bool = True) -> torch.Tensor:
    """Return the Dice coefficient of two shares, 0 to 1, voxel by voxel (Milletari et al. 2016).

    shared: of the batch that processes share; else of what is given, one case of it say.
    """
    add = sum_of_all if shared else torch.sum
    return 2.0 * add(share * truth) / (add(share) + add(truth)).clamp(min=1.0)


def dice_of(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice coefficient of two masks (bool); 1 where both are empty."""
    both = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / both if both else 1.0
