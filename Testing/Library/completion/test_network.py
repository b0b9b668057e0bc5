"""The networks on their device, and on the CPU where the GPU's memory does not suffice."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from SkullImplantLib.completion import network as completion
from SkullImplantLib.completion.network import (
    GPU_TOO_SMALL,
    NetworkPlace,
    occupancy_of,
    on_device_or_cpu,
    run_network,
)
from SkullImplantLib.geometry.view import View
from SkullImplantLib.networks.autoencoder import Configuration, SparseAutoEncoder
from SkullImplantLib.networks.inputs import CHANNELS
from SkullImplantLib.networks.refiner import RefinerConfiguration, SparseRefiner
from SkullImplantLib.networks.weights import Weights

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SHAPE = (12, 12, 12)
# What PyTorch says; the rest of its sentence is about sizes.
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 3.50 GiB. GPU 0 has a total capacity of ..."


def network() -> SparseAutoEncoder:
    configuration = Configuration((2, 3), in_channels=1)
    generator = torch.Generator().manual_seed(1)
    return SparseAutoEncoder(**asdict(configuration), generator=generator).eval()


def a_view() -> View:
    """A ball's shell, of which one side is missing; the prior knows it all."""
    z, y, x = np.indices(SHAPE) - 5.5
    depth = (1.0 - np.abs(np.sqrt(z * z + y * y + x * x) - 4.0)).astype(np.float32)
    hole = np.broadcast_to(z > 2.0, SHAPE)
    skull = ((depth > 0.0) & ~hole).astype(np.float32)
    mirror = np.ascontiguousarray(skull[..., ::-1])
    deviation = np.where(hole, np.float32(0.5), np.float32(0.0))
    both = np.stack([deviation, deviation])
    nowhere = np.zeros(SHAPE, bool)
    return View(skull, mirror, depth, hole, nowhere, both, 2.0, (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(OUT_OF_MEMORY), RuntimeError("CUDA error: out of memory")]
)
def test_a_gpu_too_small_leaves_the_work_to_the_cpu(error: RuntimeError) -> None:
    """A layer of the network fails the first time, as where a GPU's memory runs out; both devices
    are the CPU here.
    """
    model, view, failures = network(), a_view(), [error]

    def fail_once(*_: object) -> None:
        if failures:
            raise failures.pop()

    for layer in model.modules():
        layer.register_forward_hook(fail_once)
    asked = []

    def run(device: torch.device) -> np.ndarray:
        asked.append(device)
        return occupancy_of(model, view, ["skull"], False, CPU)

    occupancy, device = on_device_or_cpu(run, GPU)
    assert asked == [GPU, CPU] and device == CPU and not failures
    assert np.isfinite(occupancy).all() and occupancy.max() > 0


def test_other_errors_and_the_cpus_own_are_not_tried_again() -> None:
    def broken(device: torch.device) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    def full(device: torch.device) -> None:
        raise torch.OutOfMemoryError(OUT_OF_MEMORY)

    with pytest.raises(RuntimeError, match="shapes"):
        on_device_or_cpu(broken, GPU)
    with pytest.raises(torch.OutOfMemoryError):
        on_device_or_cpu(full, CPU)


def weights() -> Weights:
    model = network()
    configuration = Configuration((2, 3), in_channels=1)
    metadata = {"spacing_mm": 2.0, "channels": ["skull"]}
    return Weights(configuration, model.state_dict(), metadata, "")


def fine_weights() -> Weights:
    configuration = RefinerConfiguration(sum(CHANNELS.values()), (4, 6))
    generator = torch.Generator().manual_seed(1)
    model = SparseRefiner(**asdict(configuration), generator=generator)
    metadata = {"spacing_mm": 2.0, "channels": list(CHANNELS)}
    return Weights(configuration, model.state_dict(), metadata, "")


def test_the_untrained_fine_stage_is_the_prior_and_a_trained_one_moves_its_surface() -> None:
    view, weights = a_view(), fine_weights()
    np.testing.assert_array_equal(run_network(view, weights).values, view.depth_mm)
    weights.state["final.bias"] += 0.75
    depth = run_network(view, weights).values
    near = view.from_hole_mm() <= 4.0
    np.testing.assert_allclose(depth[near], np.maximum(view.depth_mm[near], -4.5) + 0.75, atol=1e-6)


def test_the_device_that_ran_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run_network(a_view(), weights(), NetworkPlace("cpu"))
    assert plain.device == "cpu" and plain.notes == ()
    # A machine whose GPU is too small, seen from here: the device is chosen, and does not hold it.
    monkeypatch.setattr(completion, "choose_device", lambda name: GPU)
    run = completion.occupancy_of

    def on_a_small_gpu(network, view, channels, residual, device):
        if device.type == "cuda":
            raise torch.OutOfMemoryError(OUT_OF_MEMORY)
        return run(network, view, channels, residual, device)

    monkeypatch.setattr(completion, "occupancy_of", on_a_small_gpu)
    monkeypatch.setattr(SparseAutoEncoder, "to", lambda self, device: self)
    small = run_network(a_view(), weights(), NetworkPlace("cuda"))
    assert small.device == "cpu" and small.notes == (GPU_TOO_SMALL,)
    np.testing.assert_array_equal(small.values, plain.values)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_real_gpu_gives_the_same_and_gives_way_when_full() -> None:
    on_cpu = run_network(a_view(), weights(), NetworkPlace("cpu"))
    on_gpu = run_network(a_view(), weights(), NetworkPlace("cuda"))
    assert on_gpu.device == "cuda" and on_gpu.notes == ()
    np.testing.assert_allclose(on_gpu.values, on_cpu.values, rtol=0, atol=1e-4)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.0)
    try:
        full = run_network(a_view(), weights(), NetworkPlace("cuda"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert full.device == "cpu" and full.notes == (GPU_TOO_SMALL,)
