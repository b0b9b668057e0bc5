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
        "3mf": (_("3MF"), _("All implants in one file that states its unit, lying on the printer's plate. "
                            "Needs lib3mf.")),
        "mould": (_("Mold"), _("A mold of two halves for each implant, to cast it of PMMA, 0.3 % larger for "
                               "shrinkage. Needs manifold3d.")),
        "try-in": (_("Try-in model"), _("The bone within 25 mm of the implant, cut flat, to be printed to try the "
                                        "implant in. Needs manifold3d.")),
        "ply": (_("PLY"), _("The surface of each implant with its thickness as colors, in LPS millimeters.")),
        "glb": (_("GLB"), _("Skull and implants, these with their thickness as colors, for viewers of 3D. "
                            "Needs trimesh.")),
        "dicom": (_("DICOM"), _("Encapsulated STL and Segmentation for the archive, in the study of the CT, with the "
                                "patient's name in them. Needs highdicom.")),
        "json": (_("Design data"), _("All data of the design for other programs, as design.json has it.")),
    }
