"""The widgets of ``SkullImplant.ui`` by name, as ``slicer.util.childWidgetVariables`` hands them out."""

from typing import Protocol

import ctk
import qt

import slicer


class Widgets(Protocol):
    """One attribute for each widget of the form, in its order; a type checker finds misspelt names."""

    patientCollapsibleButton: ctk.ctkCollapsibleButton
    inputLabel: qt.QLabel
    inputSelector: slicer.qMRMLNodeComboBox
    volumeInfoLabel: qt.QLabel
    sampleHintLabel: qt.QLabel
    sampleButton: qt.QPushButton
    skullCollapsibleButton: ctk.ctkCollapsibleButton
    skullIsSegmentationCheckBox: qt.QCheckBox
    skullSegmentationLabel: qt.QLabel
    skullSegmentationSelector: slicer.qMRMLNodeComboBox
    thresholdLabel: qt.QLabel
    automaticThresholdCheckBox: qt.QCheckBox
    boneThresholdSlider: ctk.ctkSliderWidget
    previewButton: qt.QPushButton
    leaveOutLabel: qt.QLabel
    leaveOutSelector: slicer.qMRMLNodeComboBox
    referenceLabel: qt.QLabel
    referenceSelector: slicer.qMRMLNodeComboBox
    designCollapsibleButton: ctk.ctkCollapsibleButton
    clearanceLabel: qt.QLabel
    clearanceSpinBox: qt.QDoubleSpinBox
    thicknessLabel: qt.QLabel
    thicknessSpinBox: qt.QDoubleSpinBox
    leastWallLabel: qt.QLabel
    leastWallSpinBox: qt.QDoubleSpinBox
    directionLabel: qt.QLabel
    automaticDirectionCheckBox: qt.QCheckBox
    holesLabel: qt.QLabel
    allHolesCheckBox: qt.QCheckBox
    placeHoleButton: qt.QPushButton
    modelLabel: qt.QLabel
    modelComboBox: qt.QComboBox
    advancedCollapsibleButton: ctk.ctkCollapsibleButton
    smootherLabel: qt.QLabel
    smootherComboBox: qt.QComboBox
    refineLabel: qt.QLabel
    refineSpinBox: qt.QDoubleSpinBox
    deviceLabel: qt.QLabel
    deviceComboBox: qt.QComboBox
    keepResultsCheckBox: qt.QCheckBox
    generateButton: qt.QPushButton
    problemLabel: qt.QLabel
    progressBar: qt.QProgressBar
    progressLabel: qt.QLabel
    errorFrame: qt.QFrame
    errorLabel: qt.QLabel
    logText: qt.QPlainTextEdit
    copyLogButton: qt.QPushButton
    reviewCollapsibleButton: ctk.ctkCollapsibleButton
    resultLabel: qt.QLabel
    resultSelector: slicer.qMRMLNodeComboBox
    expectationLabel: qt.QLabel
    implantLabel: qt.QLabel
    checksTable: qt.QTableWidget
    notesLabel: qt.QLabel
    colorByLabel: qt.QLabel
    colorByComboBox: qt.QComboBox
    colorNoteLabel: qt.QLabel
    underMouseLabel: qt.QLabel
    skullOpacityLabel: qt.QLabel
    skullOpacitySlider: ctk.ctkSliderWidget
    centerButton: qt.QPushButton
    editButton: qt.QPushButton
    updateButton: qt.QPushButton
    undoButton: qt.QPushButton
    reviewReportButton: qt.QPushButton
    exportCollapsibleButton: ctk.ctkCollapsibleButton
    exportFolderLabel: qt.QLabel
    exportFolderEdit: ctk.ctkPathLineEdit
    exportNameLabel: qt.QLabel
    exportNameEdit: qt.QLineEdit
    exportNameButton: qt.QPushButton
    exportNameNote: qt.QLabel
    exportFormatsLabel: qt.QLabel
    exportFormatsFrame: qt.QFrame
    printSizeLabel: qt.QLabel
    exportButton: qt.QPushButton
    openFolderButton: qt.QPushButton
    openReportButton: qt.QPushButton
    exportLabel: qt.QLabel
    disclaimerLabel: qt.QLabel
