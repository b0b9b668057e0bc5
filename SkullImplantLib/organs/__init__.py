"""Organs that fill hardly a voxel in a hundred: segmented coarse, then brought to the CT's grid.

The images' own grid has 512 x 512 x Z voxels, which a dense network does not see at once: it works
on 128^3, and what it finds is brought to the fine grid (Li et al. 2023, "Segmentation of sparse
medical images").
"""
