"""PyTorch for the network models: only through Slicer's PyTorch extension, only with consent.

The automatic model needs none, and uses it where it is there. Looking never imports torch, which takes seconds and
locks its files.
"""

import importlib.metadata
import importlib.util

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.models import TORCH_MINIMUM, is_torch_new_enough

# What needs it.
MODEL, REFINE, ORGANS = "model", "refine", "organs"


def torchProblem() -> str | None:
    """Return what is wrong with the installed PyTorch, in one sentence, or None."""
    version = torchVersion()
    if version is None:
        return _("PyTorch is not installed.")
    if not is_torch_new_enough(version):
        return _("PyTorch {version} is too old; {minimum} or newer is needed.").format(
            version=version, minimum=TORCH_MINIMUM)
    return None


def torchVersion() -> str | None:
    """Return the version of the installed PyTorch, or None."""
    importlib.invalidate_caches()
    if importlib.util.find_spec("torch") is None:
        return None
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def ensureTorch(purpose: str = MODEL) -> str | None:
    """Install PyTorch if it is missing and the user consents; return what still is in the way, or None.

    :param purpose: what needs it: the model, refining the skull, or finding organs.
    Nothing is downloaded where a usable PyTorch is there, so that a computer without network works.
    """
    problem = torchProblem()
    if problem is None:
        return None
    if torchVersion() is not None:
        return problem + " " + _("Uninstall it in the module PyTorch Utils, restart Slicer and click again.")
    asking, instead = {
        MODEL: (_("This model"), _("choose the model 'prior', which needs none")),
        REFINE: (_("Refining the skull"), _("leave the skull as it came under 'Refine coarse skull'")),
        ORGANS: (_("Finding organs"), _("find the organs on a computer that has it")),
    }[purpose]
    try:
        import PyTorchUtils
    except ImportError:
        return problem + " " + _("Install the PyTorch extension with the Extensions Manager and restart Slicer, "
                                 "or {instead}.").format(instead=instead)
    question = _("{asking} needs PyTorch, which is not installed yet. It will now be downloaded and installed "
                 "(up to 3 GB); that can take several minutes. Nothing of the patient leaves this computer.").format(
                     asking=asking)
    if not slicer.util.confirmOkCancelDisplay(question, _("Install PyTorch?")):
        return _("PyTorch was not installed; {instead}, or agree to installing it.").format(instead=instead)
    try:
        PyTorchUtils.PyTorchUtilsLogic().installTorch(
            askConfirmation=False, torchVersionRequirement=f">={TORCH_MINIMUM}")
    except Exception as error:  # pip, network and disk fail in their own ways
        return _("PyTorch could not be installed ({reason}); check the network and the module PyTorch Utils, "
                 "or {instead}.").format(reason=_oneLine(error), instead=instead)
    return torchProblem()


def _oneLine(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
