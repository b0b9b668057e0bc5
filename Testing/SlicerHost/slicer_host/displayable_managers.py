"""Which of MRML's displayable managers draw the slices and the 3D views."""

import slicer

# The managers that the view widgets themselves name in Slicer, then those that its loadable modules
# (Markups, Segmentations, Transforms, Colors, Volume Rendering) add. Only the edges of slices in 3D
# are missing: slicer-core cannot make a vtkMRMLThreeDSliceEdgeDisplayableManager by its name.
SLICE_DISPLAYABLE_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLLinearTransformsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)
THREE_D_DISPLAYABLE_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager3D",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager3D",
    "vtkMRMLLinearTransformsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLVolumeRenderingDisplayableManager",
)


def register_displayable_managers(application_logic) -> None:
    """Make both factories know the application logic and the managers of their views."""
    for factory_class, names in (
        (slicer.vtkMRMLSliceViewDisplayableManagerFactory, SLICE_DISPLAYABLE_MANAGERS),
        (slicer.vtkMRMLThreeDViewDisplayableManagerFactory, THREE_D_DISPLAYABLE_MANAGERS),
    ):
        factory = factory_class.GetInstance()
        factory.SetMRMLApplicationLogic(application_logic)
        for name in names:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
