"""An implant's STL as a DICOM object for the hospital's archive: Encapsulated STL.

PS3.3 A.85.1; the codes as in the worked example of a cranial implant in PS3.17, annex "Encapsulated
STL" (a model that was made of a CT, modified, for the fabrication of an implant, in the frame of
reference of the CT, with a preview and nothing burned in).
"""

import io

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedSTLStorage

from .. import __version__
from .dicom_source import SourceSeries, coded, new_object, referenced_series, references_to, text_of

MODALITY, MIME_TYPE = "M3D", "model/stl"
ICON_SIDE = 128  # PS3.3 C.7.6.1.1.6: an icon is no more than that
MILLIMETER = ("mm", "UCUM", "mm")
ALGORITHM = "Cranial implant design"
REVIEW = "PROPOSAL FOR REVIEW"


def encapsulated_stl(
    content: bytes,
    source: SourceSeries,
    title: str,
    number: int,
    picture_png: bytes | None = None,
    mirrored: bool = False,
) -> Dataset:
    """Return an STL in LPS mm as a DICOM object.

    title: of the document. number: of its series, from 0. picture_png: of the report, for the icon.
    mirrored: the patient's other side was turned over for it.
    """
    made = new_object(source, EncapsulatedSTLStorage, MODALITY, number)
    made.SeriesDescription = text_of(title)
    made.AcquisitionDateTime = _acquired(source.first)
    made.ImageLaterality = "U"
    made.BurnedInAnnotation = "NO"
    made.RecognizableVisualFeatures = "NO"
    made.DocumentTitle = text_of(title)
    made.ConceptNameCodeSequence = [coded(codes.cid7061.CT3DCAMModel)]
    made.VerificationFlag = "UNVERIFIED"
    made.SourceInstanceSequence = references_to(source.headers, codes.cid7060.SourceImage)
    made.ReferencedSeriesSequence = [referenced_series(source)]
    made.MIMETypeOfEncapsulatedDocument = MIME_TYPE
    made.EncapsulatedDocumentLength = len(content)
    made.EncapsulatedDocument = content + bytes(len(content) % 2)
    made.MeasurementUnitsCodeSequence = [coded(MILLIMETER)]
    made.ModelModification = "YES"
    made.ModelMirroring = "YES" if mirrored else "NO"
    made.ModelUsageCodeSequence = [coded(codes.cid7064.ImplantFabrication)]
    made.ContentDescription = REVIEW
    made.DerivationAlgorithmSequence = [_algorithm()]
    if picture_png is not None:
        made.IconImageSequence = [_icon(picture_png)]
    return made


def _acquired(header: Dataset) -> str:
    """Return when the CT was acquired, empty where it does not say so."""
    if header.get("AcquisitionDateTime"):
        return str(header.AcquisitionDateTime)
    date, time = header.get("AcquisitionDate", ""), header.get("AcquisitionTime", "")
    return f"{date}{time}" if date else ""


def _algorithm() -> Dataset:
    item = Dataset()
    # Shape statistics that are fitted to the patient's bone (CID 7162).
    item.AlgorithmFamilyCodeSequence = [coded(codes.cid7162.DeformableModels)]
    item.AlgorithmName = ALGORITHM
    item.AlgorithmVersion = __version__
    return item


def _icon(picture_png: bytes) -> Dataset:
    """Return a picture as an icon, gray levels of 8 bits."""
    picture = Image.open(io.BytesIO(picture_png)).convert("L")
    picture.thumbnail((ICON_SIDE, ICON_SIDE))
    pixels = np.asarray(picture, np.uint8)
    item = Dataset()
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.Rows, item.Columns = pixels.shape
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 8, 8, 7, 0
    content = pixels.tobytes()
    item.PixelData = content + bytes(len(content) % 2)
    item["PixelData"].VR = "OB"
    return item
