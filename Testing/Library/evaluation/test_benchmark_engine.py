"""The engines' benchmark: its phantom, its rows, and that it measures what it says."""

import json

import numpy as np
import torch

from SkullImplantLib.evaluation import benchmark_engine

SMALL = (40, 96, 96)


def test_the_phantom_is_a_shell_with_a_hole():
    complete, defective = benchmark_engine.phantom_shell(SMALL)
    assert complete.shape == SMALL and complete.dtype == bool
    assert not (defective & ~complete).any()
    assert 0.01 < 1 - defective.sum() / complete.sum() < 0.2
    assert 0.02 < complete.mean() < 0.4
    assert not complete[SMALL[0] // 2, SMALL[1] // 2, SMALL[2] // 2]  # hollow
    again, _ = benchmark_engine.phantom_shell(SMALL)
    assert np.array_equal(complete, again)


def test_the_truth_of_coarser_levels_is_where_a_cell_has_a_voxel():
    complete = torch.from_numpy(benchmark_engine.phantom_shell((13, 24, 30))[0])
    truth = benchmark_engine.strided_truth(complete, 3)
    assert [tuple(truth[s].shape) for s in (1, 2, 4)] == [(13, 24, 30), (7, 12, 15), (4, 6, 8)]
    cells = {tuple(c) for c in (complete.nonzero() // 4).tolist()}
    assert {tuple(c) for c in truth[4].nonzero().tolist()} == cells


def test_one_row_an_engine_and_the_network_completes_the_phantom():
    rows = benchmark_engine.benchmark_engines(1, SMALL, engines=("torch",), repeats=2)
    json.dumps(rows)
    complete, defective = benchmark_engine.phantom_shell(SMALL)
    (row,) = rows
    assert row["engine"] == "torch" and row["threads"] == 1
    assert row["active_voxels"] == defective.sum()
    # The candidates reach a hole of this size nearly everywhere, and only the truth is kept.
    assert 0.98 * complete.sum() < row["completed_voxels"] <= complete.sum()
    assert 0 < row["forward_s"] <= row["first_forward_s"]
    assert row["peak_over_start_gib"] >= 0
    table = benchmark_engine.table_of(rows)
    assert "| torch | ch1 | cpu | 1 |" in table and len(table.splitlines()) == 3


def test_a_training_step_and_the_dense_network_have_rows_too(monkeypatch):
    def here(run, folder, repeats):
        return benchmark_engine.measure(run, folder, repeats)

    monkeypatch.setattr(benchmark_engine, "_in_a_process", here)
    small = {"shape": (10, 24, 24), "engines": ("torch", "dense"), "repeats": 1}
    rows = benchmark_engine.benchmark_engines(1, modes=("train", "test"), **small)
    assert [(row["engine"], row["mode"]) for row in rows] == [
        ("torch", "train"),
        ("dense", "train"),
        ("torch", "test"),
        ("dense", "test"),
    ]
    for row in rows:
        assert row["step_s"] >= row["forward_s"] > 0 and row["network"] == "ch1"
    assert len(benchmark_engine.table_of(rows).splitlines()) == 6
    monkeypatch.setattr(benchmark_engine, "available_bytes", lambda device: 2**20)
    rows = benchmark_engine.benchmark_engines(1, **small)
    assert [row["engine"] for row in rows] == ["torch"]  # the dense one would not fit


def test_an_engine_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(benchmark_engine, "_is_installed", lambda engine: engine == "torch")
    assert benchmark_engine.missing_engines(("torch", "minkowski", "dense")) == ["minkowski"]
