"""What this program kept and reads again: as it was, or one sentence, whatever became of it."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from SkullImplantLib.completion.trust import read_trials
from SkullImplantLib.core.archives import read_archive
from SkullImplantLib.core.kept_json import Damaged, parsed
from SkullImplantLib.core.resources import RESOURCES
from SkullImplantLib.designing.stored_result import read_account
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.geometry.shape_statistics import read_population
from SkullImplantLib.networks.autoencoder import Configuration
from SkullImplantLib.networks.refiner import RefinerConfiguration, SparseRefiner
from SkullImplantLib.networks.weights import load_weights, save_weights
from SkullImplantLib.training.checkpoint import Checkpoint, resume_from, save_checkpoint
from SkullImplantLib.training.configuration import read_configuration, write_configuration
from SkullImplantLib.training.training_options import TrainOptions

LONGEST_SENTENCE = 300
Reader = Callable[[Path], Any]


def account(path: Path) -> Any:
    return read_account(path.parent)


def checkpoint(path: Path) -> Any:
    return resume_from(path.parent, lambda _: None)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Reader]]:
    """A good file of each kind, and what reads it."""
    folder = tmp_path_factory.mktemp("kept")
    network = SparseRefiner(4, (4, 6), generator=torch.Generator().manual_seed(0))
    state = network.state_dict()
    weights = folder / "weights.npz"
    save_weights(weights, RefinerConfiguration(4, (4, 6)), state, {"spacing_mm": 1.5})
    optimiser = torch.optim.Adam(network.parameters()).state_dict()
    save_checkpoint(folder, Checkpoint(state, state, optimiser, {"iteration": 3}))
    write_configuration(folder / "configuration.json", TrainOptions())
    shutil.copy(RESOURCES / "confidence-prior.json", folder / "confidence.json")
    told = {"schema_version": 2, "version": "0.1.0", "notes": [], "checks": [], "parameters": {}}
    (folder / "design.json").write_text(json.dumps(told))
    return {
        "weights": (weights, load_weights),
        "checkpoint": (folder / "checkpoint.npz", checkpoint),
        "configuration": (folder / "configuration.json", read_configuration),
        "trials": (folder / "confidence.json", read_trials),
        "design": (folder / "design.json", account),
    }


def read_or_told(reader: Reader, path: Path) -> None:
    try:
        reader(path)
    except SkullImplantError as error:
        text = str(error)
        assert 20 < len(text) <= LONGEST_SENTENCE and "\n" not in text


KINDS = ["weights", "checkpoint", "configuration", "trials", "design"]


@pytest.mark.parametrize("kind", KINDS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_changed_bytes_give_the_same_or_a_sentence(kind: str, data, kept, tmp_path: Path) -> None:
    good, reader = kept[kind]
    content = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        what = data.draw(st.sampled_from(["byte", "cut", "double"]))
        if what == "byte":
            content[at] = data.draw(st.integers(0, 255))
        elif what == "cut":
            del content[at : at + data.draw(st.integers(1, len(content)))]
        else:
            content[at:at] = content[: data.draw(st.integers(1, 200))]
        if not content:
            break
    path = tmp_path / good.name
    path.write_bytes(bytes(content))
    read_or_told(reader, path)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("kind", ["configuration", "trials", "design"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(data=st.data())
def test_other_values_give_a_sentence(kind: str, data, kept, tmp_path: Path) -> None:
    good, reader = kept[kind]
    told = json.loads(good.read_text())
    name = data.draw(st.sampled_from(sorted(told)))
    inner = told[name]
    if isinstance(inner, dict) and inner and data.draw(st.booleans()):
        inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(VALUES)
    else:
        told[name] = data.draw(VALUES)
    path = tmp_path / good.name
    path.write_text(json.dumps(told))
    read_or_told(reader, path)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 50_000, "NaN", "[1e999]", "9" * 5000, "", "{"]
)
def test_no_text_but_json_is_read(text: str) -> None:
    with pytest.raises(Damaged):
        parsed(text)


def archive_of(path: Path, header: bytes, content: bytes = b"\0" * 8) -> Path:
    """An archive with one array whose header is this."""
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", array)
    return path


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999999999,), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        b"{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,), }",
        b"(" * 2000,
    ],
)
def test_an_array_is_held_against_what_is_there(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(Damaged):
        read_archive(archive_of(tmp_path / "a.npz", header))


def test_what_unpacks_to_more_than_any_file_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("SkullImplantLib.core.archives.MOST_BYTES", 1 << 20)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, a=np.zeros(1 << 20))
    assert path.stat().st_size < 1 << 14
    with pytest.raises(Damaged, match="more than any"):
        read_archive(path)


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6).reshape(2, 3), "b/c": np.float32([]), "d": np.array("word")}
    np.savez(tmp_path / "a.npz", **arrays)
    found = read_archive(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("channels", [(8,) * 13, (8, 10**6), (8, 0), (8,)])
def test_no_network_of_absurd_size_is_built(channels: tuple[int, ...]) -> None:
    with pytest.raises(SkullImplantError, match="correct the configuration"):
        Configuration(channels)


@pytest.mark.parametrize("change", ["names", "maps_mm", "bone", "brows", "brow_names", "none"])
def test_other_shape_statistics_are_told(tmp_path: Path, change: str) -> None:
    arrays = read_archive(RESOURCES / "population.npz")
    if change != "none":
        arrays[change] = arrays[change][:-1]
    path = tmp_path / "population.npz"
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    path.write_bytes(buffer.getvalue())
    if change == "none":
        assert read_population(path).names == tuple(arrays["names"])
        return
    with pytest.raises(SkullImplantError, match="missing or damaged"):
        read_population(path)


def test_the_checkpoint_before_a_damaged_one_is_offered(kept, tmp_path: Path) -> None:
    good, _ = kept["checkpoint"]
    taken: list[Checkpoint] = []
    resume_from(good.parent, taken.append)
    for iteration in (4, 5):
        save_checkpoint(tmp_path, replace(taken[0], progress={"iteration": iteration}))
    last = tmp_path / "checkpoint.npz"
    content = last.read_bytes()
    last.write_bytes(content[: len(content) // 2])
    with pytest.raises(
        SkullImplantError, match=r"take it away to resume .* checkpoint-before\.npz"
    ):
        resume_from(tmp_path, taken.append)
    last.unlink()
    resume_from(tmp_path, taken.append)
    assert taken[-1].progress == {"iteration": 4}
    # What is whole and of another network is damaged to the run that it does not fit.
    with pytest.raises(SkullImplantError, match="is damaged"):
        resume_from(tmp_path, lambda found: found.progress["best"])
