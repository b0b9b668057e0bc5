"""Shape statistics: made of masks and CTs alike, read once, and again where the file changed."""

from pathlib import Path

import numpy as np
import pytest

from SkullImplantLib.cases.sample import SampleOptions, make_sample_patient
from SkullImplantLib.core.images import array_of, write_image
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.geometry.shape_statistics import (
    POPULATION_FILE,
    read_population,
    shipped_population,
)
from SkullImplantLib.training.population import load_skulls, save_population


def test_a_population_is_made_of_masks_and_cts(tmp_path: Path) -> None:
    patient = make_sample_patient(3, SampleOptions(spacing_mm=(2.0, 2.0, 2.0)))
    for name in ("masks", "cts"):
        (tmp_path / name).mkdir()
    write_image(patient.complete, tmp_path / "masks" / "sample.nrrd")
    write_image(patient.ct, tmp_path / "cts" / "other-ct.nrrd")
    found = load_skulls(tmp_path / "masks", tmp_path / "cts")
    assert list(found) == ["sample", "other-ct"]
    for name, true in (("sample", patient.complete), ("other-ct", patient.defective)):
        made, true = array_of(found[name]) > 0, array_of(true) > 0
        assert 2 * (made & true).sum() / (made.sum() + true.sum()) > 0.85


def test_a_file_is_read_once_and_again_where_it_changed(tmp_path: Path) -> None:
    shipped = shipped_population()
    assert shipped is read_population(POPULATION_FILE)
    path = tmp_path / "own.npz"
    save_population(shipped, path)
    own = read_population(path)
    assert own is read_population(path)
    np.testing.assert_array_equal(own.maps_mm, shipped.maps_mm)
    save_population(shipped.without(shipped.names[:1]), path)
    assert read_population(path).names == shipped.names[1:]
    assert shipped is shipped_population()
    path.unlink()
    with pytest.raises(SkullImplantError, match=r"own\.npz are missing"):
        read_population(path)
