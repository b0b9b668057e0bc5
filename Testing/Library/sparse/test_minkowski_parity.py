"""The two engines compute the same: every operation, its gradients, and the whole network.

Skipped, but for the message that says so, where MinkowskiEngine is not installed.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from SkullImplantLib import sparse
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks.autoencoder import Decoded, SparseAutoEncoder, named_configuration

TOLERANCE = 1e-4
GRID = 40  # of the whole network's phantom
MODULE = "SkullImplantLib.sparse.minkowski"


@pytest.fixture(scope="module")
def minkowski() -> ModuleType:
    try:
        return importlib.import_module(MODULE)
    except SkullImplantError as error:
        pytest.skip(str(error))


# (what, input stride, how to make it in either engine); all take 5 channels.
OPERATIONS: list[tuple[str, int, Callable[[Any], nn.Module]]] = [
    ("k3 s1", 1, lambda e: e.Conv3d(5, 7, kernel_size=3)),
    ("k3 s1 at stride 4", 4, lambda e: e.Conv3d(5, 7, kernel_size=3)),
    ("k2 s2", 1, lambda e: e.Conv3d(5, 7, kernel_size=2, stride=2)),
    ("k2 s2 at stride 2", 2, lambda e: e.Conv3d(5, 7, kernel_size=2, stride=2)),
    ("k1", 1, lambda e: e.Conv3d(5, 7, kernel_size=1)),
    ("k1 with bias", 1, lambda e: e.Conv3d(5, 1, kernel_size=1, bias=True)),
    ("generative k2 s2", 2, lambda e: e.GenerativeConvTranspose3d(5, 7, kernel_size=2)),
    ("generative k2 s2 at stride 8", 8, lambda e: e.GenerativeConvTranspose3d(5, 7, 2)),
    ("off-centre generative k4 s2", 2, lambda e: e.GenerativeConvTranspose3d(5, 7, kernel_size=4)),
    ("off-centre generative k4 at 64", 64, lambda e: e.GenerativeConvTranspose3d(5, 7, 4)),
    ("batch norm", 1, lambda e: e.BatchNorm(5)),
    ("ReLU", 1, lambda e: e.ReLU()),
    ("ELU", 1, lambda e: e.ELU()),
    (
        "block",
        2,
        lambda e: e.Block(e.Conv3d(5, 7, kernel_size=3), e.BatchNorm(7), e.ELU()),
    ),
]


def cloud(seed: int, count: int, extent: int, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return up to `count` random sites of two batches around the origin, and 5 features each."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randint(-(extent // 3), extent, (count, 3), generator=generator)
    batch = torch.randint(0, 2, (count, 1), generator=generator)
    coordinates = torch.cat([batch, cells * stride], dim=1).int().unique(dim=0)
    return coordinates, torch.randn(len(coordinates), 5, generator=generator)


def in_order(t: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a tensor's coordinates and features with the rows in lexicographic order."""
    order = torch.arange(len(t.coordinates))
    for axis in (3, 2, 1, 0):
        order = order[t.coordinates[order, axis].sort(stable=True).indices]
    return t.coordinates[order], t.features[order]


def assert_same(ours: Any, theirs: Any) -> None:
    (our_sites, our_rows), (their_sites, their_rows) = in_order(ours), in_order(theirs)
    assert our_sites.dtype == their_sites.dtype == torch.int32
    torch.testing.assert_close(our_sites, their_sites, rtol=0, atol=0)
    torch.testing.assert_close(our_rows, their_rows, rtol=0, atol=TOLERANCE)
    assert ours.stride == theirs.stride


