"""Processes that share a batch: sums, gradients and statistics are those of one that has it all."""

from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from SkullImplantLib.networks.autoencoder import SparseAutoEncoder
from SkullImplantLib.sparse import Sites, SparseTensor, sharing
from SkullImplantLib.training.losses import autoencoder_loss

SHAPE = (16, 16, 16)


def sample(number: int) -> torch.Tensor:
    """A shell of bone, the more of it the higher the number; 3 has none."""
    at = torch.stack(torch.meshgrid(*[torch.arange(16.0) - 7.5] * 3, indexing="ij"))
    radius = at.square().sum(0).sqrt()
    return ((radius - 2.5 * number).abs() < 1.2) & (number < 3)


def gradients(numbers: list[int], scale: int = 1) -> dict[str, torch.Tensor]:
    """The loss, its gradients, and the statistics learnt, of a batch of samples."""
    generator = torch.Generator().manual_seed(1)
    network = SparseAutoEncoder((4, 6, 8), skip="add", generator=generator)
    network.surplus = 0.3
    whole = torch.stack([sample(n) for n in numbers])
    seen = whole.clone()
    seen[:, :7] = False
    coordinates = seen.nonzero().int()
    x = SparseTensor(coordinates, torch.ones(len(coordinates), 1))
    decoded = network(x, target=Sites(whole.nonzero().int(), 1), bounds=SHAPE, reconstruct=False)
    loss = autoencoder_loss(decoded, whole.float(), whole & ~seen, 2.0)
    (loss * scale).backward()
    found = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    found |= dict(network.named_buffers())
    return found | {"loss": loss.detach()}


def one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    with sharing.shared_batch(distributed.group.WORLD):
        parts = {
            "uneven": gradients([[0, 1], [2]][rank]),
            "empty": gradients([[3], [2]][rank]),
        }
        surest = sharing.surest_of_all(torch.tensor([[1.0, 5.0], [5.0, 3.0, 2.0]][rank]), 3)
        mean = sharing.mean_of_all(torch.tensor([[1.0, 2.0], [6.0]][rank]))
        nothing = sharing.mean_of_all(torch.zeros(0))
        with sharing.shared_batch(None):
            assert float(sharing.mean_of_all(torch.tensor([float(rank)]))) == rank
    torch.save([parts, surest, mean, nothing], f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[list]:
    folder = str(tmp_path_factory.mktemp("shared"))
    multiprocessing.spawn(one_of_two, (folder,), nprocs=2)
    return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize(("which", "batch"), [("uneven", [0, 1, 2]), ("empty", [3, 2])])
def test_gradients_summed_over_processes_are_those_of_one(
    both: list[list], which: str, batch: list[int]
) -> None:
    whole = gradients(batch)
    one, two = (parts[0][which] for parts in both)
    assert whole.keys() == one.keys() == two.keys()
    torch.testing.assert_close(one["loss"], whole["loss"], rtol=1e-5, atol=0)
    for name, value in whole.items():
        if "running" in name or "tracked" in name or name == "loss":
            torch.testing.assert_close(one[name], value, rtol=1e-5, atol=1e-6)
            assert torch.equal(one[name], two[name]), name  # on all processes to the bit
        else:
            summed = one[name] + two[name]
            scale = float(value.abs().max())
            torch.testing.assert_close(summed, value, rtol=1e-3, atol=1e-5 * scale + 1e-7)


@pytest.mark.slow
def test_means_and_the_surest_are_of_all_values(both: list[list]) -> None:
    (_, first, mean, nothing), (_, second, again, _) = both
    assert float(mean) == float(again) == 3.0 and float(nothing) == 0.0
    assert first.tolist() == [False, True] and second.tolist() == [True, True, False]


def test_alone_it_is_what_torch_does() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert sharing.current() is None
    assert torch.equal(sharing.mean_of_all(values), values.mean())
    assert torch.equal(sharing.sum_of_all(values), values.sum())
    assert sharing.total_count(7, values.device) == 7
    assert sharing.surest_of_all(values, 10).sum() == 10
