"""Stand-in for `slicer.ScriptedLoadableModule`: the four base classes of a scripted module.

Same names, arguments and behaviour as the application's file, except that the developer's section
of a panel (reload, test and edit buttons) is not built.
"""

from __future__ import annotations

import logging
import os
import sys
import unittest
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget",
]

ICON_EXTENSIONS = (".svg", ".png")
DEFAULT_TEST_DELAY_MS = 100


def _name_without(suffix: str, object_: object) -> str:
    """The object's class name without the suffix: the module's name."""
    return type(object_).__name__.removesuffix(suffix)


class ScriptedLoadableModule:
    """What the module is: fills in `parent`, the application's module object."""

    def __init__(self, parent):
        super().__init__()
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = ""
        parent.categories = []
        parent.dependencies = []
        parent.contributors = []
        parent.helpText = ""
        parent.acknowledgementText = ""
        for extension in ICON_EXTENSIONS:
            icon = self.resourcePath(f"Icons/{self.moduleName}{extension}")
            if os.path.isfile(icon):
                parent.icon = qt.QIcon(icon)
                break
        if not hasattr(slicer, "selfTests"):
            slicer.selfTests = {}
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename):
        """Path of a file in the module's Resources folder."""
        return str(Path(self.parent.path).parent / "Resources" / filename)

    def getDefaultModuleDocumentationLink(self, docPage=None):
        """A paragraph of HTML that links to the module's documentation."""
        if docPage:
            url = slicer.app.documentationBaseUrl + docPage
        else:
            url = slicer.app.moduleDocumentationUrl(self.moduleName)
        text = _("For more information, see the {url_start}online documentation{url_end}.")
        return f"<p>{text.format(url_start=f'<a href={url!r}>', url_end='</a>')}</p>"

    def runTest(self, msec=DEFAULT_TEST_DELAY_MS, **kwargs):
        """Run the module's test case, the class <ModuleName>Test."""
        name = f"{self.moduleName}Test"
        test_class = getattr(sys.modules[type(self).__module__], name, None)
        if test_class is None:
            raise AssertionError(f"Test case class not found: {type(self).__module__}.{name}")
        test_case = test_class()
        test_case.messageDelay = msec
        test_case.runTest(**kwargs)


class ScriptedLoadableModuleWidget:
    """The module's panel, built by `setup()` into `parent`'s layout."""

    def __init__(self, parent=None):
        super().__init__()
        self.moduleName = _name_without("Widget", self)
        to_bool = slicer.util.toBool
        self.developerMode = slicer.util.settingsValue("Developer/DeveloperMode", False, to_bool)
        if parent is None:
            self.parent = slicer.qMRMLWidget()
            self.parent.setLayout(qt.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
        else:
            self.parent = parent
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
            self.parent.show()
        slicer.app.moduleManager().connect(
            "moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded
        )

    def resourcePath(self, filename):
        """Path of a file in the module's Resources folder."""
        folder = Path(slicer.util.modulePath(self.moduleName)).parent
        return str(folder / "Resources" / filename)

    def setup(self):
        """Build the panel; modules extend this."""
        self.setupDeveloperSection()

    def setupDeveloperSection(self):
        """Nothing: the host has no developer's section."""

    def cleanup(self):
        """Called before the module is unloaded; modules override this."""

    def _onModuleAboutToBeUnloaded(self, moduleName):
        if moduleName == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect(
                "moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded
            )

    def onReload(self):
        """Reload the module's source and panel."""
        logging.info(f"Reloading module: {self.moduleName}")
        slicer.util.reloadScriptedModule(self.moduleName)


class ScriptedLoadableModuleLogic:
    """What the module does; knows the module's parameter node."""

    def __init__(self, parent=None):
        super().__init__()
        self.moduleName = _name_without("Logic", self)
        # False lets a scene hold several parameter nodes of this module.
        self.isSingletonParameterNode = True

    def getParameterNode(self):
        """The module's parameter node in the scene, made if there is none."""
        if self.isSingletonParameterNode:
            node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            if node and node.GetAttribute("ModuleName") != self.moduleName:
                # Closing the scene resets the singleton's attributes.
                node.SetAttribute("ModuleName", self.moduleName)
        else:
            node = next(iter(self.getAllParameterNodes()), None)
        return node or slicer.mrmlScene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self):
        """All parameter nodes of this module in the scene."""
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self):
        """A new parameter node for this module, not yet in the scene."""
        if slicer.mrmlScene is None:
            return None
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)  # CreateNodeByClass counts a reference that Python does not know of.
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The module's self test: `runTest` runs every method with "test" in its name."""

    def __init__(self, *args, **kwargs):
        self.moduleTestNames = []
        super().__init__(*args, **kwargs)
        self.enableScreenshots = False
        self.screenshotScaleFactor = 1.0
        if not self.moduleTestNames:
            names = [name for name in dir(self) if "test" in name]
            self.moduleTestNames = [name for name in names if callable(getattr(self, name))]

    def delayDisplay(self, message, requestedDelay=None, msec=None):
        """Show a message for a moment, and let the application draw."""
        delay = getattr(self, "messageDelay", msec)
        if delay is None:
            delay = requestedDelay if requestedDelay is not None else DEFAULT_TEST_DELAY_MS
        slicer.util.delayDisplay(message, delay)

    def takeScreenshot(self, name, description, type=-1):
        """Show the description; pictures are not taken unless enabled, and not at all here."""
        self.delayDisplay(description)
        if self.enableScreenshots:
            raise RuntimeError("The development host takes no screenshots for self tests")

    def setUp(self):
        """Prepare one test; modules override this."""

    def tearDown(self):
        """Clean up after one test; modules override this."""

    def runTest(self):
        """Run the module's tests, each with its setUp and tearDown."""
        if not self.moduleTestNames:
            logging.warning(f"No test is defined in {type(self).__name__}")
            return
        self.setUpClass()
        for name in self.moduleTestNames:
            self.setUp()
            logging.info(f"Running {name}")
            getattr(self, name)()
            self.tearDown()
        self.tearDownClass()
