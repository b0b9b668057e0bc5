"""CTK widgets and Designer forms: what they do, and what they refuse as Slicer would."""

from pathlib import Path

import pytest
import slicer
import slicer.util

from recorded_calls import Calls
from slicer_host.ctk_widgets import install_ctk
from slicer_host.pythonqt import install_qt

qt, ctk = install_qt(), install_ctk()
FORM = (Path(__file__).parent / "fixtures" / "panel.ui").read_text(encoding="utf-8")


# --- CTK ------------------------------------------------------------------------------------------


def test_real_names_that_are_missing_and_names_that_are_not_real():
    slider = ctk.ctkSliderWidget()
    with pytest.raises(NotImplementedError, match=r"ctkSliderWidget\.popupSlider"):
        _ = slider.popupSlider
    # A setter of CTK that is no slot cannot be called from Python.
    with pytest.raises(AttributeError, match="no attribute named 'setMinimum'"):
        slider.setMinimum(3)
    with pytest.raises(AttributeError, match="creating new attributes"):
        slider._anything = 3
    with pytest.raises(AttributeError):
        slider.connect("valueChanged(int)", print)


def shown(widget, host):
    widget.show()
    host.process_events()
    return widget


def test_collapsible_button(host):
    button, collapsed = ctk.ctkCollapsibleButton("Skull"), Calls()
    layout = qt.QVBoxLayout(button)
    label, hidden, late = qt.QLabel("open"), qt.QLabel("hidden"), qt.QLabel("late")
    for child in (label, hidden, late):
        layout.addWidget(child)
    hidden.visible = False
    late.visible = False
    button.connect("contentsCollapsed(bool)", collapsed)
    shown(button, host)
    open_height = button.sizeHint().height()
    button.collapsed = True
    late.visible = True
    assert (button.checked, label.visible, late.visible) == (False, False, False)
    assert button.sizeHint().height() < open_height
    button.click()
    assert (button.collapsed, button.checked) == (False, True)
    assert (label.visible, hidden.visible, late.visible) == (True, False, True)
    assert collapsed == [(True,), (False,)]
    assert button.text == "Skull" and isinstance(button, qt.QAbstractButton)


def test_slider_widget_keeps_the_value_and_its_range():
    slider, values = ctk.ctkSliderWidget(), Calls()
    assert (slider.minimum, slider.maximum, slider.value) == (0.0, 99.99, 0.0)
    slider.minimum, slider.maximum, slider.singleStep = -100, 500, 0.1
    slider.connect("valueChanged(double)", values)
    slider.value = 12.3456
    slider.value = 12.3456
    assert (slider.value, values) == (12.3456, [(12.3456,)])
    slider.value = 1000
    assert slider.value == 500.0
    slider.maximum = 50
    assert slider.value == 50.0
    slider.decimals, slider.suffix = 1, " mm"
    assert (slider.decimals, slider.suffix, slider.value) == (1, " mm", 50.0)
    assert values == [(12.3456,), (500.0,), (50.0,)]


def test_slider_widget_without_tracking():
    slider, changed, changing = ctk.ctkSliderWidget(), Calls(), Calls()
    slider.tracking = False
    slider.valueChanged.connect(changed)
    slider.valueIsChanging.connect(changing)
    handle = slider.findChild(qt.QSlider)
    handle.sliderDown = True
    handle.value = 10
    handle.value = 20
    assert (changing, changed) == ([(10.0,), (20.0,)], [])
    handle.sliderDown = False
    assert changed == [(20.0,)]


def test_double_spin_box():
    box, numbers, texts = ctk.ctkDoubleSpinBox(), Calls(), Calls()
    box.minimum, box.maximum, box.decimals = float("-inf"), float("inf"), 3
    box.connect("valueChanged(double)", numbers)
    box.connect("valueChanged(QString)", texts)
    box.value = 1234.5
    box.findChild(qt.QDoubleSpinBox).value = 7.25
    assert box.value == 7.25
    assert (numbers, texts) == ([(1234.5,), (7.25,)], [("1234.500",), ("7.250",)])


@pytest.mark.parametrize("name", ["ctkRangeWidget", "ctkDoubleRangeSlider"])
def test_ranges(name):
    widget, values = getattr(ctk, name)(), Calls()
    widget.connect("valuesChanged(double,double)", values)
    widget.setRange(-10, 10)
    assert (widget.minimumValue, widget.maximumValue) == (0.0, 10.0)
    widget.setValues(8, -3)
    assert (widget.minimumValue, widget.maximumValue) == (-3.0, 8.0)
    widget.minimumValue = 9
    assert (widget.minimumValue, widget.maximumValue) == (9.0, 9.0)
    assert values == [(0.0, 10.0), (-3.0, 8.0), (9.0, 9.0)]


def test_path_line_edit(tmp_path):
    edit, paths, valid = ctk.ctkPathLineEdit(), Calls(), Calls()
    edit.connect("currentPathChanged(QString)", paths)
    edit.connect("validInputChanged(bool)", valid)
    edit.currentPath = str(tmp_path)
    assert (edit.currentPath, paths) == (str(tmp_path), [(str(tmp_path),)])
    edit.nameFilters = ["Surfaces (*.stl *.3mf)"]
    assert edit.nameFilters == ("Surfaces (*.stl *.3mf)",)
    edit.currentPath = "implant.png"
    edit.currentPath = "implant.stl"
    assert paths[1:] == [("implant.stl",)]
    assert valid[-2:] == [(False,), (True,)]
    edit.settingKey = "test"
    edit.addCurrentPathToHistory()
    assert ctk.ctkPathLineEdit().comboBox().count == 0
    other = ctk.ctkPathLineEdit()
    other.settingKey = "test"
    assert other.comboBox().itemText(0) == "implant.stl"
    edit.filters = ctk.ctkPathLineEdit.Dirs | ctk.ctkPathLineEdit.Writable
    assert edit.filters == 0x21


