"""The library's sentences in the words of the panel: where the command line has an option, it has a widget."""

from slicer.i18n import tr as _


def inPanelWords(sentence: str) -> str:
    """Return a sentence of the library with its options named as the panel names them."""
    for option, widget in (
        ("or say what the image is with --input ct|skull",
         _("or segment the skull and tick 'This is already a skull segmentation'")),
        ("because --input says so", _("as you said")),
        ("leave out --input skull", _("untick 'This is already a skull segmentation'")),
        ("leave out --input ct", _("tick 'This is already a skull segmentation'")),
        ("--bone-threshold", _("bone threshold")),
        ("check the path given to --model", _("choose the file again under Model")),
        ("use --model prior", _("choose the model 'prior', which needs none")),
        ("use --device cpu", _("choose the device CPU under Advanced")),
        ("give --clearance-mm", _("generate the implant anew")),
    ):
        sentence = sentence.replace(option, widget)
    return sentence
