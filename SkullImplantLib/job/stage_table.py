"""What the stages of a run are called for people, and how long each takes, in their order."""

# The stages' names are those that `core.stages.StageReport` is told; another is shown as it is.
STAGE_TITLES = {
    "sample patient": "Making the sample patient",
    "reading": "Reading the image",
    "reading the reference": "Reading the reference",
    "skull": "Finding the skull",
    "super-resolution": "Refining the skull",
    "pose": "Finding the head's position",
    "prior": "Predicting the missing bone",
    "reference": "Registering the earlier anatomy",
    "completion": "Completing the skull",
    "holes": "Looking for the holes",
    "implant": "Fitting the implant",
    "surface": "Making the surface",
    "checks": "Checking the implant",
    "export": "Writing the results",
    "pictures": "Drawing the pictures",
    "other side": "Bringing the other side onto the bone",
    "comparison": "Comparing the designs",
    "organs": "Looking for the organs",
    "organ refinement": "Refining the organs",
}
# Typical seconds for a head CT of 0.55 mm on two processor cores, without pictures and report.
DESIGN_SECONDS = {
    "reading": 1.5,
    "skull": 3.5,
    "pose": 0.8,
    "prior": 1.4,
    "completion": 2.0,
    "implant": 1.5,
    "surface": 0.4,
    "checks": 0.7,
    "export": 0.5,
}
PICTURES_SECONDS = 4.0
STAGE_SECONDS = {
    "design": DESIGN_SECONDS,
    "holes": {
        "reading": 1.5,
        "skull": 3.5,
        "pose": 0.8,
        "prior": 1.4,
        "completion": 2.0,
        "holes": 0.4,
        "export": 0.3,
    },
    "sample": {"sample patient": 18.0},
    "demo": {
        "sample patient": 18.0,
        **DESIGN_SECONDS,
        "export": DESIGN_SECONDS["export"] + PICTURES_SECONDS,
    },
    "update": {"reading": 1.0, "surface": 0.4, "checks": 0.7, "export": 0.5},
    "export": {"export": 8.0},
    "report": {"reading": 1.0, "pictures": PICTURES_SECONDS},
    "defect": {"reading": 1.5, "skull": 3.5, "pose": 0.8, "export": 4.0},
    "mirror": {"reading": 1.0, "pose": 0.8, "prior": 1.4, "other side": 2.0},
    "compare": {"reading": 0.3, "comparison": 2.0},
    # Of a CT of 512 x 512 x 180 voxels.
    "organs": {"reading": 2.0, "organs": 10.0, "organ refinement": 60.0, "export": 15.0},
    "devices": {},
}
