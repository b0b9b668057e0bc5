"""3MF: what a reader of the format finds in it, by lib3mf itself, plain XML, and a real slicer."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy as np
import pytest
from bent_plate import bent_plate

from SkullImplantLib.export.stl import write_stl
from SkullImplantLib.export.three_mf import NAMESPACE, Part, write_3mf
from SkullImplantLib.implant.meshes import arrays_of, mesh_health

lib3mf = pytest.importorskip("lib3mf")
CORE = "{http://schemas.microsoft.com/3dmanufacturing/core/2015/02}"
PLACE = (12.0, -30.0, 45.0)
needs_slicer = pytest.mark.skipif(
    shutil.which("prusa-slicer") is None, reason="PrusaSlicer is not installed"
)


@pytest.fixture(scope="module")
def plate():
    return bent_plate((0.0, 0.6, 0.8), PLACE)


@pytest.fixture
def file(plate, tmp_path):
    path = tmp_path / "implant.3mf"
    told = {"Title": "Cranial implant <proposal> & more", "Frame": "LPS", "SHA256": "ab" * 32}
    down = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]])
    write_3mf([Part("Implant", plate), Part("Lying", plate, down)], told, path)
    return path


def test_points_stay_where_they_are_in_millimeters(plate, file):
    with zipfile.ZipFile(file) as packed:
        model = ElementTree.fromstring(packed.read("3D/3dmodel.model"))
    assert model.get("unit") == "millimeter"
    mesh = model.find(f".//{CORE}mesh")
    found = np.array([[float(v.get(a)) for a in "xyz"] for v in mesh.iter(f"{CORE}vertex")])
    corners = np.array(
        [[int(t.get(f"v{k}")) for k in (1, 2, 3)] for t in mesh.iter(f"{CORE}triangle")]
    )
    points, triangles = arrays_of(plate)
    assert np.abs(found - points).max() < 1e-3 and np.array_equal(corners, triangles)


def test_title_frame_and_checksum_are_told(file):
    with zipfile.ZipFile(file) as packed:
        model = ElementTree.fromstring(packed.read("3D/3dmodel.model"))
    told = {item.get("name"): item.text for item in model.iter(f"{CORE}metadata")}
    assert told["Title"] == "Cranial implant <proposal> & more"
    assert told["Application"] == "SkullImplant"
    (frame,) = [value for name, value in told.items() if name.endswith(":Frame")]
    assert frame == "LPS"
    text = zipfile.ZipFile(file).read("3D/3dmodel.model").decode()
    assert NAMESPACE in text and not re.search(r"https?://(?!schemas)", text)


def test_a_turned_part_lies_on_the_plate(plate, file):
    """lib3mf's own reader: the item's transform brings the lowest point to zero."""
    model = lib3mf.get_wrapper().CreateModel()
    model.QueryReader("3mf").ReadFromFile(str(file))
    items = model.GetBuildItems()
    placed = []
    points, _ = arrays_of(plate)
    while items.MoveNext():
        item = items.GetCurrent()
        fields = item.GetObjectTransform().Fields
        rows = np.array([[fields[row][column] for column in range(3)] for row in range(4)])
        placed.append(points @ rows[:3] + rows[3])
    first, second = placed
    assert np.abs(first - points).max() < 1e-4
    assert abs(second[:, 2].min()) < 1e-3
    # Its middle pointed along (0, 0.6, 0.8); now it points up.
    assert np.ptp(second[:, 2]) < np.ptp(points[:, 2])


@needs_slicer
def test_a_slicer_takes_stl_and_3mf_as_they_are(plate, tmp_path):
    write_stl(plate, tmp_path / "implant.stl")
    write_3mf([Part("Implant", plate)], {"Title": "Implant"}, tmp_path / "implant.3mf")
    for name in ("implant.stl", "implant.3mf"):
        told = subprocess.run(
            ["prusa-slicer", "--info", str(tmp_path / name)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        facts = dict(re.findall(r"^(\w+) = +(\S+)", told, re.MULTILINE))
        assert facts["manifold"] == "yes" and "open_edges" not in facts
        volume = 1000 * mesh_health(plate).volume_cm3
        assert float(facts["volume"]) == pytest.approx(volume, rel=1e-3)
        assert not re.search("repair|fixed|degenerate", told)
