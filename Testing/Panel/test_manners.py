"""The panel scrolls to what is new, follows the theme, helps, and tells nothing of a patient."""

import getpass

import pytest
import slicer
from module_panel_of import scroll_area

DARK, LIGHT = "#303030", "#f0f0f0"


@pytest.fixture
def opened(host, monkeypatch):
    """Addresses that were handed to the system, instead of opening them."""
    import qt

    addresses = []
    monkeypatch.setattr(
        qt.QDesktopServices, "openUrl", lambda url: addresses.append(url.toString()) or True
    )
    return addresses


# --- scrolling ------------------------------------------------------------------------------------


def test_panel_scrolls_to_review_when_a_result_comes(host, reviewed_in_window, window):
    from SkullImplantPanel.run import Outcome

    panel = reviewed_in_window
    window.resize(1366, 768)
    host.process_events()
    bar = scroll_area(window).verticalScrollBar()
    bar.value = 0
    nodes = panel.logic.resultNodes(panel._parameterNode)
    panel.panel.design._onDesigned(Outcome("done", value=nodes))
    for _turn in range(5):
        host.process_events()
    section = panel.ui.reviewCollapsibleButton
    import qt

    top = section.mapTo(scroll_area(window).viewport(), qt.QPoint(0, 0)).y()
    assert bar.value > 0
    assert -2 <= top <= 2 or bar.value == bar.maximum


def test_scrolling_without_a_scroll_area_does_nothing(panel):
    from SkullImplantPanel.scrolling import scrollTo

    panel.parent.setParent(None)
    scrollTo(panel.ui.reviewCollapsibleButton)


# --- theme ----------------------------------------------------------------------------------------


def colored(panel, color: str) -> None:
    import qt

    palette = qt.QPalette()
    palette.setColor(qt.QPalette.Window, qt.QColor(color))
    panel.parent.setPalette(palette)


def test_colors_follow_the_theme_at_once(host, reviewed):
    from SkullImplantPanel.colors import BAD_COLORS, GOOD_COLORS
    from SkullImplantPanel.run import Outcome

    ui = reviewed.ui
    reviewed.panel.display.end(Outcome("failed", "Something.", []), "")
    try:
        for window, which in ((DARK, 1), (LIGHT, 0), (DARK, 1)):
            colored(reviewed, window)
            host.process_events()
            host.process_events()
            assert BAD_COLORS[which] in ui.errorLabel.styleSheet
            signs = {
                ui.checksTable.item(row, 0).foreground().color().name()
                for row in range(ui.checksTable.rowCount)
                if ui.checksTable.item(row, 0).text() == "✔"
            }
            assert signs == {GOOD_COLORS[which]}
    finally:
        import qt

        reviewed.parent.setPalette(qt.QPalette())
        reviewed.panel.display.showError(None)


def test_closed_panel_watches_no_theme(host, panel):
    panel.panel._theme.forget()
    panel.panel._theme.forget()
    colored(panel, DARK)
    host.process_events()


# --- what a change redraws ------------------------------------------------------------------------


def test_a_slider_that_is_dragged_rebuilds_no_table_and_looks_through_no_scene(
    reviewed, wait_until, monkeypatch
):
    from SkullImplantPanel.checkstable import ChecksTable

    ui, counts = reviewed.ui, {"table": 0, "scene": 0}
    wait_until(lambda: "HU" in ui.automaticThresholdCheckBox.text, 30)
    ui.automaticThresholdCheckBox.checked = False
    ui.clearanceSpinBox.value = 0.2  # the checks are out of date from here on
    ui.boneThresholdSlider.value = 500
    rebuild, look = ChecksTable.show, slicer.util.getNodesByClass

    def counted(name, call):
        def count(*arguments):
            counts[name] += 1
            return call(*arguments)

        return count

    monkeypatch.setattr(ChecksTable, "show", counted("table", rebuild))
    monkeypatch.setattr(slicer.util, "getNodesByClass", counted("scene", look))
    for step in range(20):
        ui.skullOpacitySlider.value = 0.3 + 0.01 * step
        ui.boneThresholdSlider.value = 510 + step
        ui.clearanceSpinBox.value = 0.3 + 0.01 * step
    assert counts == {"table": 0, "scene": 0}
    ui.clearanceSpinBox.value = 0.9
    assert "0.5 mm" in ui.implantLabel.text, "what changes is shown all the same"


