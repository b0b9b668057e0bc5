"""Patients whose answer is known: the sample patient, defects, flaws, and data sets on disk."""
