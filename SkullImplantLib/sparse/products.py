"""Matrix products and sums whose bytes do not depend on the number of threads.

A matrix library may split a sum among its threads, and then rounds it in another order with every
number of them. A batch of products is different: as long as the batch has more members than there
are threads, each member is computed by one thread, in one order. So on a CPU a product is given as
a batch of blocks of rows, their number and size chosen by the shapes alone. (Measured with MKL on 1
to 16 threads; the speed is the same.)
"""

import torch

# Blocks in a batch: more than the threads of a desktop computer, and few enough to be large.
FEWEST_BLOCKS, MOST_BLOCKS = 8, 32
SMALLEST_BLOCK_ROWS = 8
# A kernel's gradient is kept once a block until it is summed; larger ones are split by taps.
LARGEST_BLOCKED_KERNEL = 2**15
# Rows summed in a first step by `column_sums`, too few for a library to split.
SUM_ROWS = 1024


def padded_rows(count: int, device: torch.device) -> int:
    """Return how many rows, at least `count`, the left factor of a product must have."""
    if device.type != "cpu":
        return count
    rows = _block_rows(count)
    return max(-(-count // rows), FEWEST_BLOCKS) * rows


def rows_times(
    rows: torch.Tensor,
    matrix: torch.Tensor,
    shift: torch.Tensor | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return `rows` [M, K] times `matrix` [K, N], plus `shift` [N]; M as `padded_rows` gives it."""
    (count, inner), columns = rows.shape, matrix.shape[1]
    if out is None:
        out = rows.new_empty((count, columns))
    if rows.device.type != "cpu":
        torch.mm(rows, matrix, out=out)
    else:
        size = _block_rows(count)
        blocks = count // size
        torch.bmm(
            rows.view(blocks, size, inner),
            matrix.expand(blocks, inner, columns),
            out=out.view(blocks, size, columns),
        )
    return out if shift is None else out.add_(shift)


def add_kernel_gradient(
    kernel: torch.Tensor, gathered: torch.Tensor, gradient: torch.Tensor
) -> None:
    """Add to `kernel` [K, C, N] the sum over rows of gathered [M, K C] times gradient [M, N].

    M as `padded_rows` gives it; what stands in the padding must be zero in either.
    """
    taps, channels, columns = kernel.shape
    count = len(gathered)
    flat = kernel.view(taps * channels, columns)
    if gathered.device.type != "cpu":
        flat.addmm_(gathered.t(), gradient)
    elif taps >= FEWEST_BLOCKS and kernel.numel() > LARGEST_BLOCKED_KERNEL:
        by_tap = gathered.view(count, taps, channels).permute(1, 2, 0)
        kernel.baddbmm_(by_tap, gradient.expand(taps, count, columns))
    else:
        size = _block_rows(count)
        left = gathered.view(-1, size, taps * channels).transpose(1, 2)
        flat += torch.bmm(left, gradient.view(-1, size, columns)).sum(0)


def column_sums(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of every column of `values` [N, C], as [C]."""
    whole = len(values) // SUM_ROWS * SUM_ROWS
    blocks = values[:whole].view(-1, SUM_ROWS, values.shape[1]).sum(1)
    return blocks.sum(0) + values[whole:].sum(0)


def _block_rows(count: int) -> int:
    """Return the rows of a block: a power of two, so that there are at most `MOST_BLOCKS`."""
    return max(SMALLEST_BLOCK_ROWS, 2 ** (-(-count // MOST_BLOCKS) - 1).bit_length())