def test_directory_button(tmp_path):
    button, changed, selected = ctk.ctkDirectoryButton(), Calls(), Calls()
    button.connect("directoryChanged(QString)", changed)
    button.connect("directorySelected(QString)", selected)
    button.directory = str(tmp_path)
    button.directory = str(tmp_path)
    assert button.directory == str(tmp_path)
    assert (len(changed), len(selected)) == (1, 2)


def test_checkable_push_button():
    button, toggled = ctk.ctkCheckablePushButton("Auto"), Calls()
    button.connect("checkBoxToggled(bool)", toggled)
    assert (button.text, button.checkable, button.checkState) == ("Auto", False, qt.Qt.Unchecked)
    button.checkState = qt.Qt.Checked
    assert (button.checkable, button.checked, toggled) == (True, False, [(True,)])
    button.checkBoxControlsButtonToggleState = True
    assert button.checked
    button.checked = False
    assert button.checkState == qt.Qt.Unchecked


def test_smaller_ctk_widgets(host):
    combo_box = ctk.ctkComboBox()
    combo_box.addItem("Best", "prior")
    combo_box.addItem("Network", "fine")
    combo_box.currentUserDataAsString = "fine"
    assert (combo_box.currentIndex, combo_box.currentUserDataAsString) == (1, "fine")

    picker, colors = ctk.ctkColorPickerButton(), Calls()
    picker.connect("colorChanged(QColor)", colors)
    picker.color = qt.QColor("red")
    assert (picker.color, colors) == (qt.QColor("red"), [(qt.QColor("red"),)])

    browser = ctk.ctkFittedTextBrowser()
    browser.plainText = "one line"
    low = browser.heightForWidth(300)
    browser.plainText = "many lines\n" * 10
    assert browser.heightForWidth(300) > 4 * low

    box = ctk.ctkMessageBox()
    box.standardButtons = qt.QMessageBox.Yes | qt.QMessageBox.No
    qt.QTimer.singleShot(0, box.button(qt.QMessageBox.No).click)
    assert box.exec_() == qt.QMessageBox.No


# --- forms ----------------------------------------------------------------------------------------


@pytest.fixture
def load_form(host, tmp_path):
    def load(*replacements):
        text = FORM
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "panel.ui"
        path.write_text(text, encoding="utf-8")
        return slicer.util.loadUI(str(path))

    return load


def test_form(load_form):
    panel = load_form()
    ui = slicer.util.childWidgetVariables(panel)
    assert type(panel) is slicer.qMRMLWidget
    assert type(ui.clearanceSlider) is ctk.ctkSliderWidget
    assert type(ui.buttonsLayout) is qt.QHBoxLayout
    assert (ui.clearanceSlider.minimum, ui.clearanceSlider.value) == (-1.0, 0.5)
    assert ui.clearanceSlider.suffix == " mm"
    assert ui.ctSelector.nodeTypes == ("vtkMRMLScalarVolumeNode",)
    assert ui.ctSelector.toolTip == "The head CT"
    assert ui.ctSelector.property("SlicerParameterName") == "ct"
    assert ui.patientCollapsibleButton.contentsFrameShape == qt.QFrame.StyledPanel
    assert isinstance(ui.line, qt.QFrame)
    # PythonQt finds a direct child by its name, not one further down.
    assert panel.patientCollapsibleButton is ui.patientCollapsibleButton
    with pytest.raises(AttributeError):
        _ = panel.ctSelector


def test_only_declared_connections_are_made(load_form):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    panel = load_form()
    ui = slicer.util.childWidgetVariables(panel)
    panel.setMRMLScene(slicer.mrmlScene)
    assert ui.ctSelector.nodeCount() == 1
    assert (ui.forgottenSelector.nodeCount(), ui.forgottenSelector.mrmlScene()) == (0, None)
    ui.advancedCheckBox.checked = True
    ui.advancedCheckBox.checked = False
    assert not ui.clearanceSlider.enabled


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('class="ctkSliderWidget" name', 'class="ctkSlideWidget" name', "ctkSlideWidget"),
        ('class="ctkSliderWidget" name', 'class="ctkPushButton" name', "has not got"),
        ('name="suffix"', 'name="sufix"', "sets sufix of clearanceSlider"),
        ('name="suffix"', 'name="popupSlider"', "popupSlider"),
        ("QFrame::StyledPanel", "QFrame::Styled", "QFrame::Styled"),
        ("mrmlSceneChanged(vtkMRMLScene*)", "mrmlSceneChange(vtkMRMLScene*)", "mrmlSceneChange"),
        ("setMRMLScene(vtkMRMLScene*)", "setScene(vtkMRMLScene*)", "setScene"),
        ("setEnabled(bool)", "setEnabled(int)", "setEnabled"),
        ("<receiver>ctSelector", "<receiver>petSelector", "petSelector"),
    ],
)
def test_a_wrong_name_in_a_form_is_an_error(load_form, old, new, message):
    with pytest.raises((RuntimeError, AttributeError), match=message):
        load_form((old, new))
