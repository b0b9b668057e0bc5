"""What the files of a result folder are called."""


def stl_names(count: int) -> tuple[str, ...]:
    """Return the names of the files of so many implants."""
    if count == 1:
        return ("implant.stl",)
    return tuple(f"implant-{number}.stl" for number in range(1, count + 1))
