"""The memory benchmark: the dense twin, the counted arithmetic, the rows, and their table."""

import json
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from SkullImplantLib import sparse
from SkullImplantLib.cli.benchmark_arguments import memory_options
from SkullImplantLib.cli.main import build_parser
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.evaluation import benchmark_memory as benchmark
from SkullImplantLib.evaluation.arithmetic import (
    INFERENCE_OPERATIONS,
    LayerCounter,
    dense_operations,
    sparse_operations,
)
from SkullImplantLib.evaluation.dense_autoencoder import DenseAutoEncoder, dense_loss
from SkullImplantLib.evaluation.memory_case import make_case, needed_bytes, read_case, shape_at
from SkullImplantLib.evaluation.memory_options import MemoryOptions, MemoryRun
from SkullImplantLib.evaluation.memory_table import growth, memory_table
from SkullImplantLib.networks.autoencoder import Configuration, SparseAutoEncoder

SMALL = Configuration((3, 4, 5), skip="add")
GRID = (8, 12, 4)


class KeepsAll(SparseAutoEncoder):
    """Prunes nothing."""

    def keeps(self, level):
        return torch.ones_like(level.logits, dtype=torch.bool)


def dense_weights(state):
    """A sparse network's state dict under the dense network's names."""
    result = {}
    for name, value in state.items():
        if name.endswith("kernel"):
            kernel = value[None] if value.dim() == 2 else value
            size = round(len(kernel) ** (1 / 3))
            kernel = kernel.view(size, size, size, *kernel.shape[1:]).permute(4, 3, 2, 1, 0)
            value = kernel.transpose(0, 1) if ".up." in name else kernel
        names = name.replace(".bn.", ".").replace("kernel", "weight")
        result[names] = value.flatten() if name.endswith("bias") else value
    return result


def test_the_dense_network_is_the_sparse_one_with_every_voxel_active():
    generator = torch.Generator().manual_seed(0)
    network = KeepsAll(**asdict(SMALL), generator=generator).double().eval()
    for name, values in network.state_dict().items():
        if ".bn." in name and values.is_floating_point():
            values.uniform_(0.5, 1.5, generator=generator)
    dense = DenseAutoEncoder(SMALL).double().eval()
    dense.load_state_dict(dense_weights(network.state_dict()))
    volume = torch.randn((1, 1, *GRID), generator=generator, dtype=torch.float64)
    active = torch.ones((1, *GRID), dtype=torch.bool)
    with torch.no_grad():
        completion = network(sparse.from_dense(volume, active), bounds=GRID)
        *levels, output = dense(volume)
    for ours, theirs in zip(completion.levels, levels, strict=True):
        torch.testing.assert_close(ours.logits, theirs.flatten())
    torch.testing.assert_close(completion.features[:, 0], output.flatten())


def test_the_dense_loss_is_that_of_every_level_and_odd_grids_fit():
    network = DenseAutoEncoder(SMALL)
    target = (torch.rand((2, 1, 5, 7, 6)) < 0.1).float()
    levels = network(target, reconstruct=False)
    assert [tuple(level.shape[2:]) for level in levels] == [(3, 4, 3), (5, 7, 6)]
    coarse = F.max_pool3d(target, 2, ceil_mode=True)
    expected = sum(map(F.binary_cross_entropy_with_logits, levels, (coarse, target)))
    torch.testing.assert_close(dense_loss(levels, target), expected)


@pytest.mark.parametrize("training", [False, True])
def test_dense_products_are_those_that_torch_counts(training):
    network = DenseAutoEncoder(SMALL).train(training)
    volume = torch.rand((1, 1, *GRID))
    with FlopCounterMode(display=False) as counter:
        levels = network(volume, reconstruct=not training)
        if training:
            sum(level.sum() for level in levels).backward()
    ours = dense_operations(GRID, SMALL, training)
    assert ours.useful == ours.performed
    # The rest is normalisation, activations and biases, at most 19 a value.
    assert 0 < ours.useful - counter.get_total_flops() < 0.5 * ours.useful


def counted(volume):
    network = KeepsAll(**asdict(SMALL)).eval()
    counter = LayerCounter(network)
    with torch.no_grad():
        network(sparse.from_dense(volume), bounds=tuple(volume.shape))
    counter.remove()
    return counter.layers


def test_sparse_products_of_a_full_grid_are_the_dense_ones_but_at_its_border():
    layers = counted(torch.ones(GRID))
    ours, dense = (
        sparse_operations(layers, SMALL, False),
        dense_operations(GRID, SMALL, False),
    )
    assert ours.useful < dense.useful  # taps beyond the border do not exist
    # The children beyond the border, of which the dense network makes none, come on top.
    assert ours.performed >= 0.9 * dense.performed


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31))
def test_useful_taps_are_pairs_of_neighbours(seed):
    generator = torch.Generator().manual_seed(seed)
    volume = (torch.rand((6, 8, 8), generator=generator) < 0.3).float()
    volume[0, 0, 0] = 1
    first = next(layer for layer in counted(volume) if layer.name == "encoder.0")
    neighbours = F.conv3d(volume[None, None], torch.ones((1, 1, 3, 3, 3)), padding=1)[0, 0]
    assert first.rows == volume.sum()
    assert first.useful == (neighbours * volume).sum()
    assert first.performed == 27 * volume.sum()


