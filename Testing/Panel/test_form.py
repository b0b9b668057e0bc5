"""The panel's form names only what Slicer's, CTK's and Qt's classes have."""

import xml.etree.ElementTree as ET

from PySide6 import QtCore, QtGui, QtWidgets

from module_fixtures import PROJECT
from slicer_host.real_api import real_classes, real_names, real_signatures
from slicer_host.ui_loader import BUDDY

PANEL_FORM = PROJECT / "SkullImplant" / "Resources" / "UI" / "SkullImplant.ui"


def qt_meta(class_name):
    """The meta-object of a plain Qt class, or of the Qt class that a listed class derives from."""
    class_name = {"Line": "QFrame", "Spacer": "QWidget"}.get(class_name, class_name)
    while class_name in real_classes():
        class_name = real_classes()[class_name]["bases"][0]
    module = next(m for m in (QtWidgets, QtGui, QtCore) if hasattr(m, class_name))
    return getattr(module, class_name).staticMetaObject


def test_properties_in_the_form_are_real():
    form = ET.parse(PANEL_FORM).getroot()
    names = {widget.get("name") for widget in form.iter("widget")}
    for widget in form.iter("widget"):
        class_name = widget.get("class")
        for property_ in widget.findall("property"):
            name = property_.get("name")
            # Qt's builder makes a call of a buddy, QLabel::setBuddy.
            if (class_name, name) == BUDDY:
                assert property_.findtext("cstring") in names
            elif property_.get("stdset") != "0" and class_name != "Line":
                assert (
                    name in real_names(class_name, "properties")
                    or qt_meta(class_name).indexOfProperty(name) >= 0
                ), f"{class_name}.{name}"


def test_connections_in_the_form_are_real():
    form = ET.parse(PANEL_FORM).getroot()
    classes = {widget.get("name"): widget.get("class") for widget in form.iter("widget")}
    for connection in form.iter("connection"):
        sender, signal, receiver, slot = (
            connection.findtext(part) for part in ("sender", "signal", "receiver", "slot")
        )
        sender, receiver = classes[sender], classes[receiver]
        assert signal in real_signatures(sender, "signals") or (
            qt_meta(sender).indexOfSignal(signal) >= 0
        ), f"{sender}.{signal}"
        assert slot in real_signatures(receiver, "slots") or (
            qt_meta(receiver).indexOfSlot(slot) >= 0
        ), f"{receiver}.{slot}"
