"""What is brought counts where the prior is unsure or blind, and nowhere else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SkullImplantLib.completion.brought import KNOWN_MM, UNKNOWN_MM, weight_of
from SkullImplantLib.geometry.brought_bone import BroughtBone
from SkullImplantLib.geometry.frame import BOX_LOW_MM

SHAPE = (6, 4, 5)


def bone(height_mm: float = -30.0, heard: float = 1.0, apart_mm2: float = 0.0) -> BroughtBone:
    """Brought bone at a height above the vault's middle."""
    start = int(height_mm - BOX_LOW_MM[2])
    box = (slice(start, start + SHAPE[0]), slice(0, SHAPE[1]), slice(0, SHAPE[2]))
    full = np.ones(SHAPE, np.float32)
    return BroughtBone(box, full, heard * full, apart_mm2 * full, 0.0 * full)


def weight(brought: BroughtBone, deviation_mm: float, own_mm: float = 0.0) -> float:
    full = np.ones(SHAPE, np.float32)
    return float(weight_of(brought, own_mm * full, deviation_mm * full)[0, 0, 0])


@given(
    deviation=st.floats(0.0, 6.0), own=st.floats(-8.0, 8.0),
    heard=st.floats(0.0, 1.0), apart=st.floats(0.0, 16.0), height=st.floats(-80.0, 90.0),
)  # fmt: skip
def test_a_weight_is_a_share_of_what_is_heard(deviation, own, heard, apart, height):
    share = weight(bone(height, heard, apart), deviation, own)
    assert 0.0 <= share <= heard + 1e-6


@given(deviation=st.floats(0.1, 4.0), more=st.floats(0.1, 4.0), apart=st.floats(0.0, 9.0))
def test_it_counts_more_where_the_prior_is_less_sure_and_the_sides_agree(deviation, more, apart):
    assert weight(bone(), deviation + more) >= weight(bone(), deviation)
    assert weight(bone(apart_mm2=apart), deviation) <= weight(bone(), deviation)
    assert weight(bone(60.0), deviation) <= weight(bone(-30.0), deviation)


def test_at_the_brow_it_decides_and_on_the_sure_vault_it_does_not():
    assert weight(bone(-30.0), 2.5) > 0.95
    assert weight(bone(60.0), 0.5) < 0.05


@pytest.mark.parametrize("own_mm", [UNKNOWN_MM, -UNKNOWN_MM])
def test_off_its_surfaces_the_prior_is_blind(own_mm):
    """Between its tables a sinus may lie, and below them the roof of an orbit."""
    assert weight(bone(-30.0), 0.5, own_mm) == pytest.approx(1.0)
    assert weight(bone(-30.0, apart_mm2=9.0), 0.5, own_mm) < 0.4
    assert weight(bone(-30.0), 0.1, np.sign(own_mm) * KNOWN_MM) < 0.2
    # Up the vault heads differ: there even a blind prior is not given up at once.
    assert 0.3 < weight(bone(20.0), 0.5, own_mm) < 0.7
