"""The rooms of the SkullImplant module: what its panel does, one subject a file.

Only these files and SkullImplant.py know Slicer and Qt; the work itself is in SkullImplantLib.
"""

import sys
from pathlib import Path

# In Slicer the library stands beside this package; in a source checkout, one folder above.
_checkout = Path(__file__).resolve().parents[2]
if (_checkout / "SkullImplantLib").is_dir() and str(_checkout) not in sys.path:
    sys.path.append(str(_checkout))
