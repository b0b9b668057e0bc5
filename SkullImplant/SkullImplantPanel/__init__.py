"""The rooms of the SkullImplant module: what its panel does, one subject a file.

Only these files and SkullImplant.py know Slicer and Qt; the work itself is in SkullImplantLib.
"""
