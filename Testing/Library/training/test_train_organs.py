"""Training on the procedural thorax: both networks learn, are resumed, and are used."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from SkullImplantLib.cases.thorax_phantom import ORGANS, ThoraxOptions, make_thorax
from SkullImplantLib.completion.network import NetworkPlace
from SkullImplantLib.core.images import array_of
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.evaluation.organ_scores import score_organs
from SkullImplantLib.networks.weights import load_weights
from SkullImplantLib.organs.coarse_grid import coarse_grid, labels_on
from SkullImplantLib.organs.organ_networks import segment_coarse, super_resolve_labels
from SkullImplantLib.training import organ_cases, organ_subjects, organ_tasks
from SkullImplantLib.training.organ_cases import labelled_subject, organ_case
from SkullImplantLib.training.organ_options import OrganOptions
from SkullImplantLib.training.organ_subjects import HELD_BACK, procedural_subjects
from SkullImplantLib.training.organ_tasks import SegmentationTask, SuperResTask
from SkullImplantLib.training.train_organs import train_organs

TINY = OrganOptions(
    cells=(28, 28, 28), batch=1, iterations=16, validate_every=8, learning_rate=5e-3
)
SIZE = (80, 80, 48)
SUBJECTS = procedural_subjects(1, 1, (SIZE,))
NUMBERS = list(ORGANS.values())
ON_CPU = NetworkPlace("cpu")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(organ_cases, "PIECE_VOXELS", 32)
    monkeypatch.setattr(organ_tasks, "CHECKED_PIECES", 6)
    monkeypatch.setattr(organ_subjects, "make_thorax", cache(make_thorax))


def rows_of(folder: Path) -> list[list[float]]:
    lines = (folder / "log.csv").read_text().splitlines()
    return [[float(number) for number in line.split(",")] for line in lines[1:]]


@pytest.mark.slow
def test_the_dense_network_learns_and_segments(tmp_path: Path) -> None:
    path = train_organs(SegmentationTask(TINY, SUBJECTS, tmp_path / "cases"), tmp_path, TINY)
    first, last = rows_of(tmp_path)
    assert last[1] < first[1]
    weights = load_weights(path)
    assert weights.metadata["organs"] == list(ORGANS) and len(weights.metadata["dice"]) == 4
    assert weights.skulls() == ("procedural thorax 0", f"procedural thorax {HELD_BACK}")
    card = (tmp_path / "weights.md").read_text()
    assert "procedural thorax 0" in card and f"| {last[0]:.0f} | {last[1]:.6f} |" in card
    ct = make_thorax(HELD_BACK, ThoraxOptions(size=SIZE)).ct
    made = segment_coarse(ct, weights, NUMBERS, ON_CPU).labels
    assert made.GetSize() == (28, 28, 28) and set(np.unique(array_of(made))) <= {0, *NUMBERS}
    with pytest.raises(SkullImplantError, match="4 organs, and 1"):
        segment_coarse(ct, weights, [1], ON_CPU)
    with pytest.raises(SkullImplantError, match="do not refine"):
        super_resolve_labels(made, ct, weights, NUMBERS, ON_CPU)


@pytest.mark.slow
def test_super_resolution_learns_resumes_and_refines(tmp_path: Path) -> None:
    options = replace(TINY, batch=2)

    def task() -> SuperResTask:
        return SuperResTask(options, SUBJECTS, tmp_path / "cases")

    path = train_organs(task(), tmp_path / "whole", options)
    first, last = rows_of(tmp_path / "whole")
    assert last[1] < first[1] and last[3] > 0.8  # the heart, at least as interpolated

    class Interrupted(Exception):
        pass

    def stop(fraction: float, message: str = "") -> None:
        if message.startswith("iteration 12"):
            raise Interrupted

    with pytest.raises(Interrupted):
        train_organs(task(), tmp_path / "parts", options, stop)
    resumed = train_organs(task(), tmp_path / "parts", options)
    weights, again = load_weights(path), load_weights(resumed)
    for name, value in weights.state.items():
        assert (again.state[name] == value).all(), name
    with pytest.raises(SkullImplantError, match=r"other options \(seed\)"):
        train_organs(task(), tmp_path / "parts", replace(options, seed=9))
    fewer = procedural_subjects(1, 0, (SIZE,))
    with pytest.raises(SkullImplantError, match="other subjects"):
        train_organs(SuperResTask(options, fewer, tmp_path / "cases"), tmp_path / "parts", options)

    truth = make_thorax(HELD_BACK, ThoraxOptions(size=SIZE)).labels
    coarse = labels_on(truth, coarse_grid(truth, options.cells))
    made = super_resolve_labels(coarse, truth, weights, NUMBERS, ON_CPU).labels
    assert made.GetSize() == truth.GetSize()
    assert score_organs(made, truth, ORGANS)["heart"].dice > 0.8
    with pytest.raises(SkullImplantError, match="do not segment"):
        segment_coarse(truth, weights, NUMBERS, ON_CPU)


@pytest.mark.slow
def test_pieces_are_of_all_organs_and_lie_where_the_coarse_labels_do() -> None:
    labels = make_thorax(3, ThoraxOptions(size=(128, 128, 64))).labels
    subject = labelled_subject(labels, NUMBERS, [(32, 32, 32), (48, 48, 32)])
    found, agree = set(), []
    for seed in range(30):
        one, two = (organ_case([subject], np.random.default_rng(seed)) for _ in range(2))
        assert one.organ == two.organ and one.mask.tobytes() == two.mask.tobytes()
        assert one.mask.any()
        found.add(one.organ)
        made = one.view.depth_mm > 0
        agree.append((made & one.mask).sum() / (made | one.mask).sum())
    assert found == {1, 2, 3, 4} and np.median(agree) > 0.5


def test_a_subject_that_is_cut_to_what_pieces_reach_gives_the_same_pieces() -> None:
    labels = make_thorax(3, ThoraxOptions(size=(160, 160, 64))).labels
    grids = [(40, 40, 32)]
    cut = labelled_subject(labels, NUMBERS, grids)
    assert cut.labels.size < 0.8 * array_of(labels).size
    kept = organ_cases.labelled_subject_of(organ_cases.arrays_of(cut))
    organ_cases.PIECE_VOXELS, before = 1000, organ_cases.PIECE_VOXELS
    with pytest.raises(SkullImplantError, match="64 voxels along an axis"):
        labelled_subject(labels, NUMBERS, grids)
    organ_cases.PIECE_VOXELS = before
    for seed in range(8):
        one, two = (organ_case([of], np.random.default_rng(seed)) for of in (cut, kept))
        assert one.organ == two.organ and one.mask.tobytes() == two.mask.tobytes()
        np.testing.assert_array_equal(one.view.depth_mm, two.view.depth_mm)
