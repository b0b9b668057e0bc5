"""A name on the inner side: as deep as stated, to be read from within, nothing else changed."""

import numpy as np
import pytest
from bent_plate import INNER_MM, OUTER_MM, bent_plate, crossings
from PIL import Image

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export.engraving import DEPTH_MM, engraved
from SkullImplantLib.implant.meshes import arrays_of, mesh_health

pytest.importorskip("manifold3d")
UP = np.array([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def plate():
    return engraved(bent_plate(), "L7", UP)


def test_it_stays_closed_and_of_one_piece(plate):
    health = mesh_health(plate)
    assert health.watertight and health.pieces == 1 and health.genus == 0
    lost = mesh_health(bent_plate()).volume_cm3 - health.volume_cm3
    assert 0.001 < lost < 0.02


def heights(mesh, half_mm: float = 6.0, step_mm: float = 0.1):
    """Return heights (rows, columns) of the inner side around the middle, by rays from within."""
    along = np.arange(-half_mm, half_mm, step_mm)
    x, y = np.meshgrid(along, along)
    starts = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, 60.0)])
    ends = starts + [0.0, 0.0, 30.0]
    shares = [found[0] if len(found) else np.nan for found in crossings(mesh, starts, ends)]
    return (60.0 + 30.0 * np.array(shares)).reshape(x.shape), x, y


def test_letters_are_as_deep_as_stated_and_the_rest_is_as_before(plate):
    found, x, y = heights(plate)
    depth = found - np.sqrt(INNER_MM**2 - x**2 - y**2)
    cut = depth > DEPTH_MM / 2
    assert 0.05 < cut.mean() < 0.5
    assert np.abs(depth[cut] - DEPTH_MM).max() < 0.06
    assert np.abs(depth[~cut]).max() < 0.06
    outer = np.linalg.norm(arrays_of(plate)[0], axis=1) > OUTER_MM - 0.5
    assert np.abs(np.linalg.norm(arrays_of(plate)[0][outer], axis=1) - OUTER_MM).max() < 0.05


def test_it_is_read_from_within(plate):
    """Seen from below, x to the left as the eye has it, an L has its foot on the right."""
    found, x, y = heights(plate)
    cut = found - np.sqrt(INNER_MM**2 - x**2 - y**2) > DEPTH_MM / 2
    # However the text was turned in its plane: turn it back by its longer axis.
    places = np.argwhere(cut)
    best = max(
        (score(cut, turn) for turn in range(4)),
        key=lambda each: each[0],
    )
    assert len(places) > 100
    assert best[1] == "read from within"


def score(cut: np.ndarray, turn: int) -> tuple[float, str]:
    """Return how well a picture turned by quarters shows `L7` as written, and from which side."""
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(60)
    drawn = Image.new("L", (120, 120))
    ImageDraw.Draw(drawn).text((60, 60), "L7", 255, font, anchor="mm")
    wanted = _fit(np.asarray(drawn) > 128)
    # Rows go up in the head's y; a picture's go down. From below x goes to the left.
    from_within = np.rot90(cut[::-1, ::-1], turn)
    from_outside = np.rot90(cut[::-1], turn)
    scores = {
        "read from within": _alike(_fit(from_within), wanted),
        "read from outside": _alike(_fit(from_outside), wanted),
    }
    side = max(scores, key=lambda name: scores[name])
    return scores[side], side


def _fit(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    part = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return np.asarray(Image.fromarray(part).resize((48, 32))) > 0


def _alike(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("text", ["", "   ", "Müller", "a" * 25, "line\nbreak", "<b>"])
def test_what_is_no_label_is_refused(text):
    with pytest.raises(SkullImplantError, match="can be engraved"):
        engraved(bent_plate(), text, UP)


def test_what_does_not_fit_is_refused():
    with pytest.raises(SkullImplantError, match="too long for this implant"):
        engraved(bent_plate(), "WWWWWWWWWWWWWWWWWWWWWWWW", UP)
