"""One subject's thorax by a few curves and ellipsoids: where what lies, and how wide it is.

The body's frame is LPS in mm, (x, y, z): x to the left, y to the back, z up, the origin in the
middle of the chest. Places and widths are those of adults as textbooks of anatomy draw them: the
carina at the height of the fifth thoracic vertebra, the arch above and to the left of it, the
oesophagus between windpipe and spine, then against the descending aorta, then left to the stomach.
It is no real anatomy and no evidence of accuracy.
"""

from dataclasses import dataclass

import numpy as np

from .thorax_shapes import Ellipsoid, Floats, Tube, tube

# Neighbours that touch overlap by so much before the deeper one takes the place.
TOUCH_MM = 1.0
# The oesophagus is an empty, flat tube; from front to back it is so much of its width.
OESOPHAGUS_MM, OESOPHAGUS_FLAT = 9.5, 0.66
TRACHEA_MM, TRACHEA_FLAT = 9.2, 0.9
# The descending aorta, and from it to the oesophagus: forward and to the right.
DESCENDING = ((29.0, 46.0, 62.0), (28.0, 50.0, 35.0), (26.0, 50.0, 0.0), (22.0, 49.0, -40.0))
BELOW = ((14.0, 47.0, -85.0), (8.0, 46.0, -130.0), (4.0, 46.0, -200.0))
TO_OESOPHAGUS = (-0.8, -0.6)
RIBS, RIB_STEP_MM = 11, 22.0
# How far points of the curves differ between subjects (standard deviation), and sizes, as shares.
PLACE_MM, SIZE = 1.5, 0.05


@dataclass(frozen=True)
class Anatomy:
    """A subject's shapes; the chest's half width and depth inside, and the fat under the skin."""

    aorta: list[Tube]
    heart: list[Ellipsoid]
    chambers: list[Ellipsoid]
    trachea: list[Tube]
    oesophagus: Tube
    other_vessels: list[Tube]
    vertebrae: Tube
    canal: Tube
    processes: list[Tube]
    ribs: list[Tube]
    half_width_mm: float
    half_depth_mm: float
    fat_mm: float


def chest_at(z: Floats, half_width_mm: float, half_depth_mm: float) -> tuple[Floats, Floats]:
    """Return the half width and depth of the chest's inside at heights z: narrow at the top."""
    narrow = np.sqrt(np.clip(1.0 - (np.maximum(z + 40.0, 0.0) / 175.0) ** 2.2, 0.0, 1.0))
    return half_width_mm * narrow, half_depth_mm * (0.35 + 0.65 * narrow) * (narrow > 0)


def random_anatomy(rng: np.random.Generator) -> Anatomy:
    """Return a new subject; the same generator state gives the same one."""

    def near(*points: tuple[float, float, float]) -> Floats:
        return np.asarray(points) + rng.normal(0.0, PLACE_MM, (len(points), 3))

    def wide(*radii: float) -> Floats:
        return np.asarray(radii) * rng.normal(1.0, SIZE) * rng.normal(1.0, 0.02, len(radii))

    half_width, half_depth = rng.normal(128.0, 6.0), rng.normal(86.0, 4.0)
    windpipe = near((0, 4, 235), (-1, 6, 190), (-3, 10, 130), (-4, 17, 85), (-3, 20, 60))
    trachea_r = wide(*[TRACHEA_MM] * 5)
    bronchi = [
        tube([windpipe[-1], *near((-18, 22, 47), (-36, 25, 30))], [8.5, 7.2, 6.0]),
        tube([windpipe[-1], *near((14, 24, 48), (28, 28, 34), (42, 33, 24))], [8.0, 6.3, 5.8, 5.0]),
    ]
    descending = near(*DESCENDING, *BELOW)
    arch = near((12, -8, -8), (-8, -20, 25), (-8, -20, 55), (7, -7, 80), (22, 19, 84))
    wall_r = wide(15.5, 16.0, 15.5, 14.5, 13.8, 13.0, 12.6, 12.3, 12.0, 11.6, 11.0, 10.5)
    aorta = [tube([*arch, *descending], wall_r.tolist())]
    branches = (
        (arch[3], near((-8, -8, 108), (-24, -6, 140), (-34, -4, 165)), 6.3),
        ((arch[3] + arch[4]) / 2, near((15, 4, 112), (17, 2, 145), (18, 0, 185)), 4.0),
        (arch[4], near((27, 15, 112), (33, 10, 138), (52, 8, 156)), 4.8),
    )
    aorta += [tube([start, *on], wide(*[r] * 4).tolist()) for start, on, r in branches]
    return Anatomy(
        aorta=aorta,
        heart=_heart(rng),
        chambers=_chambers(rng),
        trachea=[tube(windpipe, trachea_r.tolist(), TRACHEA_FLAT), *bronchi],
        oesophagus=_oesophagus(windpipe, trachea_r, descending, wall_r[5:], rng),
        other_vessels=[
            tube(near((15, -32, -5), (18, -28, 25), (16, -12, 42)), wide(15, 14, 13).tolist()),
            tube(near((16, -10, 42), (-10, 0, 40), (-38, 8, 36)), wide(11, 10, 8).tolist()),
            tube(near((16, -10, 42), (34, 6, 46), (48, 18, 44)), wide(11, 9, 8).tolist()),
            tube(near((-32, -12, 0), (-33, -14, 60), (-26, -16, 130)), wide(10, 10, 8).tolist()),
            tube(near((-26, -2, -70), (-27, 2, -110), (-24, 20, -220)), wide(12, 12, 11).tolist()),
            tube(near((-6, 42, -200), (-5, 41, 0), (-6, 40, 55)), wide(2.5, 3.5, 4.0).tolist()),
        ],
        vertebrae=tube(_spine(0.0), wide(15, 16, 17.5, 20, 22).tolist(), 0.85),
        canal=tube(_spine(26.0), [9.0] * 5),
        processes=[
            tube([(0, 92 + 0.04 * abs(z), z), (0, 122, z - 18)], [5.0, 3.5])
            for z in np.arange(-210.0, 220.0, 27.0)
        ],
        ribs=_ribs(half_width, half_depth),
        half_width_mm=half_width,
        half_depth_mm=half_depth,
        fat_mm=float(rng.uniform(8.0, 24.0)),
    )


