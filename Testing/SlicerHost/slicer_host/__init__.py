"""A development host: runs Slicer modules unchanged on real Qt and MRML, without Slicer."""
