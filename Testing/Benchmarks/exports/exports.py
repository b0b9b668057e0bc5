"""What the exports of a design take, each by itself and all together, and its report.

    python Testing/Benchmarks/exports/exports.py RESULT CT Testing/Benchmarks/exports

RESULT is what `skull-implant design CT --no-report` wrote, CT a DICOM series: a real head with a
craniectomy, brought to 512 x 512 x 512 voxels:

    skull-implant defect ../shared/data/test/unc-cthead-ct.nii.gz --kind parietotemporal -o cut
    python Testing/Benchmarks/exports/exports.py --make cut/defective.nrrd CT

Each row is a command in a process of its own; counted are the seconds of all processors that it and
its children used, which other work on the machine does not change, and those on the clock. Rows are
kept in `exports.csv` under the name of `--as`; the table has the last of each name as a column.
"""

import argparse
import csv
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from SkullImplantLib.export.formats import FORMATS, Format

SIZE, AIR_HU, ZERO_HU = 512, -1000.0, -1024
COMPLETED = "completed-stl"  # the same again as the skull's
ALL, REPORT, ALL_AND_REPORT = "all together", "report", "all together, with the report"
FIELDS = ("name", "what", "processor_s", "clock_s")
HEAD = """# What exports take

Made by `Testing/Benchmarks/exports/exports.py`: a real head (UNC CThead) with a craniectomy of 92
cm², 512 x 512 x 512 voxels, a DICOM series of 512 slices. Seconds of processor and, after the
stroke, on the clock, on two cores with nothing else to do; the start of the command (1 s) and
reading the series are in them. An empty cell was not measured. *all together* is one command with
every format but the report and the completed skull's surface, *report* is `skull-implant report
--input CT`, and the last row one command for all of them, which draws the report too.

"""


def used_s() -> float:
    """Return the processor seconds of all children that have ended."""
    told = resource.getrusage(resource.RUSAGE_CHILDREN)
    return told.ru_utime + told.ru_stime


def measured(result: Path, ct: Path, what: str) -> dict[str, str]:
    """Return a row: what a command takes."""
    command = [sys.executable, "-m", "SkullImplantLib"]
    with tempfile.TemporaryDirectory() as folder:
        if what == REPORT:
            command += ["report", str(result)]
        else:
            together = [f for f in FORMATS if f.name != COMPLETED]
            if what == ALL:
                together = [f for f in together if not reads_report(f)]
            names = ",".join(f.name for f in together) if what in (ALL, ALL_AND_REPORT) else what
            command += ["export", str(result), "--as", names]
        command += ["--input", str(ct), "-o", folder, "--progress", "none", "--threads", "2"]
        before, begin = used_s(), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        clock_s = time.perf_counter() - begin
    return {
        "what": what,
        "processor_s": f"{used_s() - before:.1f}",
        "clock_s": f"{clock_s:.1f}",
    }


def reads_report(format: Format) -> bool:
    """Say whether a format needs the report, which has a row of its own."""
    return "report.html" in format.reads(1)


ROWS = [f.name for f in FORMATS if not reads_report(f)] + [ALL, REPORT, ALL_AND_REPORT]


def table_of(rows: list[dict[str, str]]) -> str:
    """Return the rows as Markdown, a column for each name."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    found = {(row["what"], row["name"]): f"{row['processor_s']} / {row['clock_s']}" for row in rows}
    lines = [f"| export | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for what in ROWS:
        cells = [found.get((what, name), "") for name in names]
        if any(cells):
            lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def make_series(source: Path, folder: Path) -> None:
    """Write a CT as a DICOM series of `SIZE` slices, `SIZE` voxels wide."""
    ct = sitk.ReadImage(str(source))
    spacing = np.array(ct.GetSize()) * ct.GetSpacing() / SIZE
    middle = ct.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in ct.GetSize()])
    axes = np.reshape(ct.GetDirection(), (3, 3))
    origin = np.array(middle) - axes @ spacing * (SIZE - 1) / 2
    image = sitk.Resample(
        ct, [SIZE] * 3, sitk.Transform(), sitk.sitkLinear, origin.tolist(), spacing.tolist(),
        ct.GetDirection(), AIR_HU, sitk.sitkInt16,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    uids = {name: generate_uid() for name in ("study", "series", "frame")}
    for z, plane in enumerate(sitk.GetArrayViewFromImage(image)):
        place = image.TransformIndexToPhysicalPoint((0, 0, z))
        slice_of(plane, z, place, axes, spacing, uids).save_as(
            folder / f"{z:04d}.dcm", enforce_file_format=True
        )


def slice_of(plane, z: int, place, axes, spacing, uids: dict[str, str]) -> Dataset:
    """Return one slice of a CT as a scanner would write it, of nobody."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = uids["study"], uids["series"]
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = uids["frame"], ""
    made.PatientName = made.PatientID = made.PatientBirthDate = made.PatientSex = ""
    made.StudyDate = made.StudyTime = made.StudyID = made.AccessionNumber = ""
    made.ReferringPhysicianName, made.Manufacturer = "", "Benchmark"
    made.Modality, made.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.SeriesNumber, made.InstanceNumber = 1, z + 1
    decimal = [pydicom.valuerep.DSfloat(float(v), auto_format=True) for v in (*place, *spacing)]
    made.ImagePositionPatient, made.PixelSpacing = decimal[:3], [decimal[4], decimal[3]]
    made.SliceThickness = decimal[5]
    made.ImageOrientationPatient = [f"{v:.6g}" for v in (*axes[:, 0], *axes[:, 1])]
    made.Rows, made.Columns = plane.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelRepresentation = 0
    made.RescaleSlope, made.RescaleIntercept = "1", str(ZERO_HU)
    made.PixelData = (plane.astype(np.int32) - ZERO_HU).clip(0).astype("<u2").tobytes()
    made["PixelData"].VR = "OW"
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--make", type=Path, metavar="HEAD", help="write the series CT from a CT")
    parser.add_argument("--as", dest="name", default="now", help="the column's name")
    parser.add_argument("--only", nargs="*", metavar="WHAT", help="these rows alone")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    options = parser.parse_args()
    if options.make:
        make_series(options.make, options.paths[0])
        return
    result, ct, output = options.paths
    csv_path = output / "exports.csv"
    rows = list(csv.DictReader(csv_path.open())) if csv_path.exists() else []
    for what in options.only or ROWS:
        row = {"name": options.name, **measured(result, ct, what)}
        rows = [r for r in rows if (r["name"], r["what"]) != (row["name"], what)] + [row]
        print(row, flush=True)
        with csv_path.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)
        (output / "exports.md").write_text(HEAD + table_of(rows))


if __name__ == "__main__":
    main()
