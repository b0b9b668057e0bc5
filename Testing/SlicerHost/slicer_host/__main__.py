"""Open a scripted module in the development host: `python -m slicer_host MODULE.py`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .host import start

NO_DISPLAY = (
    "slicer_host: there is no display to open a window on: connect one, prefix the command with"
    " xvfb-run (as in `xvfb-run make panel`), or give --screenshot FILE.png for a picture instead."
)
EXIT_OK = 0
EXIT_SLOT_ERROR = 1  # its traceback is on standard error
EXIT_USAGE = 2
SAMPLE_NAME = "SamplePatient"
EVENT_PAUSE_S = 0.02


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
    if options.sample:
        window.statusBar().showMessage("Making the sample patient ...")
        _load_sample_patient(host)
        window.statusBar().hide()
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
        prog="slicer_host",
        description="Show a scripted module beside real MRML views, without Slicer itself.",
    )
    parser.add_argument("module", type=Path, metavar="MODULE.py", help="the module's file")
    parser.add_argument("--sample", action="store_true", help="load SkullImplant's sample patient")
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


def _load(file: Path, name: str | None = None) -> None:
    """Load a file as one dropped onto Slicer's window: a volume becomes the one that is shown."""
    import slicer

    file_type = slicer.app.coreIOManager().fileType(str(file))
    properties = {} if name is None else {"name": name}
    slicer.util.loadNodeFromFile(str(file.resolve()), file_type, properties)
    slicer.util.resetThreeDViews()


def _load_sample_patient(host) -> None:
    """Make the sample patient, with the window alive meanwhile, and load its CT."""
    import SimpleITK

    from SkullImplantLib.cases.sample import make_sample_patient

    with ThreadPoolExecutor(max_workers=1) as executor:
        patient = executor.submit(make_sample_patient)
        while not patient.done():
            host.process_events()
            time.sleep(EVENT_PAUSE_S)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{SAMPLE_NAME}.nrrd"
        SimpleITK.WriteImage(patient.result().ct, file)
        _load(file, SAMPLE_NAME)


if __name__ == "__main__":
    sys.exit(main())
