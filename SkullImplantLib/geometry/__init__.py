"""What is known of heads: where this one lies, its vault by geometry alone, and its hole."""

from .curve_region import CurveRegion, region_within
from .frame import Pose
from .hole import Hole, find_hole
from .mean_skull import shipped_mean_skull
from .pose import estimate_pose
from .prior import Prior, complete_by_prior
from .upright import require_upright

__all__ = [
    "CurveRegion",
    "Hole",
    "Pose",
    "Prior",
    "complete_by_prior",
    "estimate_pose",
    "find_hole",
    "region_within",
    "require_upright",
    "shipped_mean_skull",
]
