"""The public data sets by name: how each is laid out on disk, and under which terms it is given."""

from dataclasses import dataclass

from ..errors import SkullImplantError

SKULLBREAK, SKULLFIX, MUG500, SCIDATA, SEGTHOR = (
    "skullbreak", "skullfix", "mug500", "scidata", "segthor"
)  # fmt: skip
# The challenges gave these data sets out under other names.
OTHER_NAMES = {
    "autoimplant2020": SKULLFIX,
    "autoimplant2021-task1": SKULLBREAK,
    "autoimplant2021-task2": MUG500,
    "autoimplant2021-task3": SKULLFIX,
}


@dataclass(frozen=True)
class DataSet:
    """A data set: its name in words, what its files are called, where it comes from and its terms.

    `truth`: what an implant of it is compared with, where that is not the bone that was cut out.
    """

    key: str
    title: str
    layout: str
    source: str
    terms: str
    truth: str = ""


DATA_SETS = {
    one.key: one
    for one in (
        DataSet(
            SKULLBREAK,
            "SkullBreak",
            "defective_skull/KIND/NNN.nrrd",
            "Kodym et al. 2021, Data in Brief 35:106902",
            "adapted from CQ500, CC BY-NC-SA 4.0: not for commercial use",
        ),
        DataSet(
            SKULLFIX,
            "SkullFix",
            "defective_skull/NNN.nrrd or test_set_for_participants/NNN.nrrd",
            "Kodym et al. 2021, Data in Brief 35:106902 (figshare 14161307)",
            "adapted from CQ500, CC BY-NC-SA 4.0: not for commercial use",
        ),
        DataSet(
            MUG500,
            "MUG500+",
            "A0001.nrrd, or B0001.nrrd with B0001_implant.stl",
            "Li et al. 2021, Data in Brief, PMC8591340 (figshare 9616319)",
            "CC BY 4.0 by its page on figshare",
            "an implant that an expert designed, and not the bone that was removed",
        ),
        DataSet(
            SCIDATA,
            "SciData",
            "images with complete, defective and implant in their paths",
            "Li et al. 2021, Scientific Data 8:36 (figshare 13265225)",
            "the terms are on its page on figshare",
        ),
        DataSet(
            SEGTHOR,
            "SegTHOR",
            "Patient_01/Patient_01.nii.gz with Patient_01/GT.nii.gz",
            "Lambert et al. 2020, the SegTHOR challenge",
            "the terms are on the challenge's page",
        ),
    )
}  # fmt: skip


DATA_SET_NAMES = (*DATA_SETS, *OTHER_NAMES)


def data_set_named(name: str) -> DataSet:
    """Return the data set of a name, its own or a challenge's.

    Raises `SkullImplantError` where there is none.
    """
    key = OTHER_NAMES.get(name.lower(), name.lower())
    if key not in DATA_SETS:
        raise SkullImplantError(
            f"There is no data set called {name}; there are {', '.join(DATA_SET_NAMES)}."
        )
    return DATA_SETS[key]
