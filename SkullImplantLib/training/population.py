"""Make `resources/population.npz`: the radial maps of the skulls in a folder, in standard pose.

    python -m SkullImplantLib.training.population FOLDER... -o FILE.npz [--template NAME]
        [--brows NAME...]

Every skull (a mask or a CT with an intact vault, its LPS axes within 30 degrees of the patient's;
a CT is segmented) is brought to the standard pose and written as two radial maps, outer radius and
thickness. The template, as it lies, says what the standard pose is; the mirrored mean of all then
takes its place (generalised Procrustes analysis, Gower 1975). A template named by `--template` (an
average head, say) is no member of the population; without it the first skull by name serves.
Deterministic.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..cases.skull_folder import skulls_of
from ..core.files import atomic_path
from ..core.images import array_of, fraction_on, index_to_lps_mm
from ..errors import SkullImplantError
from ..geometry.brow import BROW_GRID_MM, BROW_LEVELS, Brow, front_box
from ..geometry.frame import Pose, standard_grid
from ..geometry.pose import estimate_pose
from ..geometry.radial import POLAR_RAD, RAY_MM, VAULT_RAD, fill_nearest, share_of_bone, shell_of
from ..geometry.shape_statistics import OUTER, Population

ROUNDS = 3
CENTRE_DEPTH = 0.44  # the template's centre lies this share of its length below the vertex
# Posts of head frames, fiducials and cables stand on the vault; its own bumps are wider or lower.
POST_MM = 2.0  # so far above the median around it bone is a post
AROUND_POST_PIXELS = 9  # 14 mm across: more than twice as wide as a post
BROW_STEPS = 15  # shares of bone are kept in so many steps, which makes the file small
FLANK_PIXELS = 2  # a post's edge pixels are part post, part vault


def load_skulls(*folders: Path) -> dict[str, sitk.Image]:
    """Return the masks of the folders' skulls by name, in order of folder and name.

    CTs are segmented, masks taken as they are: the shipped statistics were made so, and with
    cleaned masks the maps of the 16 training skulls differ by 0.02 mm on average (99 % of the
    pixels by less than 0.25 mm). Raises `SkullImplantError` where a folder has none, or two skulls
    have the same name.
    """
    return {skull.name: skull.read(cleaned=False)[1] for skull in skulls_of(folders)}


def population_of(skulls: dict[str, sitk.Image], poses: dict[str, Pose]) -> Population:
    """Return the maps of `skulls` in their `poses`; where there is no bone, the nearest value."""
    maps, bone = [], []
    for name, skull in skulls.items():
        pose = poses[name]
        outer, inner, known = shell_of(share_of_bone(skull, RAY_MM), pose.rotation, pose.centre_mm)
        maps.append(without_posts([fill_nearest(m, known) for m in (outer, outer - inner)]))
        bone.append(known)
    return Population(tuple(skulls), np.stack(maps).astype(np.float32), np.stack(bone))


def without_posts(maps_mm: Sequence[np.ndarray]) -> np.ndarray:
    """Return the maps (2, SIZE, SIZE) with the median around it where a post stands on the vault.

    A post in one skull's map would come back as a pimple in everybody's implant.
    """
    vault = np.stack([ndimage.median_filter(m, AROUND_POST_PIXELS) for m in maps_mm])
    posts = (maps_mm[OUTER] - vault[OUTER] > POST_MM) & (POLAR_RAD < VAULT_RAD)
    posts = ndimage.binary_dilation(posts, iterations=FLANK_PIXELS)
    return np.where(posts, vault, np.stack(maps_mm))


def build_population(
    skulls: dict[str, sitk.Image], template: str | None = None
) -> tuple[Population, dict[str, Pose]]:
    """Return the population of `skulls` (by name) and the pose of each."""
    first = template or next(iter(skulls))
    if first not in skulls:
        raise SkullImplantError(f"There is no skull named {first}; name one of the folder's.")
    population = population_of({first: skulls[first]}, {first: _as_it_lies(skulls[first])})
    members = {name: skull for name, skull in skulls.items() if name != template}
    poses: dict[str, Pose] = {}
    for _ in range(ROUNDS):
        poses = {name: estimate_pose(skull, population) for name, skull in members.items()}
        population = population_of(members, poses)
    return population, poses


def _as_it_lies(skull: sitk.Image) -> Pose:
    """Return the pose of a skull whose axes are the patient's, its centre from its extent."""
    frame = index_to_lps_mm(skull)
    points = np.argwhere(array_of(skull) > 0)[:, ::-1] @ frame[:3, :3].T + frame[:3, 3]
    bottom = points[:, 2].max() - CENTRE_DEPTH * np.ptp(points[:, 1])
    vault = points[points[:, 2] > bottom]
    middle = (vault.min(axis=0) + vault.max(axis=0)) / 2
    return Pose(np.eye(3), np.array([middle[0], middle[1], bottom]), 0.0)


def brows_of(skulls: dict[str, sitk.Image], poses: dict[str, Pose]) -> tuple[Brow, ...]:
    """Return the foreheads and orbits of `skulls` in their `poses`."""
    z, y, x = front_box()
    found = []
    for name, skull in skulls.items():
        front = standard_grid(poses[name], BROW_GRID_MM)[x, y, z]
        share = array_of(fraction_on(skull, front))
        steps = np.rint(share * BROW_STEPS) * (BROW_LEVELS // BROW_STEPS)
        found.append(Brow(name, steps.astype(np.uint8)))
    return tuple(found)


def save_population(population: Population, path: Path) -> None:
    """Write `population` compressed; maps as float16, which is exact to 0.03 mm."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            names=np.array(population.names),
            maps_mm=population.maps_mm.astype(np.float16),
            bone=population.bone,
            brow_names=np.array([brow.name for brow in population.brows], dtype=str),
            brows=np.array([brow.levels for brow in population.brows], dtype=np.uint8),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and write the population; print each skull's fit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="intact skulls: masks or CTs")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .npz to write")
    parser.add_argument("--template", help="the skull that sets the standard pose, no member")
    parser.add_argument("--brows", nargs="*", default=(), help="skulls whose forehead is kept")
    options = parser.parse_args(arguments)
    try:
        skulls = load_skulls(*options.folders)
        population, poses = build_population(skulls, options.template)
        missing = set(options.brows) - set(poses)
        if missing:
            raise SkullImplantError(
                f"There is no skull named {min(missing)}; name some of the folders'."
            )
        brows = brows_of({name: skulls[name] for name in options.brows}, poses)
        save_population(replace(population, brows=brows), options.output)
    except SkullImplantError as error:
        print(error, file=sys.stderr)
        return 2
    for name, pose in poses.items():
        print(f"{name:24s} fits to {pose.fit_mm:.2f} mm")
    return 0


if __name__ == "__main__":
    sys.exit(main())
