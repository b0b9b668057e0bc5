"""Rows of features with a row of zeros behind them, which a missing neighbour reads.

A gather needs the zeros in the same tensor. To append them would copy all rows; so those who make
rows leave room for one more, and those who gather look whether it is there.
"""

import torch


def rows_before_zeros(like: torch.Tensor, count: int, channels: int) -> torch.Tensor:
    """Return new rows [count, channels], of the type and place of `like`, to be written to.

    The memory behind them holds a row of zeros.
    """
    rows = like.new_empty((count + 1, channels))
    rows[count] = 0
    return rows[:count]


def with_zero_row(rows: torch.Tensor) -> torch.Tensor:
    """Return `rows` [N, C] and a last row of zeros, [N + 1, C]: a view where there is one behind.

    Not to be written to, and without gradient.
    """
    rows = rows.detach()
    count, channels = rows.shape
    end = rows.storage_offset() + (count + 1) * channels
    if rows.is_contiguous() and end * rows.element_size() <= rows.untyped_storage().nbytes():
        longer = rows.as_strided((count + 1, channels), (channels, 1))
        if not bool(longer[count].any()):
            return longer
    return torch.cat([rows, rows.new_zeros((1, channels))])
