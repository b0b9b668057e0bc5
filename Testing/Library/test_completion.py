"""The network on its device, and on the CPU where the GPU's memory does not suffice."""

from dataclasses import asdict

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SkullImplantLib import completion
from SkullImplantLib.completion import (
    GPU_TOO_SMALL,
    CompletionOptions,
    complete_skull,
    on_device_or_cpu,
    run_network,
)
from SkullImplantLib.images import array_of
from SkullImplantLib.networks.autoencoder import Configuration, SparseAutoEncoder
from SkullImplantLib.networks.weights import Weights

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SHAPE = (12, 12, 12)
# What PyTorch says; the rest of its sentence is about sizes.
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 3.50 GiB. GPU 0 has a total capacity of ..."


def network() -> SparseAutoEncoder:
    configuration = Configuration((2, 3), in_channels=1)
    generator = torch.Generator().manual_seed(1)
    return SparseAutoEncoder(**asdict(configuration), generator=generator).eval()


def a_shell() -> tuple[np.ndarray, np.ndarray]:
    z, y, x = np.indices(SHAPE) - 5.5
    places = np.argwhere(np.abs(np.sqrt(z * z + y * y + x * x) - 4.0) < 1.0).astype(np.int32)
    return np.insert(places, 0, 0, axis=1), np.ones((len(places), 1), np.float32)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(OUT_OF_MEMORY), RuntimeError("CUDA error: out of memory")]
)
def test_a_gpu_too_small_leaves_the_work_to_the_cpu(error: RuntimeError) -> None:
    """A layer of the network fails the first time, as where a GPU's memory runs out; both devices
    are the CPU here.
    """
    model, coordinates_features, failures = network(), a_shell(), [error]

    def fail_once(*_: object) -> None:
        if failures:
            raise failures.pop()

    for layer in model.modules():
        layer.register_forward_hook(fail_once)
    asked = []

    def run(device: torch.device) -> np.ndarray:
        asked.append(device)
        return run_network(model, *coordinates_features, SHAPE, CPU)

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


def images() -> tuple[sitk.Image, sitk.Image]:
    coordinates, _ = a_shell()
    skull = np.zeros(SHAPE, np.float32)
    skull[tuple(coordinates[:, 1:].T)] = 1.0
    nowhere = np.full(SHAPE, -8.0, np.float32)
    return sitk.GetImageFromArray(skull), sitk.GetImageFromArray(nowhere)


def test_the_device_that_ran_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = complete_skull(*images(), weights(), CompletionOptions("cpu"))
    assert plain.device == "cpu" and plain.notes == ()
    # A machine whose GPU is too small, seen from here: the device is chosen, and does not hold it.
    monkeypatch.setattr(completion, "choose_device", lambda name: GPU)
    run = completion.run_network

    def on_a_small_gpu(network, coordinates, features, shape, device, belief):
        if device.type == "cuda":
            raise torch.OutOfMemoryError(OUT_OF_MEMORY)
        return run(network, coordinates, features, shape, device, belief)

    monkeypatch.setattr(completion, "run_network", on_a_small_gpu)
    monkeypatch.setattr(SparseAutoEncoder, "to", lambda self, device: self)
    small = complete_skull(*images(), weights(), CompletionOptions("cuda"))
    assert small.device == "cpu" and small.notes == (GPU_TOO_SMALL,)
    np.testing.assert_array_equal(array_of(small.occupancy), array_of(plain.occupancy))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_real_gpu_gives_the_same_and_gives_way_when_full() -> None:
    on_cpu = complete_skull(*images(), weights(), CompletionOptions("cpu"))
    on_gpu = complete_skull(*images(), weights(), CompletionOptions("cuda"))
    assert on_gpu.device == "cuda" and on_gpu.notes == ()
    np.testing.assert_allclose(
        array_of(on_gpu.occupancy), array_of(on_cpu.occupancy), rtol=0, atol=1e-4
    )
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.0)
    try:
        full = complete_skull(*images(), weights(), CompletionOptions("cuda"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert full.device == "cpu" and full.notes == (GPU_TOO_SMALL,)
