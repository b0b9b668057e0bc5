"""What mends an error of the library, in the words of the panel: the widget to go to."""

from slicer.i18n import tr as _

from SkullImplantLib.errors import Remedy, SkullImplantError, with_remedy

from .translation import translated


def remediesInWords(verb: str = "design") -> dict[Remedy, str]:
    """Return how the panel words each remedy that one of its runs can need.

    Widgets are named in quotes as they are labeled.
    """
    return _ofDesigns() | (_ofOrgans() if verb == "organs" else {})


def _ofOrgans() -> dict[Remedy, str]:
    """Return what is another way where the organs of the chest are looked for."""
    noCt = _("choose a CT in HU as 'CT of the chest'")
    return {
        Remedy.INPUT_IS_NO_CT: noCt,
        Remedy.SAY_WHAT_INPUT_IS: noCt,
        Remedy.OTHER_WEIGHTS: _("install the extension again"),
        Remedy.LESS_MEMORY: _("crop it (module Crop Volume) and choose that as 'CT of the chest', or close other "
                              "programs"),
    }


def _ofDesigns() -> dict[Remedy, str]:
    return {
        Remedy.LOWER_THRESHOLD: _("choose a lower 'Bone threshold'"),
        Remedy.OTHER_THRESHOLD: _("choose another 'Bone threshold'"),
        Remedy.INPUT_IS_NO_CT: _("tick 'This is already a skull segmentation' and choose it there"),
        Remedy.INPUT_IS_NO_SKULL: _("untick 'This is already a skull segmentation'"),
        Remedy.SAY_WHAT_INPUT_IS: _("segment the skull and tick 'This is already a skull segmentation'"),
        Remedy.SAY_WHAT_REFERENCE_IS: _("choose an image under 'Earlier CT or flap' that shows one of them whole"),
        Remedy.SAY_ORIENTATION: _("turn it in the module Transforms, harden that and choose it anew as 'Head CT'"),
        Remedy.LEAVE_OUT_METAL: _("mark the metal in a segmentation and choose it under 'Leave out'"),
        Remedy.OTHER_WEIGHTS: _("choose another weight file under 'Model'"),
        Remedy.USE_PRIOR: _("choose the geometric prior under 'Model', which needs none"),
        Remedy.LESS_MEMORY: _("crop it (module Crop Volume) and choose that as 'Head CT', or close other programs"),
        Remedy.LEAVE_COARSE: _("leave the skull as it came under 'Refine coarse skull'"),
        Remedy.USE_CPU: _("choose the CPU as 'Device'"),
        Remedy.GIVE_CLEARANCE: _("set the 'Clearance' and click 'Generate implant'"),
    }


def sentenceOf(error: Exception) -> str:
    """Return one sentence for the user on an error that the library or the module raised on purpose."""
    if not isinstance(error, SkullImplantError) or error.remedy is None:
        return translated(str(error))
    return with_remedy(translated(str(error)), remediesInWords().get(error.remedy))
