"""`ctkDICOMDatabase`: which DICOM files the application knows, in an SQLite file as CTK keeps it.

Of its tables those columns that the questions below need; of its thumbnails, schedulers and tags
nothing. The application makes one when it starts and calls it `slicer.dicomDatabase`; here a test
does, with `open_dicom_database`.
"""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import qt
import slicer

_TABLE = (
    "CREATE TABLE IF NOT EXISTS Images (SOPInstanceUID VARCHAR(64) PRIMARY KEY, "
    "Filename VARCHAR(1024), SeriesInstanceUID VARCHAR(64))"
)


class ctkDICOMDatabase(qt.QObject):
    """The files of patients by the UIDs of their instances."""

    _host_class = True
    _database: sqlite3.Connection | None = None
    _folder: Path | None = None

    def openDatabase(self, databaseFile: str) -> None:
        """Open the file of a database, or make it."""
        self._folder = Path(databaseFile).parent
        self._database = sqlite3.connect(databaseFile)
        self._database.execute(_TABLE)

    def closeDatabase(self) -> None:
        """Answer nothing from now on."""
        if self._database is not None:
            self._database.close()
        self._database = None

    def insert(self, filePath: str, storeFile: bool = True) -> None:
        """Take in a file: copied into the database's folder, or as it lies."""
        import pydicom

        assert self._database is not None and self._folder is not None
        header = pydicom.dcmread(filePath, stop_before_pixels=True)
        study, series = str(header.get("StudyInstanceUID", "")), str(header.SeriesInstanceUID)
        uid, kept = str(header.SOPInstanceUID), filePath
        if storeFile:
            # Files of its own are kept relative to its folder, so that it can be moved.
            kept = str(Path("dicom") / study / series / uid)
            (self._folder / kept).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(filePath, self._folder / kept)
        row = (uid, kept, series)
        self._database.execute("INSERT OR REPLACE INTO Images VALUES (?, ?, ?)", row)
        self._database.commit()

    def fileForInstance(self, sopInstanceUID: str) -> str:
        """The file of an instance, its whole path; empty where it is not known."""
        found = self._files("SOPInstanceUID", sopInstanceUID)
        return found[0] if found else ""

    def filesForSeries(self, seriesUID: str) -> list[str]:
        """The files of a series."""
        return self._files("SeriesInstanceUID", seriesUID)

    def _files(self, column: str, value: str) -> list[str]:
        if self._database is None or self._folder is None:
            return []
        query = f"SELECT Filename FROM Images WHERE {column}=?"
        return [str(self._folder / name) for (name,) in self._database.execute(query, (value,))]


def open_dicom_database(folder: Path) -> Any:
    """Make the application's database in a folder: `slicer.dicomDatabase`."""
    database = ctkDICOMDatabase()
    database.openDatabase(str(folder / "ctkDICOM.sql"))
    slicer.dicomDatabase = database
    return database
