"""What the report shows in 3-D is small whatever the skull, and says how true it is."""

import numpy as np
from scipy.spatial import cKDTree
from vtkmodules.vtkFiltersSources import vtkSphereSource

from SkullImplantLib.export.shown_skull import REDUCTION, simplified
from SkullImplantLib.implant.meshes import arrays_of, mesh_of


def test_a_rough_surface_is_made_simpler_all_the_same_and_the_error_is_told():
    """Bone as rough as thin bone of the face once kept all its triangles: a page of 8.4 MB."""
    source = vtkSphereSource()
    source.SetRadius(60.0)
    source.SetThetaResolution(120)
    source.SetPhiResolution(90)
    source.Update()
    points, triangles = arrays_of(source.GetOutput())
    rough = points * (1.0 + 0.03 * np.random.default_rng(0).normal(size=(len(points), 1)))
    found, off_mm = simplified(mesh_of(rough, triangles))
    assert found.GetNumberOfPolys() <= (1.0 - REDUCTION) * len(triangles) * 1.02
    nearest = cKDTree(arrays_of(found)[0]).query(rough)[0]
    assert 0.0 < off_mm <= nearest.max()
