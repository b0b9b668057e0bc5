"""Coarse labels of another program: what is no organ is left out and told, and where it runs."""

from typing import Any, cast

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.completion.network import NetworkPlace
from SkullImplantLib.core.images import array_of
from SkullImplantLib.core.stages import Stages
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks.weights import Weights
from SkullImplantLib.organs import segmented_organs
from SkullImplantLib.organs.organ_networks import OrganLabels
from SkullImplantLib.organs.segmented_organs import OrganSegmentation, segment_organs

CUBES = {2: slice(2, 8), 4: slice(10, 14), 7: slice(15, 18)}
ON_CPU = NetworkPlace("cpu")


@pytest.fixture(autouse=True)
def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refine nothing: what is tested comes before."""

    def refined(coarse: sitk.Image, *_given: object) -> OrganLabels:
        return OrganLabels(coarse, "cpu")

    monkeypatch.setattr(segmented_organs, "super_resolve_labels", refined)


def found_in(labels: tuple[int, ...], report: Any = None) -> OrganSegmentation:
    voxels = np.zeros((20, 20, 20), np.uint8)
    for label in labels:
        voxels[CUBES[label], 5:15, 5:15] = label
    given = sitk.GetImageFromArray(voxels)
    ct = sitk.Cast(given * 10, sitk.sitkInt16)
    stages = Stages(report) if report else Stages()
    return segment_organs(ct, None, cast(Weights, None), stages, ON_CPU, given)


def test_labels_that_are_no_organs_are_left_out_and_told() -> None:
    found = found_in((2, 4, 7))
    assert set(np.unique(array_of(found.labels))) == {0, 2, 4}
    assert "Labels that are none of the organs were left out." in found.notes
    assert not any("left out" in note for note in found_in((2, 4)).notes)


def test_labels_without_any_organ_say_which_numbers_they_have() -> None:
    with pytest.raises(SkullImplantError, match="2 for the heart"):
        found_in((7,))


def test_a_run_is_told_to_be_on_its_device() -> None:
    """A crash on the GPU is then done again on the processor, by whoever started the run."""
    told = []

    def report(stage: str, _part: float, message: str = "", device: str | None = None) -> None:
        told.append((stage, device))

    found_in((2,), report)
    assert set(told) == {("organ refinement", "cpu")}
