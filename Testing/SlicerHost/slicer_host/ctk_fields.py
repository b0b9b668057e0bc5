"""CTK's widgets for text, paths and choices on real Qt.

Names and behaviour follow CTK's public headers and sources (see `real_api.json`). A name that CTK
has and the host has not raises NotImplementedError.
"""

import enum
import fnmatch
from typing import Any

from PySide6.QtCore import Property, QDir, QSize, Signal, Slot
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QFileDialog, QStyle, QTextBrowser

from .adapter_properties import forwarded, stored
from .ctk_buttons import text_and_rest
from .pythonqt import install_qt
from .real_api import stands_for_real

qt = install_qt()


@stands_for_real
class ctkPathLineEdit(qt.QWidget):
    class Filter(enum.IntFlag):
        Dirs = 0x001
        Files = 0x002
        Drives = 0x004
        NoSymLinks = 0x008
        AllEntries = 0x007
        Readable = 0x010
        Writable = 0x020
        Executable = 0x040
        Hidden = 0x100
        System = 0x200
        AllDirs = 0x400
        CaseSensitive = 0x800
        NoDotAndDotDot = 0x1000
        NoDot = 0x2000
        NoDotDot = 0x4000

    _HISTORY_LENGTH = 5
    _combo_box: qt.QComboBox
    _browse_button: qt.QToolButton
    _label = ""
    _name_filters: list
    _filters = int(Filter.AllEntries | Filter.NoDotAndDotDot | Filter.Readable | Filter.Executable)
    _setting_key = ""
    _valid = False

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, *arguments: Any) -> None:
        parent = [a for a in arguments if a is None or isinstance(a, qt.QWidget)]
        super().__init__(*parent)
        given = [a for a in arguments if a not in parent]
        self._label = given[0] if given else ""
        self._name_filters = list(given[1]) if len(given) > 1 else []
        if len(given) > 2:
            self._filters = int(given[2])
        self._combo_box = qt.QComboBox()
        self._combo_box.editable = True
        self._combo_box.insertPolicy = qt.QComboBox.NoInsert
        self._combo_box.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        self._browse_button = qt.QToolButton()
        self._browse_button.text = "..."
        self._browse_button.toolTip = "Open a dialog"
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.spacing = 0
        layout.addWidget(self._combo_box)
        layout.addWidget(self._browse_button)
        self.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        self._combo_box.lineEdit().connect("textChanged(QString)", self._on_text)
        self._browse_button.connect("clicked()", self.browse)
        self.retrieveHistory()
        self.currentPath = ""

    def _is_valid(self, path: str) -> bool:
        """Whether the path has one of the name filters' endings, if there are any."""
        patterns = [
            pattern
            for name_filter in self._name_filters
            for pattern in name_filter.partition("(")[2].rstrip(")").split()
        ] or list(self._name_filters)
        return not patterns or any(fnmatch.fnmatch(path, pattern) for pattern in patterns)

    def _on_text(self, path: str) -> None:
        was_valid, self._valid = self._valid, self._is_valid(path)
        if self._valid:
            self.currentPathChanged.emit(path)
        if self._valid != was_valid:
            self.validInputChanged.emit(self._valid)

    @Slot(str)
    def setCurrentPath(self, path: str) -> None:
        self._combo_box.lineEdit().setText(path)

    @Slot()
    def browse(self) -> None:
        start, filters = self.currentPath, ";;".join(self._name_filters)
        if not self._filters & self.Filter.Files:
            path = qt.QFileDialog.getExistingDirectory(self, "Select a directory...", start)
        elif self._filters & self.Filter.Writable:
            path = qt.QFileDialog.getSaveFileName(self, "Select a file to save", start, filters)
        else:
            path = qt.QFileDialog.getOpenFileName(self, "Open a file", start, filters)
        if path:
            self.setCurrentPath(path)

    def _history(self) -> list[str]:
        kept = qt.QSettings().value(self._history_key(), []) or []
        return [kept] if isinstance(kept, str) else list(kept)

    def _history_key(self) -> str:
        return f"ctkPathLineEdit/{self._setting_key or self.name}"

    @Slot()
    def addCurrentPathToHistory(self) -> None:
        path = self.currentPath
        if path:
            history = [path, *(old for old in self._history() if old != path)]
            qt.QSettings().setValue(self._history_key(), history[: self._HISTORY_LENGTH])
            self.retrieveHistory()

    @Slot()
    def retrieveHistory(self) -> None:
        path = self.currentPath
        was_blocking = self._combo_box.blockSignals(True)
        self._combo_box.clear()
        self._combo_box.addItems(self._history())
        self._combo_box.blockSignals(was_blocking)
        self.setCurrentPath(path)

    def comboBox(self) -> Any:
        return self._combo_box

    currentPath = Property(str, lambda self: self._combo_box.lineEdit().text, setCurrentPath)
    label = stored(str, "_label")
    filters = stored(int, "_filters")
    nameFilters = stored("QStringList", "_name_filters")
    settingKey = stored(str, "_setting_key", retrieveHistory)
    showBrowseButton = Property(
        bool,
        lambda self: not self._browse_button.isHidden(),
        lambda self, show: self._browse_button.setVisible(show),
    )