def assert_same_gradients(
    ours: Any, theirs: Any, our_leaves: list[torch.Tensor], their_leaves: list[torch.Tensor]
) -> None:
    """Pull the same random cotangent back through both and compare what arrives."""
    rows = in_order(ours)[1]
    cotangent = torch.randn(rows.shape, generator=torch.Generator().manual_seed(1))
    our_gradients = torch.autograd.grad(rows, our_leaves, cotangent)
    their_gradients = torch.autograd.grad(in_order(theirs)[1], their_leaves, cotangent)
    for mine, other in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(mine, other, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize(("what", "stride", "make"), OPERATIONS, ids=[o[0] for o in OPERATIONS])
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(2, 500), extent=st.integers(3, 30))
def test_an_operation_and_its_gradients_are_the_same(
    minkowski: ModuleType,
    what: str,
    stride: int,
    make: Callable[[Any], nn.Module],
    seed: int,
    count: int,
    extent: int,
) -> None:
    ours, theirs = make(sparse), make(minkowski)
    theirs.load_state_dict(ours.state_dict())
    coordinates, features = cloud(seed, count, extent, stride)
    if len(coordinates) == 1:  # no variance for a batch norm in training
        return
    x = features.clone().requires_grad_()
    y = features.clone().requires_grad_()
    a = ours(sparse.SparseTensor(coordinates, x, stride=stride))
    b = theirs(minkowski.SparseTensor(coordinates, y, stride=stride))
    assert_same(a, b)
    assert_same_gradients(a, b, [x, *ours.parameters()], [y, *theirs.parameters()])
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("engine_name", ["SkullImplantLib.sparse", MODULE])
def test_the_first_spatial_coordinate_is_fastest_in_every_kernel(
    engine_name: str, minkowski: ModuleType
) -> None:
    engine = importlib.import_module(engine_name)

    def result(module: nn.Module, coordinates: torch.Tensor, stride: int) -> dict[Any, float]:
        """Sum of kernel rows 1, 2, 3... at each site that the first site of the input reaches."""
        with torch.no_grad():
            size = len(module.kernel)
            module.kernel.copy_(torch.arange(1.0, size + 1).view(size, 1, 1))
            features = torch.zeros(len(coordinates), 1)
            features[0] = 1
            t = module(engine.SparseTensor(coordinates, features, stride=stride))
        rows = zip(t.coordinates[:, 1:].tolist(), t.features[:, 0].tolist(), strict=True)
        return {tuple(site): value for site, value in rows if value}

    span = torch.arange(-1, 2)
    box = torch.cartesian_prod(torch.zeros(1).long(), span, span, span).int()
    centre_first = torch.cat([box[13:14], box[:13], box[14:]])
    found = result(engine.Conv3d(1, 1, kernel_size=3), centre_first, 1)
    # The site at q sees the centre at offset d = -q.
    assert found == {
        (z, y, x): 1 + (1 - z) + 3 * (1 - y) + 9 * (1 - x)
        for z in (-1, 0, 1)
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
    }
    for z, y, x in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)]:
        site = torch.tensor([[0, 4 + z, 6 + y, 8 + x]]).int()
        found = result(engine.Conv3d(1, 1, kernel_size=2, stride=2), site, 1)
        assert found == {(4, 6, 8): 1 + z + 2 * y + 4 * x}
    for size in (2, 4):
        site = torch.tensor([[0, 4, 8, 12]]).int()
        found = result(engine.GenerativeConvTranspose3d(1, 1, kernel_size=size), site, 2)
        assert found == {
            (4 + z, 8 + y, 12 + x): 1 + z + size * y + size**2 * x
            for z in range(size)
            for y in range(size)
            for x in range(size)
        }


def test_pruning_is_the_same(minkowski: ModuleType) -> None:
    coordinates, features = cloud(seed=3, count=400, extent=12, stride=2)
    x, y = features.clone().requires_grad_(), features.clone().requires_grad_()
    a = sparse.SparseTensor(coordinates, x, stride=2)
    b = minkowski.SparseTensor(coordinates, y, stride=2)
    a = sparse.prune(a, a.features[:, 0] > 0.3)
    b = minkowski.prune(b, b.features[:, 0] > 0.3)
    assert 0 < len(a.coordinates) < len(coordinates)
    assert_same(a, b)
    assert_same_gradients(a, b, [x], [y])
    convolution = sparse.Conv3d(5, 3, kernel_size=3)
    other = minkowski.Conv3d(5, 3, kernel_size=3)
    other.load_state_dict(convolution.state_dict())
    assert_same(convolution(a), other(b))


@pytest.mark.parametrize("shift", [0, 1, 100], ids=["same sites", "overlapping", "disjoint"])
def test_addition_on_the_union_is_the_same(minkowski: ModuleType, shift: int) -> None:
    first, first_features = cloud(seed=4, count=300, extent=10, stride=4)
    second, second_features = cloud(seed=4 if shift == 0 else 5, count=200, extent=10, stride=4)
    if shift == 0:
        second, second_features = first, first_features.flip(0)
    second = second + 4 * torch.tensor([0, shift, 0, 0]).int()
    ours = [first_features.clone().requires_grad_(), second_features.clone().requires_grad_()]
    theirs = [first_features.clone().requires_grad_(), second_features.clone().requires_grad_()]
    a = sparse.add(
        sparse.SparseTensor(first, ours[0], stride=4),
        sparse.SparseTensor(second, ours[1], stride=4),
    )
    b = minkowski.add(
        minkowski.SparseTensor(first, theirs[0], stride=4),
        minkowski.SparseTensor(second, theirs[1], stride=4),
    )
    assert_same(a, b)
    assert_same_gradients(a, b, ours, theirs)


