"""What a user runs in Slicer to see whether the module works there: Reload and Test."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from .logic import SkullImplantLogic
from .sample import makeSample

if TYPE_CHECKING:
    from SkullImplantLib.job.protocol import Step

    from .run import Outcome


class SkullImplantTest(ScriptedLoadableModuleTest):
    """
    The sample patient end to end, without a network connection.
    Uses ScriptedLoadableModuleTest base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def setUp(self) -> None:
        """Do whatever is needed to reset the state - typically a scene clear will be enough."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run as few or as many tests as needed here."""
        self.setUp()
        self.test_SamplePatientToStl()

    def test_SamplePatientToStl(self) -> None:
        """Make the sample patient, design its implant, export the STL, and load that back into its place."""
        import tempfile

        import numpy as np

        self.delayDisplay("Making the sample patient")
        volumeNode = makeSample()
        self.delayDisplay("Designing the implant")
        logic = SkullImplantLogic()
        parameters = logic.getParameterNode()
        parameters.inputVolume = volumeNode
        outcomes: list[Outcome] = []
        steps: list[Step] = []
        logic.startDesign(parameters, outcomes.append, steps.append)
        logic.wait()
        self.assertEqual(outcomes[0].state, "done", outcomes[0].message)
        self.assertGreater(len(steps), 10)
        nodes = outcomes[0].value
        implant = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "Implant", volumeNode)
        skull = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "Skull", volumeNode)
        self.assertFalse(np.any((implant > 0) & (skull > 0)), "the implant takes room that bone has")
        volumeCm3 = np.count_nonzero(implant) * np.prod(volumeNode.GetSpacing()) / 1000.0
        self.assertTrue(20.0 < volumeCm3 < 80.0, f"an implant of {volumeCm3:.1f} cm3")
        self.assertEqual(nodes.table.GetNumberOfRows(), len(json.loads(nodes.design.GetText())["checks"]))

        self.delayDisplay("Exporting")
        with tempfile.TemporaryDirectory() as folder:
            parameters.exportFolder = Path(folder)
            files = logic.exportResults(parameters)
            endings = [path.name.split("-", 2)[2] for path in files]  # behind the case's name
            self.assertEqual(endings, ["implant.stl", "report.html", "design.json"])
            loaded = slicer.util.loadModel(str(files[0]))
            found, expected = np.zeros(6), np.zeros(6)
            loaded.GetRASBounds(found)
            nodes.model.GetRASBounds(expected)
            self.assertLess(np.abs(found - expected).max(), 1e-3)
        self.delayDisplay("Test passed")
