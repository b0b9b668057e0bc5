"""In a panel of 350 pixels nothing is cut off, in whatever state, on light and dark desktops."""

import json
import os
from pathlib import Path

import pytest
import slicer

LONG_NAME = "HEAD_CT_0.6mm_BONE_KERNEL_H60s_left_frontotemporoparietal_" + 25 * "W"
LONG_PATH = "/data/studies/2026/" + "0123456789abcdef" * 6 + "/implants"
LONG_SENTENCE = (
    f"The working files could not be written to or read from {LONG_PATH} (0.1 GB free); "
    "free some disk space, then try again, or choose another folder in the application's settings."
)
DARK = {
    "Window": "#353535",
    "WindowText": "#ffffff",
    "Base": "#232323",
    "Text": "#ffffff",
    "Button": "#353535",
    "ButtonText": "#ffffff",
}


@pytest.fixture(params=["light", "dark"])
def column(request, host, panel):
    """The panel in its column, on a light or a dark desktop."""
    import qt
    from narrow_panel import NarrowColumn

    column, choices = NarrowColumn(host, panel), panel.panel.design.choices
    before, choices._lookedForDevices = choices._lookedForDevices, True
    panel.ui.advancedCollapsibleButton.collapsed = False
    column.theme = request.param
    if request.param == "dark":
        palette = qt.QPalette()
        for role, color in DARK.items():
            palette.setColor(getattr(qt.QPalette, role), qt.QColor(color))
        panel.parent.setPalette(palette)
    yield column
    column.close()
    panel.ui.advancedCollapsibleButton.collapsed = True
    panel.ui.compareCollapsibleButton.collapsed = True
    choices._lookedForDevices = before
    choices._onDevices(None)


@pytest.fixture
def result(panel, small_ct, small_result):
    """A result in the scene, of an input with a long name, with long notes, flagged."""
    return long_result(small_ct, small_result)


def long_result(small_ct, small_result):
    from SkullImplantPanel import results

    small_ct.SetName(LONG_NAME)
    read = results.readResults(small_result)
    read.design["notes"] += [f"The file {LONG_PATH}/ct.nrrd was resampled.", LONG_SENTENCE * 3]
    read.design["confidence"] |= {"flagged": True, "reasons": [LONG_SENTENCE, "Unlike."]}
    read.design["checks"][3] |= {"name": "a name that does not fit into a line", "passed": False}
    return results.addResults(read, small_ct)


def empty(panel, result):
    slicer.mrmlScene.Clear()


def chosen(panel, result):
    panel._parameterNode.inputVolume = slicer.util.getNode(LONG_NAME)
    panel._parameterNode.skullIsSegmentation = True
    panel._parameterNode.skullSegmentation = result.segmentation
    panel._parameterNode.leaveOut = result.segmentation
    panel._parameterNode.model = f"{LONG_PATH}/{LONG_NAME}.npz"


def with_a_gpu(panel, result):
    gpu = {"id": "cuda", "name": "Some Vendor Accelerator PCIe 80GB", "memory_gib": 79.6}
    panel.panel.design.choices._onDevices({"devices": [{"id": "cpu", "threads": 128}, gpu]})
    panel._parameterNode.device = "cuda"


def with_a_problem(panel, result):
    chosen(panel, result)
    panel._parameterNode.skullIsSegmentation = False
    panel._parameterNode.thicknessMm = 1.0


def running(panel, result):
    from SkullImplantLib.job.protocol import Step

    chosen(panel, result)
    panel.panel.display.begin(f"Working on {LONG_NAME}")
    panel.panel.display.onProgress(Step("predict", 0.5, LONG_PATH, 0.5))


def failed(panel, result):
    from SkullImplantPanel.run import Outcome

    chosen(panel, result)
    panel.panel.display.end(Outcome("failed", LONG_SENTENCE, [LONG_PATH, LONG_SENTENCE]), "")


def done(panel, result):
    panel._parameterNode.inputVolume = slicer.util.getNode(LONG_NAME)
    panel._parameterNode.resultSegmentation = result.segmentation
    panel.panel.display.end(outcome_done(), "Implant designed in 100 s; 29 of 31 checks passed.")


def outcome_done():
    from SkullImplantPanel.run import Outcome

    return Outcome("done", notes=["The run on the GPU broke off; it was done again on the CPU."])


def several(panel, result):
    from SkullImplantPanel import results

    done(panel, result)
    design = results.designOf(result)
    design["implants"] *= 2
    for number, told in enumerate(design["implants"]):
        told["label"] = number + 1
    for check in design["checks"]:
        check["implant"] = 2
    panel.panel.review._showDesign(design)


