"""The formats of an export in the panel's words; a format that has none here is told in the library's."""

from slicer.i18n import tr as _

from SkullImplantLib.export.formats import Format


def titleAndSentence(format: Format) -> tuple[str, str]:
    """Return what a format is called, and what it writes."""
    return wordsOfFormats().get(format.name, (format.title, format.sentence))


def wordsOfFormats() -> dict[str, tuple[str, str]]:
    """Return title and sentence of each format by its name."""
    return {
        "stl": (_("Implant STL"), _("The surface of each implant for the printer, in LPS millimeters.")),
        "skull-stl": (_("Skull STL"), _("The surface of the skull with its hole, closed, at the full resolution of "
                                        "its mask, in LPS millimeters.")),
        "completed-stl": (_("Completed STL"), _("The surface of the completed skull, closed, at the full resolution "
                                                "of its mask, in LPS millimeters.")),
        "masks": (_("Masks"), _("The voxels of skull, completed skull and implants as NRRD.")),
        "report": (_("Report"), _("Pictures, checks and all data of the design in one file, which a browser opens. "
                                  "Made at its first export, in some seconds.")),
        "picture": (_("Picture"), _("The picture of the report, as PNG.")),
        "json": (_("Design data"), _("All data of the design for other programs, as design.json has it.")),
    }
