"""A scene's bytes say what was put into them, to the step."""

import gzip
import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from SkullImplantLib.core.resources import RESOURCES
from SkullImplantLib.export.packed_scene import STEPS, PackedScene

KINDS = {"uint8": "<u1", "uint16": "<u2", "int32": "<i4"}


def at(content: bytes, place: dict) -> np.ndarray:
    """Read an array as a browser's typed array does, which wants it to begin at its own size."""
    kind = np.dtype(KINDS[place["kind"]])
    assert place["begin"] % kind.itemsize == 0
    return np.frombuffer(content, kind, place["length"], place["begin"])


@given(
    points=arrays(
        np.float64, st.tuples(st.integers(3, 40), st.just(3)), elements=st.floats(-300, 300)
    ),
    data=st.data(),
)
def test_a_mesh_comes_back_to_half_a_step(points, data):
    corners = st.integers(0, len(points) - 1)
    triangles = data.draw(
        arrays(np.int64, st.tuples(st.integers(1, 40), st.just(3)), elements=corners)
    )
    scene = PackedScene()
    scene.add(np.zeros(data.draw(st.integers(0, 5)), np.uint8))  # whatever lies before it
    header = scene.add_mesh(points, triangles)
    content = gzip.decompress(scene.compressed())
    steps = at(content, header["points"]).reshape(-1, 3)
    found = np.array(header["origin_mm"]) + steps * np.array(header["step_mm"])
    half = np.maximum(np.ptp(points, axis=0) / STEPS, 1e-9) / 2 + 1e-9
    assert np.all(np.abs(found - points) <= half)
    assert np.array_equal(np.cumsum(at(content, header["corners"])).reshape(-1, 3), triangles)


@given(
    arrays(
        np.float64,
        st.integers(1, 60),
        elements=st.one_of(st.floats(-50, 50), st.just(np.nan)),
    )
)
def test_values_come_back_to_half_a_step_and_nothing_stays_nothing(values):
    scene = PackedScene()
    header = scene.add_values(values)
    steps = at(gzip.decompress(scene.compressed()), header["values"])
    found = np.where(steps == header["nothing"], np.nan, header["least"] + steps * header["step"])
    assert np.array_equal(np.isnan(found), np.isnan(values))
    known = ~np.isnan(values)
    assert np.all(np.abs(found[known] - values[known]) <= header["step"] / 2 + 1e-9)


def test_the_same_scene_has_the_same_bytes():
    def made() -> bytes:
        scene = PackedScene()
        scene.add_values(np.linspace(0, 1, 1000))
        return scene.compressed()

    assert made() == made()


def test_the_script_is_of_the_sources_beside_it():
    """`make viewer` writes the script and which sources it is of; a changed one wants it again."""
    told = (RESOURCES / "report-viewer.js.sha256").read_text(encoding="ascii").splitlines()
    assert len(told) >= 7
    for line in told:
        digest, name = line.split()
        assert hashlib.sha256((RESOURCES / name).read_bytes()).hexdigest() == digest, name
