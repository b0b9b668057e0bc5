"""Design of patient-specific cranial implants from a head CT."""

__version__ = "0.1.0"
