"""The table of `published.py`, from what it kept of each weight file."""

from collections.abc import Sequence
from typing import Any

from SkullImplantLib.training.losses import JUDGED_MM

GROUPS = ("MRI skulls", "CT skulls")
CTS = ("unc-cthead-ct", "visible-human-female-ct")  # the test skulls that come from CT
KEPT_FROM = (0.5, 0.3, 0.2, 0.15, 0.1, 0.05)  # from which probability on a candidate is kept

HEAD = """# The papers' auto-encoder alone

Made by `Testing/Benchmarks/published.py`. Input: the defective skull and nothing else. The test
skulls are two adults from MRI (`brainweb-49`, `brainweb-50`) and two from CT (`unc-cthead-ct`,
`visible-human-female-ct`), never trained on, with {cases} defects in all of 20 to 120 cm².

*On the network's grid*, as in the papers: Dice of the whole skull; reconstruction error, the voxels
that differ from the true skull in percent of the true skull's voxels; Dice of the implant, within
{judged:g} mm of the missing bone (mean / worst case). The skull is in the pose that it has when
complete.

*Designed*: `skull-implant evaluate --suite`, as a user designs, on each input's own grid: pose and
place of the hole from the prior, voxel rearrangement from the patient's own bone; Dice / border
Dice (10 mm) / HD95 in mm, in brackets the cases below a Dice of 0.60.
"""


def table_of(stored: Sequence[dict[str, Any]]) -> str:
    """Return the table of all that was measured, as Markdown."""
    lines = [
        ["weights", "grid", "loss", "iterations", "skulls", "whole skull", "error, %", "implant"],
    ]
    lines[0].append("designed")
    lines.append(["---"] * len(lines[0]))
    for found in stored:
        plain = not found["hole_weight"]
        loss = "the papers'" if plain else f"and Dice on the hole, weight {found['hole_weight']:g}"
        for group in GROUPS:
            grid, designed = found["grid"][group], found["designs"].get(group)
            lines.append(
                [
                    f"`{found['name']}`",
                    f"{found['spacing_mm']:g} mm",
                    loss,
                    f"{found['iteration']}",
                    group,
                    f"{grid['skull_dice']:.3f}",
                    f"{100 * grid['error']:.1f}",
                    f"{grid['implant_dice']:.3f} / {grid['worst_implant_dice']:.3f}",
                    _designed(designed),
                ]
            )
    text = HEAD.format(cases=max((f["cases"] for f in stored), default=0), judged=JUDGED_MM)
    text += "\n" + _markdown(lines) + "\n"
    text += KEEPING + "\n" + _markdown(_keeping(stored)) + "\n" + LEVELS
    for found in stored:
        text += f"\n`{found['name']}`:\n\n{_markdown(found['levels'])}\n"
    return text


LEVELS = """
## What each level of the decoder does with the hole

Missing cells are those in which missing bone lies and no bone is left, on average over the cases.
*Offered*: the share of them that the level makes candidates of; *sure*: the share that it sees as
bone, with a probability above 0.5; *spurious*: what it sees as bone in the region taken out though
none belongs there, against these cells; *told*: the share that it sees as bone where each coarser
level is told the truth, as in training.
"""


KEEPING = """
## From which probability on coarser levels keep a candidate

On the network's grid, all test cases: Dice of whole skull / implant. The papers' rule is 0.5; the
value that the weights are used with is bold. It was chosen on held-back skulls.
"""


def _keeping(stored: Sequence[dict[str, Any]]) -> list[list[str]]:
    lines = [["weights", *(f"{value:g}" for value in KEPT_FROM)]]
    lines.append(["---"] * len(lines[0]))
    for found in stored:
        cells = [f"`{found['name']}`"]
        for value, skull, implant in found["kept_from"]:
            bold = "**" if value == found["keep_from"] else ""
            cells.append(f"{bold}{skull:.3f} / {implant:.3f}{bold}")
        lines.append(cells)
    return lines


def _designed(designed: dict[str, float] | None) -> str:
    if not designed:
        return "-"
    failures = int(designed["under_0.60"])
    return f"{designed['dice']:.3f} / {designed['border_dice']:.3f} / {designed['hd95_mm']:.2f}" + (
        f" ({failures})" if failures else ""
    )


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