def edited(panel, result):
    done(panel, result)
    labels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(result.segmentation, "Implant")
    labels[: len(labels) // 2] = 0
    result.segmentation.GetSegmentation().GetSegment("Implant").Modified()
    panel.panel.update()


def of_another(panel, result):
    done(panel, result)
    volume, logic = slicer.util.getNode(LONG_NAME), slicer.modules.volumes.logic()
    panel._parameterNode.inputVolume = logic.CloneVolume(slicer.mrmlScene, volume, "Other")
    panel._parameterNode.resultSegmentation = result.segmentation


def with_holes(panel, result):
    """Holes that were found, with all that can be said of one, and a curve."""
    from SkullImplantPanel.finding import stateOf
    from SkullImplantPanel.found import addFound
    from SkullImplantPanel.foundfiles import Found

    from SkullImplantLib.designing.found_holes import Why

    volume = panel._parameterNode.inputVolume = slicer.util.getNode(LONG_NAME)
    hole = {
        "number": 1,
        "area_cm2": 123.4,
        "centre_mm_xyz": [60.0, 0.0, 20.0],
        "side": "midline",
        "part": "front",
        "fillable": True,
        "by_default": True,
        "why": [str(why) for why in Why],
        "remarks": [LONG_SENTENCE],
    }
    other = {**hole, "number": 2, "fillable": False, "by_default": False, "side": "right"}
    addFound(Found({}, {}, {"holes": [hole, other]}), volume, stateOf(panel._parameterNode))
    panel.panel.update()


def with_stale_holes(panel, result):
    with_holes(panel, result)
    panel.ui.limitButton.click()
    slicer.app.applicationLogic().GetInteractionNode().SwitchToViewTransformMode()
    panel._parameterNode.clearanceMm = 1.0


def exported(panel, result):
    done(panel, result)
    panel._parameterNode.exportFolder = Path(LONG_PATH)
    files = [Path(LONG_PATH) / name for name in ("implant.stl", f"{LONG_NAME}.html")]
    panel.panel.export._onWritten(files)


def named(panel, result):
    """A name of one's own, with its warning, of one that no file system takes as it is."""
    done(panel, result)
    panel.panel.export.onNameTyped(f"{LONG_NAME}: <left>")


def without_series(panel, result):
    """DICOM and a label that cannot be written, with the sentences that say why."""
    done(panel, result)
    panel._parameterNode.exportFormats = "ply,glb,dicom"
    panel.panel.export.onLabelTyped("A 7")


def going_out(panel, result):
    """All that can be exported is listed, with a name, a label and a series of one's own."""
    done(panel, result)
    export = panel.panel.export
    panel._parameterNode.exportFormats = ",".join(export.boxes)
    export.onNameTyped(LONG_NAME)
    export.onLabelTyped(24 * "W")
    panel.ui.dicomFolderEdit.currentPath = f"{LONG_PATH}/{LONG_NAME}"


def compared(panel, result):
    from SkullImplantPanel import mirroredside, results

    done(panel, result)
    ui, parameters = panel.ui, panel._parameterNode
    design = results.designOf(result)
    design["parameters"]["model"] = design["model"]["name"] = LONG_NAME
    design["confidence"] = None
    design["model"]["source"] = "network"
    design["checks"][3]["value"] = 123456.0
    names = [piece.segmentId for piece in results.PIECES]
    labelmaps = {
        name: result.segmentation.GetBinaryLabelmapInternalRepresentation(name) for name in names
    }
    surfaces = dict.fromkeys(names, result.model.GetPolyData())
    grid = labelmaps["Skull"]
    other = results.addResults(
        results.Results(labelmaps, surfaces, design, "", grid), parameters.inputVolume
    )
    ui.compareCollapsibleButton.collapsed = False
    facts = dict.fromkeys(("mean_mm", "most95_mm", "most_mm", "mean_out_mm", "off_bone_mm"), 12.34)
    facts |= {"triangles": 9, "sentence": f"The other side shows 43 % of the implant; {LONG_PATH}."}
    mirroredside.addMirror(result, result.model.GetPolyData(), facts)
    parameters.showMirror, parameters.comparedSegmentation = True, other.segmentation
    panel.panel.compare._distance._known[_key(panel, result, other)] = LONG_SENTENCE
    panel.panel.compare._proposalsText = f"1 proposal was made. {LONG_NAME}: {LONG_SENTENCE}"
    panel.panel.update()


def _key(panel, *both):
    from SkullImplantPanel import designdistance

    panel.panel.compare._distance.forget()
    return tuple(designdistance._stateOf(nodes) for nodes in both)


def colored(panel, result):
    done(panel, result)
    panel._parameterNode.colorBy = "step"
    words = "Implant 2: thickness 13.4 mm, gap 10.5 mm, step +10.2 mm, uncertainty 10.8 mm"
    panel.ui.underMouseLabel.text = words


STATES = [
    empty,
    chosen,
    with_a_gpu,
    with_a_problem,
    running,
    failed,
    done,
    several,
    edited,
    of_another,
    with_holes,
    with_stale_holes,
    exported,
    named,
    without_series,
    going_out,
    compared,
    colored,
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_nothing_is_cut_off(column, panel, result, state, tmp_path):
    state(panel, result)
    folder = Path(os.environ.get("SKULL_IMPLANT_SCREENSHOTS", tmp_path))
    column.picture(folder / f"narrow-{state.__name__}-{column.theme}.png")
    found = column.cut_off()
    assert not found, "\n".join(found)


def test_long_words_are_broken_and_short_ones_left():
    from SkullImplantPanel.wrapping import BREAK, LONGEST_PIECE, breakable

    text = f"Of {LONG_NAME}, in {LONG_PATH}."
    broken = breakable(text)
    assert broken.replace(BREAK, "") == text
    assert max(map(len, broken.replace(BREAK, " ").split())) <= LONGEST_PIECE
    assert breakable("0.5 mm, as the bone") == "0.5 mm, as the bone"


def test_the_log_that_is_copied_is_as_it_was(panel, result):
    failed(panel, result)
    panel.ui.copyLogButton.click()
    assert slicer.app.clipboard().text().startswith(LONG_SENTENCE)


def test_a_name_is_no_html(panel, result):
    from SkullImplantPanel import results

    result.segmentation.SetAttribute(results.RESULT_ATTRIBUTE, "<b>Doe & Co</b>")
    of_another(panel, result)
    assert "&lt;b&gt;Doe &amp; Co&lt;/b&gt;" in panel.ui.implantLabel.text
    assert json.loads(result.design.GetText())["notes"]