def test_operations_of_one_layer_are_as_told():
    (first,) = (layer for layer in counted(torch.ones(GRID)) if layer.name == "encoder.0")
    operations = sparse_operations([first], SMALL, training=False)
    values = 3 * first.rows
    assert operations.useful == 2 * 3 * first.useful + INFERENCE_OPERATIONS * values
    training = sparse_operations([first], SMALL, training=True)
    products = 2 * 3 * first.useful  # its features have no gradient: twice, not three times
    assert training.useful - 2 * products == training.performed - 2 * 2 * 3 * first.performed


@given(st.floats(-1, 4), st.floats(0.001, 100))
def test_growth_is_the_exponent(exponent, factor):
    points = [(size, factor * size**exponent) for size in (64, 128, 512)]
    assert growth(points) == pytest.approx(exponent, abs=1e-9)
    assert growth([*points, (256, 0.0)]) == pytest.approx(exponent, abs=1e-9)  # not measured
    assert growth(points[:1]) is None


TINY = MemoryOptions(
    (32,), (1, 2), ("ch1",), ("sparse", "dense"), ("train", "test"), ("plain", "packed")
)


def test_rows_are_measured_once_and_told(tmp_path, monkeypatch):
    options = replace(TINY, batches=(1,), modes=("train",), memories=("packed",))
    data, table = benchmark.benchmark_memory(tmp_path, options, "A test.")
    assert [(row["engine"], row["memory"]) for row in data["rows"]] == [
        ("sparse", "packed"),
        ("dense", "plain"),
    ]
    for row in data["rows"]:
        assert row["step_s"] > 0 and row["peak_gib"] >= row["peak_over_start_gib"] >= 0
        assert 0 < row["useful_gflop"] <= row["performed_gflop"]
        assert 0.01 < row["occupancy"] < 0.2
    assert "A test." in table and (tmp_path / "memory.md").read_text() == table + "\n"
    with Image.open(tmp_path / "memory.png") as picture:
        assert picture.format == "PNG"

    def not_again(*_):
        raise AssertionError("was measured before")

    monkeypatch.setattr(benchmark, "_in_a_process", not_again)
    again, _ = benchmark.benchmark_memory(tmp_path, options, "A test.")
    assert again == data


def test_what_would_not_fit_is_refused_and_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "available_bytes", lambda device: 2**20)
    data, table = benchmark.benchmark_memory(tmp_path, TINY)
    assert len(data["rows"]) == 7  # five of one, and a batch of two by each engine
    assert all(row["refused"].startswith("needs about 0.") for row in data["rows"])
    assert "not run" in table and "## Not run" in table
    monkeypatch.setattr(benchmark, "available_bytes", lambda device: None)
    taken = {"step_s": 1.0, "peak_gib": 1.0, "peak_over_start_gib": 0.5}
    monkeypatch.setattr(benchmark, "_in_a_process", lambda run, folder: taken)
    data, table = benchmark.benchmark_memory(tmp_path, TINY)
    assert len(data["rows"]) == 7 and not any("refused" in row for row in data["rows"])
    assert "not run" not in table


def test_a_process_that_fails_is_a_row(tmp_path):
    found = benchmark._in_a_process(MemoryRun("sparse", "ch1", "test", 32), tmp_path)
    assert found["refused"].startswith("failed: FileNotFoundError")


def test_damaged_rows_are_told_of(tmp_path):
    (tmp_path / "memory.json").write_text("{")
    with pytest.raises(SkullImplantError, match="damaged"):
        benchmark.benchmark_memory(tmp_path, TINY)


def test_the_slides_stand_beside_ours():
    rows = [
        asdict(MemoryRun("sparse", "ch1", "train", size, batch))
        | {"occupancy": 0.05, "useful_gflop": 1.0, "performed_gflop": 2.0, "step_s": 1.0}
        | {"peak_over_start_gib": size / 1024 * batch}
        for size, batch in [(64, 1), (512, 1), (64, 32)]
    ]
    lines = memory_table(rows).splitlines()
    assert "| ch1 sparse train | 0.062 | 0.500 | 1.0 |" in lines
    assert "| *slides* | 1.51 | 11.30 | 1.0 |" in lines
    assert "| *slides* | 1.51 | 3.84 | 0.3 |" in lines
    on_gpu = [row | {"device_peak_gib": 2.0, "allocator_peak_gib": 0.25} for row in rows]
    assert "| ch1 sparse train | 2.00 (0.250) | 2.00 (0.250) | 0.0 |" in memory_table(on_gpu)


def test_dense_training_at_full_resolution_is_known_to_need_much(tmp_path):
    make_case(32, tmp_path)
    case = read_case(tmp_path)
    assert case["shape"] == list(shape_at(32)) == [12, 32, 32]
    json.dumps(case["occupancy"])
    case["shape"] = shape_at(512)
    assert needed_bytes(MemoryRun("dense", "ch1", "train", 512), case) > 16 * 2**30
    assert needed_bytes(MemoryRun("dense", "ch1", "test", 512), case) < 16 * 2**30


def test_the_command_line_chooses_rows():
    words = "benchmark memory --resolutions 64 --networks ch2 --modes test --engines dense"
    options = build_parser().parse_args(words.split())
    rows = list(memory_options(options, "cpu", 3).runs())
    assert rows == [MemoryRun("dense", "ch2", "test", 64, threads=3)]
