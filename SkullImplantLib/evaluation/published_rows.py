"""What others published on the public data sets, to stand below our own table.

Only rows that were read in a primary source or its code (`READ`), or in an abstract (`ABSTRACT`),
each with where. None was measured here.
"""

from dataclasses import dataclass
from typing import Literal

from ..cases.data_sets import SCIDATA, SKULLBREAK, SKULLFIX

READ, ABSTRACT = "read in the source", "from the abstract"
PCDIFF = "README of pcdiff-implant (Friedrich et al. 2023)"
MEDPCFM = "arXiv 2609.16934, table 1"
HEAVY = "arXiv 2406.06372 (Wodzinski et al. 2024)"
SYMMETRY = "arXiv 2411.17342 (Wodzinski et al. 2024)"
SALEM = "abstract of Salem et al. 2026"
TASK_3 = "abstract of Kroviakov et al. 2021; voxels by its code"


@dataclass(frozen=True)
class PublishedRow:
    """Means that were published; None is not known here.

    border: the zone of the border Dice: `mm`, `voxels`, or empty where it is not known here.
    hd95_unit: likewise. cases: which they are.
    """

    method: str
    dice: str
    border_dice: str | None
    hd95: str | None
    known: str
    source: str
    border: Literal["mm", "voxels", ""] = ""
    hd95_unit: Literal["mm", "voxels"] = "mm"
    cases: str = "not known here"


def _by_pcdiff(method: str, dice: str, border_dice: str, hd95: str) -> PublishedRow:
    return PublishedRow(
        method, dice, border_dice, hd95, READ, PCDIFF, "mm", cases="a split of its own, by skull"
    )


def _by_medpcfm(method: str, cases: str, dice: str, border_dice: str, hd95: str) -> PublishedRow:
    return PublishedRow(method, dice, border_dice, hd95, READ, MEDPCFM, cases=cases)


SALEM_2026 = PublishedRow(
    "Salem 2026",
    "0.901",
    "0.908",
    "1.52",
    ABSTRACT,
    SALEM,
    cases="40 skulls of SciData and SkullFix",
)
PUBLISHED: dict[str, tuple[PublishedRow, ...]] = {
    SKULLBREAK: (
        _by_pcdiff("sparse CNN of Kroviakov 2021, trained again", "0.71", "0.80", "4.60"),
        _by_pcdiff("3D U-Net of Wodzinski 2021, trained again", "0.87", "0.91", "2.32"),
        _by_pcdiff("2D U-Nets of Yang 2021, trained again", "0.87", "0.89", "2.13"),
        _by_pcdiff("PCDiff 2023, one sample", "0.86", "0.88", "2.51"),
        _by_pcdiff("PCDiff 2023, five samples", "0.87", "0.89", "2.45"),
        PublishedRow("Wodzinski 2024, heavy augmentation", "> 0.94", None, None, ABSTRACT, HEAVY),
        PublishedRow("Wodzinski 2024, symmetry", "0.94", "0.94", "1.31", ABSTRACT, SYMMETRY),
        PublishedRow(
            "Wodzinski 2024, its own baseline", "0.84", "0.76", "2.43", ABSTRACT, SYMMETRY
        ),
        _by_medpcfm("MedPCFM 2026, 40 steps", "100 test cases", "0.744", "0.749", "3.95"),
        _by_medpcfm("MedPCFM-TED 2026, 1 step", "100 test cases", "0.766", "0.726", "3.52"),
        _by_medpcfm("PCDiff-PTv3, run again", "100 test cases", "0.684", "0.669", "5.00"),
        PublishedRow(
            "CrAInial cran-2 2026 (2 more cases failed)",
            "0.72 ± 0.17",
            "0.83 ± 0.10",
            "7.2 ± 6.9",
            READ,
            "its benchmark's JSON, April 2026",
            cases="13 cases",
        ),
    ),
    SKULLFIX: (
        PublishedRow("baseline of Li 2020", "0.856", None, None, ABSTRACT, "Li et al. 2020"),
        PublishedRow(
            "sparse CNN of Kroviakov 2021",
            "0.854",
            "0.946",
            "2.64",
            ABSTRACT,
            TASK_3,
            "voxels",
            "voxels",
            "AutoImplant 2021, task 3",
        ),
        _by_pcdiff("sparse CNN of Kroviakov 2021, trained again", "0.81", "0.87", "3.04"),
        _by_pcdiff("3D U-Net of Wodzinski 2021, trained again", "0.91", "0.95", "1.79"),
        _by_pcdiff("2D U-Nets of Yang 2021, trained again", "0.89", "0.92", "1.98"),
        _by_pcdiff("PCDiff 2023, one sample", "0.90", "0.92", "1.73"),
        _by_pcdiff("PCDiff 2023, five samples", "0.90", "0.93", "1.69"),
        PublishedRow("Wodzinski 2024, heavy augmentation", "> 0.96", None, None, ABSTRACT, HEAVY),
        PublishedRow("SCAI-Net-DDR 2025", "0.889", None, None, ABSTRACT, "its abstract"),
        _by_medpcfm("MedPCFM 2026, 40 steps", "110 test cases", "0.824", "0.841", "3.08"),
        _by_medpcfm("MedPCFM-TED 2026, 1 step", "110 test cases", "0.801", "0.769", "3.10"),
        _by_medpcfm("PCDiff-PTv3, run again", "110 test cases", "0.673", "0.621", "4.41"),
        SALEM_2026,
    ),
    SCIDATA: (SALEM_2026,),
}


def published_rows(key: str) -> tuple[PublishedRow, ...]:
    """Return the rows of a data set; none where none is known."""
    return PUBLISHED.get(key, ())
