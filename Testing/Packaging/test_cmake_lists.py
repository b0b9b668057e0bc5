"""The CMake lists install what the extension is made of, and what they say of it is true."""

import json

from cmake_lists import EXTENSION, CMakeList, files_below

TOP = CMakeList(EXTENSION / "CMakeLists.txt")
MODULE = CMakeList(EXTENSION / "SkullImplant" / "CMakeLists.txt")
LIBRARY = CMakeList(EXTENSION / "SkullImplantLib" / "CMakeLists.txt")

MODULE_KEYWORDS = {"NAME", "SCRIPTS", "RESOURCES", "WITH_GENERIC_TESTS"}
LIBRARY_KEYWORDS = {
    "TARGET_NAME",
    "SCRIPTS",
    "RESOURCES",
    "SOURCE_DIR",
    "DESTINATION_DIR",
    "INSTALL_DIR",
    "NO_INSTALL_SUBDIR",
}
RAW_FILES = (
    TOP.text("EXTENSION_HOMEPAGE").replace("//github.com/", "//raw.githubusercontent.com/")
    + "/main/"
)


def library(keyword: str) -> list[str]:
    return LIBRARY.the("ctkMacroCompilePythonScript").after(keyword, LIBRARY_KEYWORDS)


def module(keyword: str) -> list[str]:
    return MODULE.the("slicerMacroBuildScriptedModule").after(keyword, MODULE_KEYWORDS)


def file_of(url: str) -> str:
    """Return the file in the repository that an address of its raw files names."""
    assert url.startswith(RAW_FILES), url
    return url.removeprefix(RAW_FILES)


def test_every_file_of_the_library_is_installed():
    of_library = files_below("SkullImplantLib") - {"SkullImplantLib/CMakeLists.txt"}
    assert set(library("SCRIPTS")) == {name for name in of_library if name.endswith(".py")}
    assert set(library("RESOURCES")) == {name for name in of_library if not name.endswith(".py")}
    assert {"SkullImplantLib/py.typed", "SkullImplantLib/resources/fine.npz"} <= set(
        library("RESOURCES")
    )


def test_the_library_keeps_its_place_beside_the_module():
    # Files go to DESTINATION_DIR under the names they have from SOURCE_DIR, the extension's root.
    modules = "${Slicer_QTSCRIPTEDMODULES_LIB_DIR}"
    assert library("SOURCE_DIR") == ["${SkullImplant_SOURCE_DIR}"]
    assert library("DESTINATION_DIR") == ["${CMAKE_BINARY_DIR}/" + modules]
    assert library("INSTALL_DIR") == ["${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}"]
    assert "NO_INSTALL_SUBDIR" in LIBRARY.the("ctkMacroCompilePythonScript").arguments


def test_every_file_of_the_module_is_installed():
    development = {"SkullImplant/CMakeLists.txt", "SkullImplant/ruff.toml"}
    of_module = {
        name.removeprefix("SkullImplant/") for name in files_below("SkullImplant") - development
    }
    assert set(module("SCRIPTS")) == {name for name in of_module if name.endswith(".py")}
    assert set(module("RESOURCES")) == {name for name in of_module if not name.endswith(".py")}


def test_no_file_is_listed_twice():
    for listed in (
        library("SCRIPTS"),
        library("RESOURCES"),
        module("SCRIPTS"),
        module("RESOURCES"),
    ):
        assert len(listed) == len(set(listed))


def test_no_file_of_the_library_lands_on_one_of_the_module():
    of_library = library("SCRIPTS") + library("RESOURCES")
    assert not set(of_library) & set(module("SCRIPTS") + module("RESOURCES"))


def test_slicer_runs_the_modules_own_tests():
    assert module("NAME") == ["SkullImplant"]
    assert "WITH_GENERIC_TESTS" in MODULE.the("slicerMacroBuildScriptedModule").arguments
    assert MODULE.the("slicer_add_python_unittest").arguments == ("SCRIPT", "SkullImplant.py")


def test_the_extension_builds_the_library_and_the_module():
    folders = [c.arguments[0] for c in TOP.commands if c.name == "add_subdirectory"]
    includes = [c.arguments[0] for c in TOP.commands if c.name == "include"]
    assert TOP.the("project").arguments == ("SkullImplant",)
    assert TOP.the("find_package").arguments == ("Slicer", "REQUIRED")
    assert folders == ["SkullImplantLib", "SkullImplant"]
    assert includes == [
        "${Slicer_USE_FILE}",
        "${Slicer_EXTENSION_GENERATE_CONFIG}",
        "${Slicer_EXTENSION_CPACK}",
    ]


def test_the_extension_depends_on_what_the_index_builds_first():
    entry = json.loads((EXTENSION / "SkullImplant.json").read_text(encoding="utf-8"))
    assert TOP.text("EXTENSION_DEPENDS").split() == entry["build_dependencies"] == ["PyTorch"]


def test_icon_and_screenshots_exist():
    icon = file_of(TOP.text("EXTENSION_ICONURL"))
    screenshots = [file_of(url) for url in TOP.text("EXTENSION_SCREENSHOTURLS").split()]
    assert icon == "SkullImplant/Resources/Icons/SkullImplant.png"
    assert len(screenshots) >= 2 and len(set(screenshots)) == len(screenshots)
    for name in (icon, *screenshots):
        assert (EXTENSION / name).is_file(), name


def test_the_description_fits_in_an_extension_description_file():
    # Slicer's macros pass it on unquoted, where a semicolon would split it, to a line of its own.
    description = TOP.text("EXTENSION_DESCRIPTION")
    assert not {";", "\n"} & set(description)
    assert "not a medical device" in description
