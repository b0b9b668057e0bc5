"""Every sentence that the library can end a run with can be translated, told by its template."""

import re
import sys
from types import ModuleType

import pytest
from library_sentences import PROJECT, TABLE, table, templates

VALUE = re.compile(r"\{\d+\}")


@pytest.fixture
def translation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The panel's translation, with a language in which every text is in brackets."""
    fake = ModuleType("slicer.i18n")
    fake.tr = lambda text, context=None: f"[{text}]"  # type: ignore[attr-defined]
    package = ModuleType("SkullImplantPanel")
    package.__path__ = [str(TABLE.parent)]
    monkeypatch.setitem(sys.modules, "slicer", ModuleType("slicer"))
    monkeypatch.setitem(sys.modules, "slicer.i18n", fake)
    monkeypatch.setitem(sys.modules, "SkullImplantPanel", package)
    for name in ("librarysentences", "translation"):
        monkeypatch.delitem(sys.modules, f"SkullImplantPanel.{name}", raising=False)
    import SkullImplantPanel.translation as module

    yield module
    for name in ("librarysentences", "translation"):
        sys.modules.pop(f"SkullImplantPanel.{name}", None)


def test_the_table_holds_what_the_library_says_now() -> None:
    assert len(templates()) > 150
    assert TABLE.read_text(encoding="utf-8") == table(), (
        "run python Testing/Packaging/library_sentences.py"
    )


def test_every_sentence_is_told_by_its_template_with_what_was_put_in(
    translation: ModuleType,
) -> None:
    for template in templates():
        count = len(VALUE.findall(template))
        values = [f"ct-{number}.nrrd" for number in range(count)]
        sentence = template.format(*values)
        assert translation.translated(sentence) == f"[{sentence}]", template


def test_words_and_sentences_within_a_text_are_told_too(translation: ModuleType) -> None:
    told = translation.translated
    step = "Along its worst 30 mm the implant lies under the bone's inner face by 0.41 mm."
    assert told(step) == (
        "[Along its worst 30 mm the implant [lies under] the bone's [inner] face by 0.41 mm.]"
    )
    gap = "The widest gap is 0.91 mm."
    doubt = "At 7 % of the rim it is not to be trusted: the bone's edge is not sharp."
    assert told(f"{gap} The clearance asked for is 0.5 mm. {doubt}") == (
        f"[{gap}] [The clearance asked for is 0.5 mm.] [{doubt}]"
    )
    reason = (
        "The defect reaches the orbit or the brow, where designs were off by more than 4 mm in "
    )
    reason += "31 % of 52 trials; compare the brow with the other side before use."
    assert told(reason).startswith("[[The defect reaches the orbit or the brow], where designs")
    assert told(reason).endswith("trials; [compare the brow with the other side before use].]")


def test_a_sentence_of_another_version_stays_as_it_is(translation: ModuleType) -> None:
    assert translation.translated("No such sentence, ever.") == "No such sentence, ever."


def test_the_panel_translates_where_library_sentences_arrive() -> None:
    names = ("remedies", "run", "rundisplay", "organssection", "reviewsection", "results")
    for name in (*names, "holestable"):
        text = (TABLE.parent / f"{name}.py").read_text(encoding="utf-8")
        assert "translated(" in text, name
    assert PROJECT in TABLE.parents
