"""The active sites of a sparse tensor and the table in which their rows are looked up.

Sites are int32 coordinates (batch, z, y, x), multiples of `stride`, unique and in lexicographic
order. A lattice is the regular grid of a box of cells with one number a cell; everything that a
hash map does elsewhere (membership, union, neighbours, coarser sites) is indexing into a lattice,
and because cells are numbered lexicographically, reading marked cells in order gives sorted sites
without sorting.
"""

from dataclasses import dataclass

import torch

from ..errors import SkullImplantError

# Cell numbers and page starts must be int32; a 512^3 grid has a quarter of so many cells.
MAXIMUM_CELLS = 2**29
# Sites of one tensor: 8 channels of them are 1 GiB. A head at 512^3 has 3 to 5 million.
MAXIMUM_SITES = 2**25
# Coordinates that are looked up at a time, so that what is between needs little memory.
SOME_ROWS = 2**17
# Cells of a page of the look-up table: about a run of bone along x in a CT.
PAGE_BITS = 4
PAGE_CELLS = 2**PAGE_BITS


@dataclass(frozen=True)
class Lattice:
    """The cells of a box: `lower` (batch, z, y, x) is its first cell, in units of coordinates.

    Cells are `stride` apart in space (1 in batch); `shape` counts them along (batch, z, y, x).
    """

    lower: tuple[int, int, int, int]
    shape: tuple[int, int, int, int]
    stride: int

    @staticmethod
    def around(coordinates: torch.Tensor, stride: int, below: int = 0, above: int = 0) -> "Lattice":
        """Return the smallest lattice with all `coordinates` [N, 4], and so many cells around.

        Raises:
            SkullImplantError: it has more than `MAXIMUM_CELLS`.
        """
        if not len(coordinates):
            return Lattice((0, 0, 0, 0), (0, 0, 0, 0), stride)
        low, high = (bound.tolist() for bound in torch.aminmax(coordinates, dim=0))
        lower = (low[0], *((c // stride - below) * stride for c in low[1:]))
        upper = (high[0], *((c // stride + above) * stride for c in high[1:]))
        steps = (1, stride, stride, stride)
        shape = tuple((u - c) // s + 1 for u, c, s in zip(upper, lower, steps))
        lattice = Lattice(lower, shape, stride)
        if lattice.cells > MAXIMUM_CELLS:
            raise SkullImplantError(
                f"A grid of {lattice.cells:,} cells is more than the {MAXIMUM_CELLS:,} that the"
                " sparse engine looks up; crop the volume or use a coarser grid."
            )
        return lattice

    @property
    def cells(self) -> int:
        """Number of cells."""
        b, z, y, x = self.shape
        return b * z * y * x

    @property
    def steps(self) -> tuple[int, int, int, int]:
        """How far apart in the numbering the neighbours along (batch, z, y, x) are."""
        _, z, y, x = self.shape
        return (z * y * x, y * x, x, 1)

    @property
    def corners(self) -> tuple[list[int], list[int]]:
        """Coordinates of the first and the last cell."""
        steps = (1, self.stride, self.stride, self.stride)
        last = [c + (n - 1) * s for c, n, s in zip(self.lower, self.shape, steps)]
        return list(self.lower), last

    def covers(self, other: "Lattice") -> bool:
        """Return whether all cells of `other` are cells of this lattice."""
        if self.stride != other.stride:
            return False
        (low, high), (first, last) = self.corners, other.corners
        return all(a <= b for a, b in zip(low, first)) and all(a <= b for a, b in zip(last, high))

    def widened(self, stride: int, below: int = 0, above: int = 0) -> "Lattice":
        """Return the lattice of `stride` with all cells' corners, and so many cells around."""
        if not self.cells:
            return Lattice(self.lower, self.shape, stride)
        corners = torch.tensor(self.corners, dtype=torch.int32)
        return Lattice.around(corners, stride, below, above)

    def numbers(self, coordinates: torch.Tensor) -> torch.Tensor:
        """Return the cell numbers, int32 [N], of `coordinates` [N, 4], which must lie inside.

        A coordinate between two cells (finer than `stride`) belongs to the cell below it.
        """
        shift = self.stride.bit_length() - 1  # strides are powers of two: a shift is a floor
        lower, steps = self.lower, self.steps
        first = lower[0] * steps[0] + sum((c >> shift) * s for c, s in zip(lower[1:], steps[1:]))
        batch, z, y, x = coordinates.unbind(1)
        if shift:
            z, y, x = (coordinates[:, 1:] >> shift).unbind(1)
        # Products may overflow; the difference is right all the same, modulo 2^32.
        number = torch.add(x, y, alpha=steps[2]).add_(z, alpha=steps[1])
        if self.shape[0] > 1:
            number.add_(batch, alpha=steps[0])
            return number.sub_(_wrapped(first))
        return number.sub_(_wrapped(first - lower[0] * steps[0]))

    def contains(self, coordinates: torch.Tensor) -> torch.Tensor:
        """Return which of `coordinates` [N, 4] lie inside the box, bool [N]."""
        inside = torch.ones(len(coordinates), dtype=torch.bool, device=coordinates.device)
        steps = (1, self.stride, self.stride, self.stride)
        for axis, (low, count, step) in enumerate(zip(self.lower, self.shape, steps)):
            column = coordinates[:, axis]
            inside &= (column >= low) & (column < low + count * step)
        return inside

    def coordinates(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return the coordinates, int32 [N, 4], of cell `numbers`."""
        rest = numbers.to(torch.int32)
        result = torch.empty((len(rest), 4), dtype=torch.int32, device=rest.device)
        scales = (1, self.stride, self.stride, self.stride)
        for axis, (low, step, scale) in enumerate(zip(self.lower, self.steps, scales)):
            quotient = rest.div(step, rounding_mode="floor") if step > 1 else rest
            rest = rest - quotient * step
            result[:, axis] = quotient * scale + low
        return result


class Sites:
    """An immutable sorted set of sites; tensors of equal coordinates share one."""

    def __init__(self, coordinates: torch.Tensor, stride: int) -> None:
        """Wrap `coordinates` int32 [N, 4], known to be valid and sorted (see `sorted_sites`)."""
        if len(coordinates) > MAXIMUM_SITES:
            raise SkullImplantError(
                f"{len(coordinates):,} sites are more than the {MAXIMUM_SITES:,} that the sparse"
                " engine takes; crop the volume or use a coarser grid."
            )
        self.coordinates = coordinates
        self.stride = stride
        self._box: Lattice | None = None
        self._table: Table | None = None

    def __len__(self) -> int:
        return len(self.coordinates)

    @property
    def device(self) -> torch.device:
        """Where the coordinates live."""
        return self.coordinates.device

    @property
    def box(self) -> Lattice:
        """The bounding box."""
        if self._box is None:
            self._box = Lattice.around(self.coordinates, self.stride)
        return self._box

    def equals(self, other: "Sites") -> bool:
        """Return whether the other sites are the same ones."""
        return self is other or (
            self.stride == other.stride and torch.equal(self.coordinates, other.coordinates)
        )

    def to(self, device: torch.device | str) -> "Sites":
        """Return the same sites on `device`."""
        return Sites(self.coordinates.to(device), self.stride)

    def lattice(self, stride: int, below: int = 0, above: int = 0) -> Lattice:
        """Return the bounding box with so many cells of `stride` more on its sides."""
        return self.box.widened(stride, below, above)

    def table(self, wanted: Lattice) -> "Table":
        """Return a table of the sites on a lattice that has at least the cells of `wanted`.

        `wanted` may be finer than the sites' own stride and may leave sites out. The last table is
        kept, since the backward pass and the next layer mostly ask for the same.
        """
        if self._table is not None and self._table.lattice.covers(wanted):
            return self._table
        self._table = None  # not two at a time
        self._table = Table(self, wanted)
        return self._table

    def forget(self) -> None:
        """Free the look-up table; it is made again when needed."""
        self._table = None

    def rows_of(self, coordinates: torch.Tensor) -> torch.Tensor:
        """Return the row of each of `coordinates` [M, 4] among the sites, int64 [M]; -1 if absent.

        Coordinates must be multiples of the stride.
        """
        rows = torch.full((len(coordinates),), -1, dtype=torch.int64, device=self.device)
        if not len(self) or not len(coordinates):
            return rows
        table = self.table(self.box)
        for some, answer in zip(coordinates.split(SOME_ROWS), rows.split(SOME_ROWS)):
            inside = self.box.contains(some)
            found = table.look_up(table.lattice.numbers(some[inside])).long()
            answer[inside] = torch.where(found < len(self), found, -1)
        return rows

    def contains(self, coordinates: torch.Tensor) -> torch.Tensor:
        """Return which of `coordinates` [M, 4] are sites, bool [M]."""
        return self.rows_of(coordinates) >= 0

    def coarser(self) -> "Sites":
        """Return the sites of twice the stride that hold these (floor, unique)."""
        return _marked([self], self.lattice(2 * self.stride))

    def pyramid(self, levels: int) -> "list[Sites]":
        """Return so many levels, each of twice the stride of the next, down to these sites."""
        pyramid = [self]
        for _ in range(levels - 1):
            pyramid.append(pyramid[-1].coarser())
        return pyramid[::-1]

    def dilated(self, offsets: torch.Tensor) -> "Sites":
        """Return all sites at `offsets` [K, 3] (z, y, x; in units of the stride) from a site."""
        reach = int(offsets.abs().max())
        lattice = self.lattice(self.stride, reach, reach)
        return _marked([self], lattice, steps_of(lattice, offsets))

    def union(self, other: "Sites") -> "Sites":
        """Return the sites of either."""
        if self.stride != other.stride:
            raise ValueError(f"sites of strides {self.stride} and {other.stride} do not unite")
        if self.equals(other) or not len(other):
            return self
        if not len(self):
            return other
        both = torch.tensor([*self.box.corners, *other.box.corners], dtype=torch.int32)
        return _marked([self, other], Lattice.around(both, self.stride))

    def children(self) -> tuple["Sites", torch.Tensor]:
        """Return the eight children of every site, at half the stride, and where they are.

        The second value, int64 [4 N], says for `4 i + 2 dz + dy` at which pair of rows (x even, x
        odd) of the result the children (dz, dy) of site i stand: pair p is rows 2p and 2p + 1.
        """
        count = len(self)
        if 8 * count > MAXIMUM_SITES:
            raise SkullImplantError(
                f"{8 * count:,} candidate voxels are more than the {MAXIMUM_SITES:,} that the"
                " sparse engine takes; crop the volume or use a coarser grid."
            )
        half = self.stride // 2
        coordinates, device = self.coordinates, self.device
        i = torch.arange(count, device=device)
        plane, plane_size = _runs(coordinates[:, :2])
        line, line_size = _runs(coordinates[:, :3])
        # All children with dz = 0 of a plane come before those with dz = 1, and so on for lines.
        first = 2 * plane + line + i
        dz, dy = 2 * plane_size, line_size
        pairs = torch.stack([first, first + dy, first + dz, first + dz + dy], dim=1)
        result = torch.empty((4 * count, 8), dtype=torch.int32, device=device)
        for corner in range(4):
            down, along = half * (corner // 2), half * (corner % 2)
            shifts = torch.tensor([[0, down, along, 0], [0, down, along, half]]).int()
            pair = coordinates[:, None] + shifts.to(device)
            result.index_copy_(0, pairs[:, corner], pair.view(count, 8))
        return Sites(result.view(-1, 4), half), pairs.view(-1)


class Table:
    """The row of the site in every cell of a lattice, page by page, as computers address memory.

    Sites fill a few percent of their box. So the cells are taken in pages of `PAGE_CELLS`, and only
    pages with a site in them have memory; an eighth of that of a row a cell, for a skull.

    `pages` int32 is where in `rows` the page of a cell begins; all pages without sites are one, the
    first. `rows` int32 is the row of the site in a cell, or the number of sites where none is.
    `numbers` int32 is the cell of each site in the lattice, which are all of them if `complete`.
    """

    def __init__(self, sites: Sites, lattice: Lattice) -> None:
        self.lattice = lattice
        count, device = len(sites), sites.device
        rows = torch.arange(count, dtype=torch.int32, device=device)
        coordinates = sites.coordinates
        self.complete = lattice.stride == sites.stride and lattice.covers(sites.box)
        if not self.complete:
            inside = lattice.contains(coordinates)
            coordinates, rows = coordinates[inside], rows[inside]
        self.numbers = lattice.numbers(coordinates)
        page = self.numbers >> PAGE_BITS
        new = torch.ones(len(page), dtype=torch.int32, device=device)
        new[1:] = page[1:] != page[:-1]  # rows are sorted, so a page's rows stand together
        start = new.cumsum(0, dtype=torch.int32) << PAGE_BITS
        used = int(start[-1]) if len(start) else 0
        length = (lattice.cells >> PAGE_BITS) + 1
        self.pages = torch.zeros(length, dtype=torch.int32, device=device)
        self.pages.scatter_(0, page.long(), start)
        self.rows = torch.full((used + PAGE_CELLS,), count, dtype=torch.int32, device=device)
        self.rows.scatter_(0, (start + (self.numbers & (PAGE_CELLS - 1))).long(), rows)

    def look_up(self, cells: torch.Tensor) -> torch.Tensor:
        """Return the row, int32 [M], of the site in each of `cells`, int32 [M]."""
        place = self.pages.index_select(0, cells >> PAGE_BITS)
        place += cells & (PAGE_CELLS - 1)
        return self.rows.index_select(0, place)


def sorted_sites(coordinates: torch.Tensor, stride: int) -> tuple[Sites, torch.Tensor | None]:
    """Return valid sites from `coordinates` [N, 4] in any order, and the order that sorts them.

    The order (int64 [N]) is None where they are sorted already.

    Raises:
        ValueError: not integer, not [N, 4], not multiples of the stride (a power of two), or a
            site twice.
    """
    if coordinates.dim() != 2 or coordinates.shape[1] != 4:
        raise ValueError(f"coordinates must be [N, 4] (batch, z, y, x), not {coordinates.shape}")
    if coordinates.is_floating_point() or coordinates.dtype == torch.bool:
        raise ValueError(f"coordinates must be integers, not {coordinates.dtype}")
    if stride < 1 or stride & (stride - 1):
        raise ValueError(f"the stride must be a power of two, not {stride}")
    coordinates = coordinates.to(torch.int32)
    if stride > 1 and bool((coordinates[:, 1:] & (stride - 1)).any()):
        raise ValueError(f"coordinates must be multiples of the stride {stride}")
    numbers = Lattice.around(coordinates, stride).numbers(coordinates)
    order = None
    if bool((numbers[1:] < numbers[:-1]).any()):
        numbers, order = torch.sort(numbers)
        coordinates = coordinates[order]
    if bool((numbers[1:] == numbers[:-1]).any()):
        raise ValueError("a site occurs twice in the coordinates")
    return Sites(coordinates.contiguous(), stride), order


def _wrapped(number: int) -> int:
    """Return `number` modulo 2^32, as a signed 32-bit integer."""
    return (number + 2**31) % 2**32 - 2**31


def steps_of(lattice: Lattice, offsets: torch.Tensor) -> torch.Tensor:
    """Return what `offsets` [K, 3] (z, y, x; in cells) add to a cell number, int32 [K]."""
    steps = torch.tensor(lattice.steps[1:], dtype=torch.int64)
    return (offsets.cpu().long() * steps).sum(1).to(torch.int32).to(offsets.device)


def _marked(sets: list[Sites], lattice: Lattice, steps: torch.Tensor | None = None) -> Sites:
    """Return the cells of `lattice` that hold a site of any set, or lie `steps` from one."""
    device = sets[0].device
    marks = torch.zeros(lattice.cells, dtype=torch.bool, device=device)
    for sites in sets:
        numbers = lattice.numbers(sites.coordinates)
        for step in [0] if steps is None else steps.tolist():
            marks[(numbers + step).long()] = True
    cells = marks.nonzero().squeeze(1)
    return Sites(lattice.coordinates(cells), lattice.stride)


def _runs(keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first row and the length of the run of equal `keys` [N, k] that a row is in."""
    count = len(keys)
    i = torch.arange(count, device=keys.device)
    new = torch.ones(count, dtype=torch.bool, device=keys.device)
    new[1:] = (keys[1:] != keys[:-1]).any(1)
    run = new.cumsum(0) - 1
    starts = i[new]
    ends = torch.cat([starts[1:], starts.new_tensor([count])])[: len(starts)]
    return starts[run], (ends - starts)[run]
