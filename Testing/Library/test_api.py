"""The library's names for a Python user: there, lazy, and refusing what makes no sense."""

import inspect
import subprocess
import sys

import pytest
import SimpleITK as sitk

import SkullImplantLib
from SkullImplantLib import DesignOptions, Input, SkullImplantError, design_implant, read_input


def test_every_name_is_there_and_told_of() -> None:
    assert sorted(SkullImplantLib.HOMES) == SkullImplantLib.__all__
    assert set(SkullImplantLib.__all__) <= set(dir(SkullImplantLib))
    for name in SkullImplantLib.__all__:
        found = getattr(SkullImplantLib, name)
        assert found.__name__ == name and inspect.getdoc(found)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = SkullImplantLib.no_such_name


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, SkullImplantLib; from SkullImplantLib import SkullImplantError; "
        "heavy = {'torch', 'numpy', 'scipy', 'SimpleITK', 'vtkmodules'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (DesignOptions(clearance_mm=80.0), "clearance between implant and bone of 80 mm"),
        (DesignOptions(clearance_mm="wide"), "of 'wide' mm makes no implant"),  # type: ignore[arg-type]
        (DesignOptions(least_wall_mm=float("nan")), "least wall of nan mm"),
        (DesignOptions(thickness_mm=0.5), "thickness of 0.5 mm makes no implant; give 1 to 20"),
        (DesignOptions(refine_mm=9.0), "refined voxel of 9 mm makes no implant; give 0.2 to 4 mm"),
        (DesignOptions(thickness_mm=1.5), "1.5 mm is under the least wall of 2 mm"),
        (DesignOptions(insertion_direction=(0.0, 0.0, 0.0)), "direction of insertion is none"),
        (DesignOptions(insertion_direction=(0.0, 1.0)), "direction of insertion is none"),  # type: ignore[arg-type]
        (DesignOptions(holes=("all",)), "A hole is chosen by its number"),  # type: ignore[arg-type]
        (DesignOptions(smoother="iron"), "no smoother 'iron'; use one of field, rearrangement"),
        (DesignOptions(device="banana"), "no device 'banana'; use one of auto, cpu, cuda"),
        (DesignOptions(engine="steam"), "no engine 'steam'"),
        (DesignOptions(model="nobody"), "use one of fine, prior, mirror, or a weight file"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(options: DesignOptions, said: str) -> None:
    nothing = Input(sitk.Image(8, 8, 8, sitk.sitkUInt8), "skull", "", "nothing")
    with pytest.raises(SkullImplantError, match=said):
        design_implant(nothing, options)


def test_a_kind_of_input_that_there_is_not_is_a_fault_of_the_program() -> None:
    with pytest.raises(ValueError, match="no kind of input 'mri'"):
        read_input("head.nrrd", "mri")  # type: ignore[arg-type]