def test_results_that_come_and_go_are_noticed(reviewed, scene, small_ct, small_result):
    from SkullImplantPanel import results

    first = results.allResults()
    nodes = results.addResults(results.readResults(small_result), small_ct)
    assert results.allResults() == [*first, nodes.segmentation]
    results.removeResults(nodes)
    assert results.allResults() == first
    scene.Clear()
    assert results.allResults() == []


# --- help, sample data and a problem --------------------------------------------------------------


def test_help_opens_the_page_on_the_panel(panel, opened):
    from module_fixtures import PROJECT

    panel.ui.helpButton.click()
    assert opened[0].startswith("https://github.com/SkullImplant/SlicerSkullImplant/")
    assert (PROJECT / opened[0].split("/main/")[1]).is_file()


def test_help_without_a_browser_opens_the_shipped_page(panel, monkeypatch):
    import qt

    asked = []
    monkeypatch.setattr(
        qt.QDesktopServices, "openUrl", lambda url: asked.append(url.toString()) and False
    )
    panel.ui.helpButton.click()
    assert asked[1].startswith("file:") and asked[1].endswith("panel.md")


def test_sample_data_button_goes_to_the_module(host, panel, monkeypatch):
    went = []
    monkeypatch.setattr(slicer.util, "selectModule", went.append)
    panel.ui.sampleDataButton.click()
    assert went == ["SampleData"]


def test_problem_is_shown_before_anything_goes_anywhere(reviewed, opened, small_ct):
    from SkullImplantPanel.run import Outcome

    small_ct.SetName("DOE^JANE")
    log = ["INFO read of /home/surgeon/doe/ct.nrrd", "Doe^Jane was in C:\\Data\\Doe\\x.dcm"]
    reviewed.panel.display.end(Outcome("failed", "Cannot read DOE^JANE; check it.", log), "")
    slicer.app.clipboard().setText("before")
    reviewed.ui.problemButton.click()
    section = reviewed.panel.help
    text = section.text.plainText
    assert not opened and slicer.app.clipboard().text() == "before"
    assert "Skull Implant 0." in text and "numpy" in text and "Last run: failed" in text
    for private in ("doe", "surgeon", "C:\\", "/home", "ct.nrrd"):
        assert private not in text.lower().replace("<name>", "")
    section.text.setPlainText(text + "\nmine")
    section.onCopyAndOpen()
    assert slicer.app.clipboard().text().endswith("\nmine")
    assert opened == ["https://github.com/SkullImplant/SlicerSkullImplant/issues/new"]
    assert section.dialog is None
    reviewed.panel.display.showError(None)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("in /tmp/a/b.nrrd, which", "in <path>, which"),
        ("in D:\\x\\y z", "in <path> z"),
        ("\\\\server\\share\\x", "<path>"),
        ("1/2 of it, 3 mm/s; and/or", "1/2 of it, 3 mm/s; and/or"),
        ("Mr Doe-Smith and Doesmith", "Mr <name>-Smith and Doesmith"),
        ("https://example.org/page", "https://example.org/page"),
    ],
)
def test_what_is_private_is_left_out(host, module, line, told):
    from SkullImplantPanel.problemreport import withoutNames

    assert withoutNames(line, ["Doe", "a"]) == told
    user = getpass.getuser()
    if len(user) >= 3:
        assert user not in withoutNames(f"user {user} ran it", [])