def test_tensors_of_different_strides_are_not_added(minkowski: ModuleType) -> None:
    coordinates, features = cloud(seed=6, count=20, extent=4, stride=4)
    a = minkowski.SparseTensor(coordinates, features, stride=4)
    with pytest.raises(ValueError, match="stride 4 and 2"):
        minkowski.add(a, minkowski.SparseTensor(coordinates, features, stride=2))


def shell(size: int) -> torch.Tensor:
    """Return the sites of a spherical shell with a hole, int32 [N, 4], in a grid of `size`^3."""
    axis = torch.arange(size) - (size - 1) / 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    radius = (z**2 + y**2 + x**2).sqrt()
    bone = (radius > 0.36 * size) & (radius < 0.44 * size)
    bone &= (z - 0.4 * size) ** 2 + y**2 + (x - 2) ** 2 > (0.2 * size) ** 2
    return nn.functional.pad(bone.nonzero(), (1, 0)).int()


def twins(minkowski: ModuleType, skip: str) -> tuple[SparseAutoEncoder, SparseAutoEncoder]:
    """Return ch1 in both engines with the same random weights, in float64, for evaluation.

    The weights give values of the order of one, and the classifiers are centred, so that every
    level keeps about half of its candidates and none of them is close to the border.
    """
    generator = torch.Generator().manual_seed(11)
    configuration = vars(named_configuration("ch1", skip=skip, activation="elu"))
    ours = SparseAutoEncoder(**configuration, engine=sparse).double().eval()
    for name, value in ours.state_dict().items():
        if name.endswith(".kernel"):
            value.normal_(0, (2 / value[..., 0].numel()) ** 0.5, generator=generator)
            if ".up." in name:  # an eighth of a transposed kernel meets in each child
                value *= 8**0.5
        elif name.endswith(("running_mean", "running_var")):
            value += 0.2 * torch.rand(value.shape, generator=generator, dtype=value.dtype)
    hooks = [level["classify"].register_forward_hook(centre) for level in ours.decoder]
    complete(ours, sparse)
    for hook in hooks:
        hook.remove()
    theirs = SparseAutoEncoder(**configuration, engine=minkowski).double().eval()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def centre(classifier: nn.Module, inputs: Any, result: Any) -> Any:
    """Move the bias into the widest gap of the logits, with about half of them above it."""
    logits = result.features.flatten().sort().values
    middle = logits[len(logits) * 2 // 5 : len(logits) * 3 // 5 + 1]
    gap = int(middle.diff().argmax())
    with torch.no_grad():
        classifier.bias -= (middle[gap] + middle[gap + 1]) / 2
    return classifier.forward(*inputs)


def complete(network: SparseAutoEncoder, engine: ModuleType) -> Decoded:
    coordinates = shell(GRID)
    ones = torch.ones(len(coordinates), 1, dtype=network.final.kernel.dtype)
    with torch.no_grad():
        return network(engine.SparseTensor(coordinates, ones), bounds=(GRID,) * 3)


class Rows:
    """A level's candidates as something `in_order` sorts."""

    def __init__(self, coordinates: torch.Tensor, features: torch.Tensor) -> None:
        self.coordinates, self.features = coordinates, features.reshape(len(coordinates), -1)


def assert_same_completion(ours: Decoded, theirs: Decoded, tolerance: float) -> None:
    pairs = [
        (Rows(a.coordinates, a.logits), Rows(b.coordinates, b.logits))
        for a, b in zip(ours.levels, theirs.levels, strict=True)
    ]
    pairs.append((Rows(ours.coordinates, ours.features), Rows(theirs.coordinates, theirs.features)))
    for mine, other in pairs:
        (our_sites, our_rows), (their_sites, their_rows) = in_order(mine), in_order(other)
        torch.testing.assert_close(our_sites, their_sites, rtol=0, atol=0)
        torch.testing.assert_close(our_rows, their_rows, rtol=0, atol=tolerance)


@pytest.mark.parametrize("skip", ["none", "add"])
def test_the_whole_network_is_the_same(minkowski: ModuleType, skip: str) -> None:
    networks = twins(minkowski, skip)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, TOLERANCE)):
        ours, theirs = (
            complete(network.to(dtype), engine)
            for network, engine in zip(networks, (sparse, minkowski), strict=True)
        )
        assert len(ours.coordinates) > 300
        # A logit within rounding of zero could be pruned by one engine and kept by the other.
        assert min(float(level.logits.abs().min()) for level in ours.levels) > tolerance
        assert_same_completion(ours, theirs, tolerance)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MinkowskiEngine", None)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    with pytest.raises(SkullImplantError, match="not installed; run `make minkowski`"):
        importlib.import_module(MODULE)