def _spine(behind_mm: float) -> list[tuple[float, float, float]]:
    places = ((40.0, 240.0), (55.0, 140.0), (69.0, 30.0), (72.0, -90.0), (68.0, -240.0))
    return [(0.0, y + behind_mm, z) for y, z in places]


def _heart(rng: np.random.Generator) -> list[Ellipsoid]:
    """Return ventricles, right and left atrium; the latter lies against the oesophagus."""
    jitter = rng.normal(0.0, PLACE_MM, (3, 3))
    turn = float(rng.normal(-28.0, 6.0))
    return [
        Ellipsoid(
            np.array([32.0, -34.0, -52.0]) + jitter[0], np.array([62.0, 45.0, 47.0]), (0, 24, turn)
        ),
        Ellipsoid(np.array([-14.0, -18.0, -34.0]) + jitter[1], np.array([37.0, 38.0, 42.0])),
        Ellipsoid(np.array([4.0, 10.0, -18.0]) + jitter[2], np.array([36.0, 21.0, 25.0])),
    ]


def _chambers(rng: np.random.Generator) -> list[Ellipsoid]:
    """Return what blood fills within the heart."""
    size = rng.normal(1.0, 0.06)
    turn = (0.0, 24.0, -28.0)
    return [
        Ellipsoid(np.array([44.0, -26.0, -52.0]), size * np.array([38.0, 21.0, 24.0]), turn),
        Ellipsoid(np.array([14.0, -50.0, -58.0]), size * np.array([34.0, 15.0, 26.0]), turn),
        Ellipsoid(np.array([-20.0, -14.0, -34.0]), size * np.array([22.0, 24.0, 30.0])),
        Ellipsoid(np.array([4.0, 10.0, -18.0]), size * np.array([28.0, 15.0, 19.0])),
    ]


def _oesophagus(
    windpipe: Floats,
    trachea_r: Floats,
    descending: Floats,
    aorta_r: Floats,
    rng: np.random.Generator,
) -> Tube:
    """Return the oesophagus: it touches the windpipe from behind, then the aorta from the right."""
    half_depth = OESOPHAGUS_MM * OESOPHAGUS_FLAT
    behind = TRACHEA_FLAT * trachea_r + half_depth - TOUCH_MM
    along = [point + (5.0, gap, 0.0) for point, gap in zip(windpipe, behind)]
    sideways, forward = TO_OESOPHAGUS
    own = 1.0 / np.hypot(sideways / OESOPHAGUS_MM, forward / half_depth)
    for point, radius in zip(descending[2:4], aorta_r[2:4]):
        gap = radius + own - TOUCH_MM
        along.append(point + (sideways * gap, forward * gap, 0.0))
    in_front = aorta_r[4] + half_depth - TOUCH_MM
    along.append(descending[4] + (3.0, -in_front, 0.0))
    along.append(np.array([30.0, 14.0, -108.0]) + rng.normal(0.0, PLACE_MM, 3))
    wide = OESOPHAGUS_MM * rng.normal(1.0, 0.05, len(along))
    return tube(along, wide.tolist(), OESOPHAGUS_FLAT)


def _ribs(half_width_mm: float, half_depth_mm: float) -> list[Tube]:
    """Return the ribs of both sides, each from the spine around the chest and down, and the
    breastbone.
    """
    ribs = []
    for number in range(RIBS):
        turn = np.deg2rad(np.linspace(70.0, -62.0 + 4.0 * max(number - 6, 0) ** 1.6, 9))
        z = 150.0 - RIB_STEP_MM * number - 55.0 * np.linspace(0.0, 1.0, 9) ** 0.8
        width, depth = chest_at(z, half_width_mm + 5.0, half_depth_mm + 5.0)
        x, y = np.maximum(width, 35.0) * np.cos(turn), 5.0 + np.maximum(depth, 35.0) * np.sin(turn)
        ribs += [tube(np.stack([side * x, y, z], 1), [5.0] * 9) for side in (1, -1)]
    front = 3.0 - half_depth_mm
    ribs.append(
        tube([(0, front + 26, 95), (0, front + 6, 30), (0, front, -60)], [19, 15, 13], 0.35)
    )
    return ribs