@stands_for_real
class ctkDirectoryButton(qt.QWidget):
    _button: qt.QPushButton
    _directory = "."
    _caption = ""
    _text = ""
    _accept_mode = QFileDialog.AcceptOpen

    directoryChanged = Signal(str)
    directorySelected = Signal(str)

    def __init__(self, *arguments: Any) -> None:
        directory, rest = text_and_rest(arguments)
        super().__init__(*rest)
        self._button = qt.QPushButton()
        self._button.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        self._button.setIcon(self.style().standardIcon(QStyle.SP_DirIcon))
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        self._button.connect("clicked()", self.browse)
        self._directory = directory or "."
        self._show()

    def _show(self) -> None:
        self._button.text = self._text or QDir(self._directory).absolutePath()

    def _set_directory(self, directory: str) -> None:
        # As in CTK, a relative path stays as given until another directory is set.
        changed = QDir(directory) != QDir(self._directory)
        absolute = QDir(directory).absolutePath()
        if changed:
            self._directory = absolute
            self._show()
        self.directorySelected.emit(absolute)
        if changed:
            self.directoryChanged.emit(absolute)

    @Slot(result=str)
    def browse(self) -> str:
        caption = self._caption or self.toolTip
        directory = qt.QFileDialog.getExistingDirectory(self, caption, self._directory)
        if directory:
            self._set_directory(directory)
        return directory

    directory = Property(str, lambda self: self._directory, _set_directory)
    caption = stored(str, "_caption")
    text = stored(str, "_text", _show)
    icon = forwarded(QIcon, "_button", "icon")
    acceptMode = stored(QFileDialog.AcceptMode, "_accept_mode")


@stands_for_real
class ctkFittedTextBrowser(qt.QTextBrowser):
    """A text browser as high as its text."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Preferred)
        self.connect("textChanged()", self.updateGeometry)

    def heightForWidth(self, width: int) -> int:
        frame = 2 * QTextBrowser.frameWidth(self)
        document = self.document
        shown_width = document.textWidth
        document.textWidth = width - frame
        height = round(document.size.height())
        document.textWidth = shown_width
        return max(height, self.fontMetrics().lineSpacing()) + frame

    def minimumSizeHint(self) -> QSize:
        hint = QTextBrowser.minimumSizeHint(self)
        return QSize(hint.width(), self.heightForWidth(max(hint.width(), self.width)))

    def sizeHint(self) -> QSize:
        return self.minimumSizeHint()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self.updateGeometry()


@stands_for_real
class ctkMessageBox(qt.QMessageBox):
    _check_box: qt.QCheckBox
    _settings_key = ""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._check_box = qt.QCheckBox("Don't show this message again")
        self._check_box.visible = False

    def _show_check_box(self, visible: bool) -> None:
        self.setCheckBox(self._check_box if visible else None)
        self._check_box.visible = visible

    @Slot(bool)
    def setDontShowAgain(self, dont_show: bool) -> None:
        self._check_box.checked = dont_show

    dontShowAgain = Property(bool, lambda self: self._check_box.checked, setDontShowAgain)
    dontShowAgainVisible = Property(bool, lambda self: self.checkBox() is not None, _show_check_box)


@stands_for_real
class ctkComboBox(qt.QComboBox):
    def _current_user_data(self) -> str:
        data = self.currentData
        return "" if data is None else str(data)

    @Slot(str)
    def setCurrentUserDataAsString(self, data: str) -> None:
        for index in range(self.count):
            if str(self.itemData(index)) == data:
                self.currentIndex = index
                return
        self.currentIndex = -1

    currentUserDataAsString = Property(str, _current_user_data, setCurrentUserDataAsString)


@stands_for_real
class ctkCheckBox(qt.QCheckBox):
    """A check box; CTK adds an icon for the indicator, which the host does not."""
