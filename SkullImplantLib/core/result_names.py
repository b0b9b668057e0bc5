"""What the files of a result folder are called."""


def stl_names(count: int) -> tuple[str, ...]:
    """Return the names of the files of so many implants."""
    if count == 1:
        return ("implant.stl",)
    return tuple(f"implant-{number}.stl" for number in range(1, count + 1))


def maps_name(stl_name: str) -> str:
    """Return the name of the file with the maps of an implant, from that of its STL file."""
    return stl_name.removesuffix(".stl") + "-maps.vtp"
