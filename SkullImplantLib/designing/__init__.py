"""What a design, a search for holes and an update of an edited implant are made of: the way to a
completed skull, implants meshed and checked, and the record of it all. `design.py` tells the whole.
"""
