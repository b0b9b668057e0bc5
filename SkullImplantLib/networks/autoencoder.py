"""The papers' sparse auto-encoder: a defective skull in, the completed skull out, coarse to fine.

Kroviakov, Li, Egger, "Sparse convolutional neural network for skull reconstruction" (AutoImplant
2021), and Li et al., "Sparse convolutional neural networks for medical image analysis" (2023); the
architecture is the completion example of MinkowskiEngine. The encoder halves the resolution at each
level. The decoder doubles it: every site makes its eight children, a classifier says which of them
belong to the completed skull, and the others are pruned away before the next level.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal

import torch
from torch import nn

from .. import sparse
from ..errors import SkullImplantError
from ..sparse import Sites, sharing
from ..sparse.pointwise import sigmoid
from ..sparse.recomputation import recomputed
from .slabs import LARGE_SITES, finest_level, first_halving

DEEPEST_KERNEL = 4  # published: the first decoder level reaches 0..3, so that a hole can be bridged
OTHER_KERNEL = 2
# No network here comes near: the published have 7 resolutions and at most 388 channels.
MOST_LEVELS, MOST_CHANNELS = 12, 4096


def checked_channels(channels: Sequence[int], in_channels: int) -> tuple[int, ...]:
    """Return channel counts, finest first; raises `SkullImplantError` where they are none."""
    counts = tuple(int(c) for c in channels)
    if len(counts) < 2 or min(counts) < 1 or in_channels < 1:
        raise SkullImplantError(
            f"A network needs at least two positive channel counts, not {counts} with"
            f" {in_channels} input channels; correct the configuration."
        )
    if len(counts) > MOST_LEVELS or max(*counts, in_channels) > MOST_CHANNELS:
        raise SkullImplantError(
            f"A network has at most {MOST_LEVELS} resolutions of {MOST_CHANNELS} channels each; "
            "correct the configuration."
        )
    return counts


@dataclass(frozen=True)
class Configuration:
    """What it takes to build a `SparseAutoEncoder`: its keyword arguments.

    `channels` has one entry a resolution, from the finest (stride 1) to the deepest; the papers'
    networks have seven, that is six levels. `keep_from`: the least probability at which a candidate
    of a coarser level is kept in use; the papers' is 0.5. What one level prunes no finer one brings
    back, so that a hole whose cells are each a little unlikely stays open; a lower value leaves the
    decision to the finest level, where it is 0.5 always.
    """

    channels: tuple[int, ...]
    in_channels: int = 1
    activation: Literal["relu", "elu"] = "relu"
    skip: Literal["none", "add"] = "none"
    keep_from: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", checked_channels(self.channels, self.in_channels))
        if self.activation not in ("relu", "elu") or self.skip not in ("none", "add"):
            raise SkullImplantError(
                f"Activation '{self.activation}' with skip '{self.skip}' is not known; use relu or"
                " elu, and none or add."
            )
        if not 0.0 < self.keep_from <= 0.5:
            raise SkullImplantError(
                f"Candidates cannot be kept from a probability of {self.keep_from:g} on; give one "
                "above 0, and at most 0.5."
            )

    @property
    def levels(self) -> int:
        """Number of halvings of the resolution."""
        return len(self.channels) - 1


# The channel lists of the published networks.
NAMED_CHANNELS: dict[str, tuple[int, ...]] = {
    "ch1": (8, 8, 16, 16, 32, 32, 64),  # 434,695 parameters
    "ch2": (22, 32, 32, 128, 156, 256, 388),  # 18,137,201 parameters
}


def named_configuration(name: str, **changes: Any) -> Configuration:
    """Return the published configuration `ch1` or `ch2`, with `changes` to its other fields."""
    if name not in NAMED_CHANNELS:
        known = ", ".join(NAMED_CHANNELS)
        raise SkullImplantError(f"There is no network '{name}'; use one of {known}.")
    return Configuration(channels=NAMED_CHANNELS[name], **changes)


@dataclass
class Level:
    """The decoder's candidates at one resolution, before pruning.

    `coordinates` int32 [M, 4] (batch, z, y, x), multiples of `stride`; `logits` [M], positive where
    the network sees bone; `target` bool [M], whether the candidate is in the target (None where no
    target was given).
    """

    stride: int
    coordinates: torch.Tensor
    logits: torch.Tensor
    target: torch.Tensor | None = None


@dataclass
class Decoded:
    """What the network makes of one batch: `levels` from the coarsest to stride 1, and the output.

    `coordinates` int32 [M, 4] and `features` [M, 1] (0 to 1, the final layer) are the sites kept
    at stride 1; None where the caller did not ask for the reconstruction.
    """

    levels: list[Level] = field(default_factory=list)
    coordinates: torch.Tensor | None = None
    features: torch.Tensor | None = None


class SparseAutoEncoder(nn.Module):
    """The sparse auto-encoder, built from the modules of `engine` (see `SkullImplantLib.sparse`).

    State dict names: `encoder.0` is the first convolution's block; `encoder.L.0` and `.1` are the
    blocks of level L (L = 1..levels); `decoder.L` has `up`, `refine` and `classify`, L counting
    from the deepest (0); `final` is the 1x1x1 layer of the output.

    How it trains: with `recompute`, a level is worked out again in the backward pass instead of
    being kept (our own engine alone). `surplus` is the most candidates outside the target that a
    level passes on, as a multiple of those inside; an untrained network sees bone everywhere.
    """

    recompute: bool = False
    surplus: float = math.inf

    def __init__(
        self,
        channels: Sequence[int],
        in_channels: int = 1,
        activation: Literal["relu", "elu"] = "relu",
        skip: Literal["none", "add"] = "none",
        keep_from: float = 0.5,
        engine: ModuleType = sparse,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build the network; `generator` makes its random initial weights reproducible."""
        super().__init__()
        self.configuration = Configuration(
            tuple(channels), in_channels, activation, skip, keep_from
        )
        self.engine = engine
        # As `keep_from`, while training, where the target is kept too.
        self.kept_in_training = 0.5
        c = self.configuration.channels
        levels = self.configuration.levels

        def block(convolution: nn.Module, width: int) -> nn.Module:
            act = engine.ReLU() if activation == "relu" else engine.ELU()
            made: nn.Module = engine.Block(convolution, engine.BatchNorm(width), act)
            return made

        def refine(width: int) -> nn.Module:
            return block(engine.Conv3d(width, width, kernel_size=3), width)

        self.encoder = nn.ModuleList([block(engine.Conv3d(in_channels, c[0], 3), c[0])])
        for fine, coarse in itertools.pairwise(c):
            down = block(engine.Conv3d(fine, coarse, kernel_size=2, stride=2), coarse)
            self.encoder.append(nn.Sequential(down, refine(coarse)))

        self.decoder = nn.ModuleList()
        for level in range(levels):
            coarse, fine = c[levels - level], c[levels - level - 1]
            kernel_size = DEEPEST_KERNEL if level == 0 else OTHER_KERNEL
            up = engine.GenerativeConvTranspose3d(coarse, fine, kernel_size, stride=2)
            self.decoder.append(
                nn.ModuleDict(
                    {
                        "up": block(up, fine),
                        "refine": refine(fine),
                        "classify": engine.Conv3d(fine, 1, kernel_size=1, bias=True),
                    }
                )
            )
        self.final = engine.Conv3d(c[0], 1, kernel_size=1, bias=True)
        self.initialise(generator)

    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw the convolutions' weights uniformly in +-1/sqrt(fan), as MinkowskiEngine does.

        The fan is the number of values that a convolution sums: input channels times kernel
        volume (output channels for a transposed convolution, which scatters).
        """
        for name, parameter in self.named_parameters():
            if name.endswith(".kernel"):
                shape = parameter.shape if parameter.dim() == 3 else (1, *parameter.shape)
                transposed = ".up." in name
                bound = (shape[0] * shape[2 if transposed else 1]) ** -0.5
            elif not name.endswith(".bias") or ".bn." in name:
                continue  # batch normalisation starts at one and zero
            with torch.no_grad():  # a bias follows its kernel and shares its bound
                parameter.uniform_(-bound, bound, generator=generator)

    def forward(
        self,
        x: Any,
        target: Sites | None = None,
        bounds: tuple[int, int, int] | None = None,
        reconstruct: bool = True,
        only_sites: bool = False,
    ) -> Decoded:
        """Complete the skull `x`.

        Args:
            x: the engine's tensor at stride 1; the papers feed one channel of ones.
            target: the sites of the true completed skull at stride 1. While training, a candidate
                in the target is kept whatever its logit, except at stride 1 (the papers' rule).
            bounds: shape (z, y, x) of the grid; candidates outside are dropped at every level (the
                off-centre kernel overshoots). None keeps them, as the published code does.
            reconstruct: False leaves out the final pruning and layer, for those who need only
                `levels`; `levels[-1]` holds the logits of all candidates at stride 1.
            only_sites: candidates are the sites of `x`, all of them, and whatever holds them at
                coarser levels. For who knows already where the surface may be.

        Where nothing survives the pruning of a level, the finer levels are empty and so is the
        output. An empty `x` gives empty levels throughout. Where processes share a batch
        (`sparse.sharing`), a level of theirs is worked out also by who has nothing of it.
        """
        levels = self.configuration.levels
        targets = [None] * levels if target is None else target.pyramid(levels)
        reach = Sites(x.coordinates, stride=1).pyramid(levels) if only_sites else [None] * levels
        nothing = x.features[:0].sum(1)  # no logits, of the right kind and place
        completion = Decoded()
        whole = x if self._needs_slabs(x) else None
        x, skips = self._encode(x)
        for index, decode in enumerate(self.decoder):
            logits = nothing
            if _is_there(x) and whole is not None and index == levels - 1:
                x = self._at(reach[index], self._finest_in_slabs(decode, x, whole, bounds))
                logits = x.features[:, 0]
            elif _is_there(x):
                # The finest level is the first in the backward pass, so it may as well be kept.
                again = self.recompute and index < levels - 1
                x = self._worked_out([decode["up"], decode["refine"]], x, again)  # type: ignore[index]
                x = self._at(reach[index], self._joined(x, skips.pop(), bounds))
                if _is_there(x):
                    logits = decode["classify"](x).features.squeeze(1)  # type: ignore[index]
            level = Level(2 ** (levels - 1 - index), x.coordinates, logits)
            level_target = targets[index]
            if level_target is not None:
                level.target = level_target.contains(level.coordinates)
                level_target.forget()
            completion.levels.append(level)
            if reconstruct or (level.stride > 1 and not only_sites):
                x = _pruned(self.engine, x, self.keeps(level))
        if reconstruct:
            completion.coordinates = x.coordinates
            features = nothing[:, None]
            if len(x.coordinates):
                features = self.final(x).features if whole is None else x.features[:, 1:]
            completion.features = sigmoid(features)
        return completion

    def keeps(self, level: Level) -> torch.Tensor:
        """Return which candidates of `level` survive its pruning, bool [M]."""
        logits = level.logits.detach()
        if level.stride == 1:
            return logits > 0
        if not self.training:
            return logits > _logit(self.configuration.keep_from)
        if level.target is None:
            return logits > 0
        others = (logits > _logit(self.kept_in_training)) & ~level.target
        inside, outside = (
            sharing.total_count(int(some.sum()), logits.device) for some in (level.target, others)
        )
        most = self.surplus * inside
        if outside > most:
            others = _surest(logits, others, int(most))
        return level.target | others

    def _encode(self, x: Any) -> tuple[Any, list[Any]]:
        """Return the deepest tensor, and those to add to each decoder level, deepest last."""
        adds = self.configuration.skip == "add"
        skips: list[Any] = []
        if not _is_there(x):
            return x, skips
        first, *others = list(self.encoder)
        if self._needs_slabs(x):
            skips.append(None)  # worked out again where it is added
            halving = list(others.pop(0).children())
            x = halving[1](first_halving(first, halving[0], x))
        else:
            x = self._worked_out([first], x, self.recompute)
        for encode in others:
            skips.append(x if adds else None)
            x = self._worked_out([encode], x, self.recompute)
        return x, skips

    def _needs_slabs(self, x: Any) -> bool:
        """Return whether the finest level is worked out slab by slab: a large head, in use."""
        if self.training or torch.is_grad_enabled() or self.engine is not sparse:
            return False
        large = len(x.coordinates) > LARGE_SITES and self.configuration.levels > 1
        return large and bool(x.coordinates[0, 0] == x.coordinates[-1, 0])  # a batch of one

    def _finest_in_slabs(
        self, decode: Any, x: Any, whole: Any, bounds: tuple[int, int, int] | None
    ) -> Any:
        """Return the finest level's candidates with two features: logit, and final layer's."""
        skip = (self.encoder[0], whole) if self.configuration.skip == "add" else None
        heads = (decode["classify"], self.final)
        return finest_level(decode["up"], decode["refine"], heads, x, skip, bounds)

    def _worked_out(self, blocks: list[nn.Module], x: Any, again: bool) -> Any:
        """Return what the blocks make of `x`, to be made `again` in the backward pass or kept."""
        part = nn.Sequential(*blocks)
        if again and self.training and torch.is_grad_enabled():
            return recomputed(part, x, part.parameters())
        return part(x)

    def _at(self, sites: Sites | None, x: Any) -> Any:
        """Return `x` at these sites alone, or as it is."""
        if sites is None or not _is_there(x):
            return x
        return _pruned(self.engine, x, sites.contains(x.coordinates))

    def _joined(self, x: Any, skip: Any | None, bounds: tuple[int, int, int] | None) -> Any:
        """Return `x` with the encoder's tensor added, and without the sites outside the grid."""
        if skip is not None:
            x = self.engine.add(x, skip)
        if bounds is None:
            return x
        coordinates = x.coordinates[:, 1:]
        if not len(coordinates):
            return x
        limits = torch.tensor(bounds, dtype=torch.int32, device=coordinates.device)
        low, high = torch.aminmax(coordinates, dim=0)
        if bool(((low >= 0) & (high < limits)).all()):
            return x
        inside = ((coordinates >= 0) & (coordinates < limits)).all(1)
        return _pruned(self.engine, x, inside)


def _surest(logits: torch.Tensor, candidates: torch.Tensor, count: int) -> torch.Tensor:
    """Return the `count` candidates (bool [M]) with the highest logits; of equals, the first."""
    surest = torch.zeros_like(candidates)
    surest[candidates] = sharing.surest_of_all(logits[candidates], count)
    return surest


class _Nothing:
    """Stands for a tensor without sites, which not every engine can represent."""

    def __init__(self, coordinates: torch.Tensor) -> None:
        self.coordinates = coordinates[:0]


def _is_there(x: Any) -> bool:
    """Return whether a tensor is to be worked on: it has sites, or who shares the batch may."""
    return len(x.coordinates) > 0 or sharing.current() is not None


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def _pruned(engine: ModuleType, x: Any, keep: torch.Tensor) -> Any:
    """Return the rows of `x` where `keep` is true, or nothing."""
    if not bool(keep.any()) and sharing.current() is None:
        return _Nothing(x.coordinates)
    return engine.prune(x, keep)
