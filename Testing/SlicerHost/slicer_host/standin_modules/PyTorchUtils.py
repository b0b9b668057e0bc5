"""Stand-in for the PyTorch extension's PyTorchUtils: finds an installed torch, installs nothing."""

from __future__ import annotations

import importlib.metadata
import importlib.util

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleLogic


class PyTorchUtils(ScriptedLoadableModule):
    """The module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "PyTorch Util"
        parent.categories = ["Utilities"]
        parent.hidden = False


class PyTorchUtilsLogic(ScriptedLoadableModuleLogic):
    """Finds torch and the device it can use."""

    def __init__(self):
        self._torch = None

    @staticmethod
    def torchInstalled():
        """Whether torch is installed and can be imported."""
        try:
            importlib.metadata.version("torch")
        except importlib.metadata.PackageNotFoundError:
            return False
        return importlib.util.find_spec("torch") is not None

    @property
    def torch(self):
        """The Python module torch."""
        if self._torch is None:
            self._torch = self.importTorch()
        return self._torch

    @property
    def torchVersionInformation(self):
        """The version, for people."""
        if not self.torchInstalled():
            return "not installed"
        return f"installed version {importlib.metadata.version('torch')}"

    def importTorch(self):
        """The Python module torch, installed if need be."""
        if not self.torchInstalled():
            return self.installTorch()
        import torch

        return torch

    def installTorch(
        self,
        askConfirmation=False,
        forceComputationBackend=None,
        torchVersionRequirement=None,
        torchvisionVersionRequirement=None,
    ):
        """Ask if that is wished (None if the user refuses); then refuse: there is no network."""
        if askConfirmation and not slicer.app.testingEnabled():
            question = (
                "PyTorch will be downloaded and installed. The process might take some minutes."
            )
            if not slicer.util.confirmOkCancelDisplay(question):
                return None
        raise RuntimeError("PyTorch cannot be installed: the development host has no network")

    def getDevice(self):
        """The CUDA device if there is one, else "cpu"."""
        return self.torch.device("cuda") if self.torch.cuda.is_available() else "cpu"

    @property
    def cuda(self):
        """Whether there is a CUDA device."""
        return self.getDevice() != "cpu"
