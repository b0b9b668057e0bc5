"""From folders of skulls to trained networks: prepared cases, augmentation, training, card."""
