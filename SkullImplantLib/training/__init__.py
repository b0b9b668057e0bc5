"""From a folder of skulls to trained networks: cohort, defects, augmentation, training."""
