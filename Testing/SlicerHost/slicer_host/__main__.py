"""Open a scripted module in the development host: `slicer-host MODULE.py`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from .host import Host, start

NO_DISPLAY = (
    "slicer-host: there is no display to open a window on: connect one, prefix the command with"
    " xvfb-run (as in `xvfb-run slicer-host MODULE.py`), or give --screenshot FILE.png for a"
    " picture instead."
)
NO_SAMPLE = "slicer-host: no module registered the sample data set {!r}: see its Sample Data names."
EXIT_OK = 0
EXIT_SLOT_ERROR = 1  # its traceback is on standard error
EXIT_USAGE = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parse(arguments)
    if options.screenshot is None and not _has_display():
        print(NO_DISPLAY, file=sys.stderr)
        return EXIT_USAGE
    host = start(testing=False, display=options.screenshot is None)

    # `slicer.app` and `qt`, which these are made of, exist from here on.
    from .window import HostWindow

    window = HostWindow(host)
    if options.size is not None:
        window.resize(*options.size)
    module = host.load_module(options.module)
    host.emit_startup_completed()
    window.show()
    host.process_events()
    if options.sample is not None:
        source = _sample(options.sample)
        if source is None:
            print(NO_SAMPLE.format(options.sample), file=sys.stderr)
            return EXIT_USAGE
        _load_sample(host, source)
    for file in options.open:
        _load(file)
    # Entered last, as by a user who loads the patient and then opens the module.
    window.show_module(host.make_widget(module))
    if options.screenshot is not None:
        window.screenshot(options.screenshot)
        window.close()
        return EXIT_SLOT_ERROR if host.slot_errors else EXIT_OK
    return host.application.exec()


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="slicer-host",
        description="Show a scripted module beside real MRML views, without Slicer itself.",
    )
    parser.add_argument("module", type=Path, metavar="MODULE.py", help="the module's file")
    parser.add_argument(
        "--sample",
        nargs="?",
        const="",
        metavar="NAME",
        help="load a data set that the module registers with Sample Data; its first, if not named",
    )
    parser.add_argument(
        "--open", type=Path, nargs="+", default=[], metavar="FILE", help="load these files"
    )
    parser.add_argument(
        "--screenshot", type=Path, metavar="PNG", help="save the window as a picture and leave"
    )
    parser.add_argument("--size", type=_size, metavar="WxH", help="size of the window in pixels")
    options = parser.parse_args(arguments)
    for file in (options.module, *options.open):
        if not file.exists():
            parser.error(f"{file} does not exist")
    return options


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = map(int, text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not WIDTHxHEIGHT, as 1440x900 is") from None
    return width, height


def _has_display() -> bool:
    if not sys.platform.startswith("linux") or "QT_QPA_PLATFORM" in os.environ:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _load(file: Path) -> None:
    """Load a file as one dropped onto Slicer's window: a volume becomes the one that is shown."""
    import slicer

    file_type = slicer.app.coreIOManager().fileType(str(file))
    slicer.util.loadNodeFromFile(str(file.resolve()), file_type, {})
    slicer.util.resetThreeDViews()


def _sample(name: str) -> Any | None:
    """The sample of that name that a module registered, any module's first for ""; or None."""
    import SampleData

    categories = SampleData.SampleDataLogic.sampleDataSourcesByCategory().values()
    samples = [source for category in categories for source in category]
    return next((source for source in samples if name in ("", source.sampleName)), None)


def _load_sample(host: Host, source: Any) -> None:
    """Load the sample as its button in the Sample Data module does."""
    import SampleData
    import slicer

    load = source.customDownloader or SampleData.SampleDataLogic().downloadFromSource
    host.call_in_event_loop(lambda: load(source))
    slicer.util.resetThreeDViews()


if __name__ == "__main__":
    sys.exit(main())
