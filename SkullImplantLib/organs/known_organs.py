"""The organs of the chest that are segmented: their labels, codes, colours and names."""

from dataclasses import dataclass

from ..cases.thorax_phantom import AORTA, HEART, OESOPHAGUS, TRACHEA


@dataclass(frozen=True)
class KnownOrgan:
    """An organ: its `name`, also of its file; label, as SegTHOR has it (Lambert et al. 2020); code
    and meaning in SNOMED CT, as DICOM uses them (PS3.16, CID 4031); and colour, RGB in 0 to 1.
    """

    name: str
    label: int
    code: str
    meaning: str
    rgb: tuple[float, float, float]


# Colours that all eyes tell apart (Okabe and Ito 2008).
KNOWN_ORGANS = (
    KnownOrgan("oesophagus", OESOPHAGUS, "32849002", "Esophagus", (0.00, 0.62, 0.45)),
    KnownOrgan("heart", HEART, "80891009", "Heart", (0.84, 0.37, 0.00)),
    KnownOrgan("trachea", TRACHEA, "44567001", "Trachea", (0.34, 0.71, 0.91)),
    KnownOrgan("aorta", AORTA, "15825003", "Aorta", (0.94, 0.89, 0.26)),
)
LABELS = tuple(organ.label for organ in KNOWN_ORGANS)
