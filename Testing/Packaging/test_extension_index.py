"""The entry for Slicer's Extensions Index, and the citation: valid, and they fit the rest."""

import json
import re

from cmake_lists import EXTENSION, CMakeList

import SkullImplantLib

ENTRY_FILE = EXTENSION / "SkullImplant.json"
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/"
    "slicer-extension-catalog-entry-schema-v1.0.2.json#"
)
REQUIRED = {"$schema", "category", "scm_url"}
# The keys that version 1.0.2 of the schema knows, and the type of each; it allows no others.
KEYS = {
    "$schema": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "category": str,
    "dicom_support_rule": str,
    "enabled": bool,
    "scm_revision": str,
    "scm_type": str,
    "scm_url": str,
    "tier": int,
}


def entry() -> dict:
    return json.loads(ENTRY_FILE.read_text(encoding="utf-8"))


def test_the_entry_fits_the_schema():
    content = entry()
    assert content["$schema"] == SCHEMA
    assert set(content) >= REQUIRED and set(content) <= set(KEYS)
    for key, value in content.items():
        assert type(value) is KEYS[key], key
    assert all(isinstance(name, str) for name in content["build_dependencies"])
    assert 1 <= content["tier"] <= 5
    assert content.get("scm_type", "git") in ("git", "local")


def test_the_entry_follows_the_rules_of_the_index():
    # Its checks want LF line ends, a file named as the project, and a repository named Slicer...
    assert b"\r" not in ENTRY_FILE.read_bytes()
    (project,) = CMakeList(EXTENSION / "CMakeLists.txt").the("project").arguments
    assert project == ENTRY_FILE.stem and not project.lower().startswith("slicer")
    repository = re.fullmatch(r"https://github\.com/\w+/(\w+)\.git", entry()["scm_url"])
    assert repository and repository[1] == f"Slicer{project}"
    assert entry()["category"] == "Planning"
    # Of the addresses, its checks take git:// and https:// ones.
    assert entry()["scm_url"].startswith("https://")
    licence = (EXTENSION / "LICENSE.txt").read_text(encoding="utf-8")
    home_page = (EXTENSION / "README.md").read_text(encoding="utf-8")
    assert "Apache License" in licence and "Apache-2.0" in home_page


def test_entry_home_page_and_citation_name_one_repository():
    home = CMakeList(EXTENSION / "CMakeLists.txt").text("EXTENSION_HOMEPAGE")
    assert entry()["scm_url"] == f"{home}.git"
    assert citation("repository-code") == home


def test_the_citation_is_of_this_version_and_licence():
    assert citation("version") == SkullImplantLib.__version__
    assert citation("license") == "Apache-2.0"


def citation(key: str) -> str:
    """Return a text at the top level of CITATION.cff."""
    text = (EXTENSION / "CITATION.cff").read_text(encoding="utf-8")
    (value,) = re.findall(rf'^{key}: "?([^"\n]*)"?$', text, re.MULTILINE)
    return value
