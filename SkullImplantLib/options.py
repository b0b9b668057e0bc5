"""What a person can choose, without the code that obeys, so that help comes at once."""

from dataclasses import dataclass

from .errors import SkullImplantError
from .models import DEFAULT_MODEL

DEVICES = ("auto", "cpu", "cuda")
ENGINES = ("torch", "minkowski")
# The kinds of artificial defects; `random` is the first of SkullBreak's two random kinds.
DEFECT_KINDS = ("bilateral", "frontoorbital", "parietotemporal", "random", "random_1", "random_2")

# Published clearances are 0.3 to 1 mm; beyond this it is a mistyped number.
MOST_CLEARANCE_MM = 5.0
# As wide as an implant is thick; and a rim that laps over the bone by more is a skin on it.
MOST_SPUR_MM, MOST_RIM_SLACK_MM = 10.0, 5.0


@dataclass(frozen=True)
class ImplantOptions:
    """What is taken off the difference of the two skulls.

    clearance_mm: gap left between implant and bone; 0 gives the exact complement.
    skin_mm: how far the completed surface may stray from intact bone without becoming implant.
    rim_slack_mm: how far over the edge of the bone the rim may reach, to fill sharp corners.
    spur_mm: spurs thinner than this are removed; a thin sheet of 1 cm² and more is thin bone.
    """

    clearance_mm: float = 0.5
    skin_mm: float = 2.0
    rim_slack_mm: float = 0.5
    spur_mm: float = 2.5


@dataclass(frozen=True)
class DesignOptions:
    """What a design depends on beside its input; lengths as in `ImplantOptions`."""

    bone_threshold_hu: float | None = None
    clearance_mm: float = ImplantOptions.clearance_mm
    rim_slack_mm: float = ImplantOptions.rim_slack_mm
    spur_mm: float = ImplantOptions.spur_mm
    model: str = DEFAULT_MODEL
    device: str = "auto"
    engine: str = "torch"

    @property
    def implant(self) -> ImplantOptions:
        """What of these is taken off the difference of the two skulls."""
        return ImplantOptions(
            clearance_mm=self.clearance_mm, rim_slack_mm=self.rim_slack_mm, spur_mm=self.spur_mm
        )


def check_options(options: DesignOptions) -> None:
    """Raise `SkullImplantError` for a length that can only be a mistyped number, and for a device
    or an engine that there is not.
    """
    for name, value, most in (
        ("clearance between implant and bone", options.clearance_mm, MOST_CLEARANCE_MM),
        ("rim slack", options.rim_slack_mm, MOST_RIM_SLACK_MM),
        ("width of spurs", options.spur_mm, MOST_SPUR_MM),
    ):
        if not isinstance(value, (int, float)) or not 0.0 <= value <= most:
            told = f"{value:g}" if isinstance(value, (int, float)) else repr(value)
            raise SkullImplantError(
                f"A {name} of {told} mm makes no implant; give 0 to {most:g} mm."
            )
    for name, chosen, allowed in (
        ("device", options.device, DEVICES),
        ("engine", options.engine, ENGINES),
    ):
        if chosen not in allowed:
            raise SkullImplantError(
                f"There is no {name} '{chosen}'; use one of {', '.join(allowed)}."
            )
