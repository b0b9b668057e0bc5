"""The surface with values at its points, as a file; and the colours that they are shown in."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.checks import CheckOptions
from SkullImplantLib.completion.trust import OFF_MM
from SkullImplantLib.design import design_implant
from SkullImplantLib.designing.proposal import Design
from SkullImplantLib.designing.update import update_design
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export import write_design
from SkullImplantLib.export.map_colours import (
    COUNT,
    FROM_OTHER_SIDE,
    FROM_PREVIOUS,
    FROM_REFERENCE,
    MAP_ARRAYS,
    MOST_UNCERTAIN_MM,
    NOWHERE,
    UNCERTAINTY,
    colour_table,
    colours_of,
    scale_of,
)
from SkullImplantLib.export.results import MIRROR_FILES, write_pictures
from SkullImplantLib.export.stl import read_stl, write_stl
from SkullImplantLib.implant.meshes import arrays_of, mesh_of
from SkullImplantLib.options import DesignOptions
from SkullImplantLib.reading import Input
from SkullImplantLib.reading.reference import Reference


@pytest.fixture(scope="module")
def design(coarse_patient: SamplePatient) -> Design:
    source = Input(coarse_patient.ct, "ct", "0" * 64, "the sample patient")
    return design_implant(source, DesignOptions(model="prior"))


@pytest.fixture(scope="module")
def result(design: Design, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "result"
    write_design(design, folder, pictures=False)
    return folder


def read(path: Path) -> vtkPolyData:
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    return reader.GetOutput()


def array(surface: vtkPolyData, name: str) -> np.ndarray:
    return vtk_to_numpy(surface.GetPointData().GetArray(name))


def test_the_file_has_the_surface_of_the_stl_with_a_value_at_each_point(
    design: Design, result: Path
) -> None:
    surface = read(result / "implant-maps.vtp")
    points, triangles = arrays_of(surface)
    stl_points, stl_triangles = arrays_of(read_stl(result / "implant.stl"))
    np.testing.assert_array_equal(points[triangles], stl_points[stl_triangles])
    assert surface.GetFieldData().GetAbstractArray("SPACE").GetValue(0) == "LPS"
    (implant,) = design.implants
    told = design.as_json()["implants"][0]["maps"]
    assert told == {"file": "implant-maps.vtp", "arrays": list(MAP_ARRAYS)}
    for name in MAP_ARRAYS:
        values = array(surface, name)
        assert values.dtype == np.float32 and values.shape == (len(points),)
        np.testing.assert_array_equal(values, implant.maps[name])
    assert (result / "implant-maps.vtp").stat().st_size < (result / "implant.stl").stat().st_size


def test_the_maps_of_a_design_are_what_its_checks_tell(design: Design) -> None:
    (implant,) = design.implants
    checks = {check.name: check.value for check in implant.checks}
    gap, step = implant.maps["gap_mm"], implant.maps["step_mm"]
    assert np.nanmax(gap) == pytest.approx(checks["rim gap maximum"], abs=0.5)
    assert np.nanpercentile(gap, 50.0) == pytest.approx(checks["rim gap median"], abs=0.15)
    assert np.nanmax(np.abs(step)) >= max(checks["outer step"], checks["inner step"]) - 0.1
    # The check looks no farther than what was asked for, and its balls round edges off.
    assert np.percentile(implant.maps["thickness_mm"], 1.0) >= checks["least wall"] - 0.5
    assert np.isfinite(implant.maps["thickness_mm"]).all()
    unsure = implant.maps["uncertainty_mm"]
    assert np.isfinite(unsure).all() and unsure.min() >= 0.2 and unsure.max() < 6.0


def test_of_an_update_the_uncertainty_is_not_known(result: Path, tmp_path: Path) -> None:
    data = write_design(update_design(result), tmp_path / "edited", pictures=False)
    assert data["implants"][0]["maps"]["arrays"] == ["gap_mm", "step_mm", "thickness_mm"]
    surface = read(tmp_path / "edited" / "implant-maps.vtp")
    assert surface.GetPointData().GetNumberOfArrays() == 3


def test_scales_meet_the_limits_of_the_checks(design: Design) -> None:
    data, limits = design.as_json(), CheckOptions()
    (gap,) = (check["limit"] for check in data["checks"] if check["name"] == "rim gap")
    met = {"gap_mm": gap, "step_mm": limits.outer_step_mm, "thickness_mm": limits.least_wall_mm}
    for name, limit in met.items():
        scale = scale_of(name, data)
        labels = np.linspace(scale.low_mm, scale.high_mm, scale.labels)
        assert scale.limit_mm == limit and np.abs(labels - limit).min() < 1e-9
    assert 2.0 * MOST_UNCERTAIN_MM == OFF_MM
    assert scale_of("gap_mm", data | {"checks": []}).limit_mm == 1.0


@given(st.floats(-1e6, 1e6), st.sampled_from(MAP_ARRAYS))
def test_every_value_has_a_colour_of_its_table_and_none_is_grey(value: float, name: str) -> None:
    scale = scale_of(name, {"checks": []})
    found, none = colours_of(np.array([value, np.nan]), scale) / 255.0
    table = colour_table(scale.diverges)
    assert len(table) == COUNT and np.abs(table - found).max(axis=1).min() < 0.003
    assert none == pytest.approx(NOWHERE, abs=0.003)


def test_a_brighter_colour_is_a_larger_value_and_zero_is_the_lightest_of_two_ways() -> None:
    linear = colour_table(False) ** 2.2 @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(linear[::8]) > 0.0).all()
    light = colour_table(True) ** 2.2 @ [0.2126, 0.7152, 0.0722]
    assert abs(int(np.argmax(light)) - COUNT // 2) < 8


@pytest.mark.slow
def test_a_report_colors_by_deviation_where_there_is_something_to_compare_with(
    result: Path, tmp_path: Path
) -> None:
    """The other side that `mirror` wrote, and a design of before; without them there is no map."""
    compared = tmp_path / "compared"
    shutil.copytree(result, compared)
    shutil.copy(result / "implant.stl", compared / MIRROR_FILES[0])
    write_pictures(result, None, tmp_path / "alone")
    write_pictures(compared, None, tmp_path / "both", previous=result)
    found = {}
    for name in ("alone", "both"):
        page = (tmp_path / name / "report.html").read_text()
        header = json.loads(page.split('id="scene-header">')[1].split("</script>")[0])
        found[name] = {told["name"]: told for told in header["parts"][1]["maps"]}
    assert list(found["alone"]) == list(MAP_ARRAYS)
    assert list(found["both"]) == [*MAP_ARRAYS, FROM_OTHER_SIDE, FROM_PREVIOUS]
    assert "outer face" in found["both"][FROM_PREVIOUS]["remark"]
    # Both are the implant itself here: nowhere farther than nothing.
    told = found["both"][FROM_PREVIOUS]
    assert abs(told["least"]) < 0.01 and told["step"] * 65534 < 0.02
    with pytest.raises(SkullImplantError, match=r"whole design\.json"):
        write_pictures(result, None, tmp_path / "none", previous=tmp_path / "alone")
    # Of another head, in another place: all of it would be gray, and nobody would say why.
    other = tmp_path / "other"
    shutil.copytree(result, other)
    points, triangles = arrays_of(read_stl(other / "implant.stl"))
    write_stl(mesh_of(points + [0.0, 160.0, 90.0], triangles), other / "implant.stl")
    with pytest.raises(SkullImplantError, match="give a result of the same head"):
        write_pictures(result, None, tmp_path / "none", previous=other)
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_design_by_an_earlier_skull_tells_how_far_it_is_from_that(
    coarse_patient: SamplePatient, tmp_path: Path
) -> None:
    source = Input(coarse_patient.ct, "ct", "0" * 64, "the sample patient")
    earlier = Reference(coarse_patient.complete, "skull", "skull", "1" * 64)
    made = design_implant(source, DesignOptions(model="prior"), reference=earlier)
    (implant,) = made.implants
    # How unsure an earlier bone is nobody knows.
    certain = [array for array in MAP_ARRAYS if array != UNCERTAINTY]
    assert list(implant.maps) == [*certain, FROM_REFERENCE]
    off = implant.maps[FROM_REFERENCE]
    known = np.isfinite(off)
    assert 0.2 < known.mean() < 0.7  # one of two faces
    # It is the earlier bone, smoothed and bent to be flush, in voxels of 2.5 mm.
    assert np.abs(np.median(off[known])) < 0.5 and np.percentile(np.abs(off[known]), 95) < 2.0
    data = write_design(made, tmp_path / "result", pictures=False)
    assert data["implants"][0]["maps"]["arrays"][-1] == FROM_REFERENCE
