"""What completes the skull: the models by name, and what each needs to run. Nothing heavy here."""

import re
from importlib.util import find_spec

from .core import resources
from .errors import OutOfMemory, Remedy, SkullImplantError, lacks_memory

# The completion by geometry alone: no weights, no torch.
PRIOR = "prior"
# The classic to compare with: the other side of the head, turned over. It fails across the midline.
MIRROR = "mirror"
# The shipped network, which corrects the prior. Since the other side is brought onto the bone
# around the hole it gains nothing any more (docs/reference/accuracy.md), and is there to be chosen.
NETWORK = "fine"
# What runs unless another model is asked for: the best on skulls that nobody had seen, the prior.
AUTO = "auto"
DEFAULT_MODEL = AUTO
# Older ones lack what the networks use.
TORCH_MINIMUM = "2.6"
# In the resources, but no models of a design: the statistics of the prior, what refines masks, and
# the two networks that find organs.
POPULATION, SUPERRES = "population", "superres"
ORGANS_COARSE, ORGANS_FINE = "organs-coarse", "organs-fine"
BESIDE = (POPULATION, SUPERRES, ORGANS_COARSE, ORGANS_FINE)


def shipped_models() -> tuple[str, ...]:
    """Return the names of the networks that came with the program, in order."""
    files = resources.RESOURCES.glob("*.npz.sha256")
    checked = (path.name.removesuffix(".npz.sha256") for path in files)
    return tuple(sorted(name for name in checked if name not in BESIDE))


def model_needs_torch(name: str) -> bool:
    """Say whether a model, by name or as a weight file, does not run without PyTorch."""
    return chosen_model(name) not in (PRIOR, MIRROR)


def uses_torch(name: str) -> bool:
    """Say whether a model, by name or as a weight file, runs on PyTorch on this machine."""
    return model_needs_torch(name) and torch_version() is not None


def chosen_model(name: str) -> str:
    """Return the model that `auto` stands for; any other name as it is."""
    return PRIOR if name == AUTO else name


def torch_version() -> str | None:
    """Return the version of the PyTorch that can be imported, None where there is none.

    Raises `OutOfMemory` where it does not load for want of memory.
    """
    try:
        import torch
    except (ImportError, OSError, MemoryError) as error:  # not there, or it does not load
        if lacks_memory(error):
            raise OutOfMemory(
                "Not enough memory to load PyTorch; close other programs, or use the model 'prior'."
            ) from error
        return None
    return str(torch.__version__)


def is_torch_there() -> bool:
    """Say whether PyTorch is installed, whole or not."""
    try:
        return find_spec("torch") is not None
    except (ImportError, ValueError):
        return False


def is_torch_new_enough(version: str) -> bool:
    """Say whether a version of PyTorch, such as `2.13.0+cpu`, is at least `TORCH_MINIMUM`."""
    return _numbers(version) >= _numbers(TORCH_MINIMUM)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:2]]


def require_torch(asking: str, remedy: Remedy | None = Remedy.USE_PRIOR) -> None:
    """Raise `SkullImplantError` where PyTorch, new enough, is not there.

    asking: what needs it, the beginning of the sentence. remedy: what else would do, for a model
    the prior.
    """
    version = torch_version()
    if version is None and is_torch_there():
        raise SkullImplantError(
            f"{asking} needs PyTorch, which is installed and cannot be loaded; install it again.",
            remedy,
        )
    if version is None:
        raise SkullImplantError(
            f"{asking} needs PyTorch, which is not installed; install it.", remedy
        )
    if not is_torch_new_enough(version):
        raise SkullImplantError(
            f"{asking} needs PyTorch {TORCH_MINIMUM} or newer, and {version} is installed; "
            "update it.",
            remedy,
        )
