"""How many processor threads the libraries below may use."""

import SimpleITK as sitk


def use_threads(threads: int | None, torch: bool = False) -> None:
    """Let SimpleITK, and PyTorch too where `torch` says so, use so many threads.

    None leaves it to them.
    """
    if threads is None:
        return
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    if torch:
        from torch import set_num_threads

        set_num_threads(threads)
