"""The module's panel scrolled to one of its sections, in whatever scroll area the application shows it."""

import qt


def scrollTo(widget: qt.QWidget) -> None:
    """Bring the top of a widget to the top of the scroll area around it, as far as that goes; where there is none,
    do nothing."""
    area = widget.parentWidget()
    while area is not None and not isinstance(area, qt.QScrollArea):
        area = area.parentWidget()
    if area is not None:
        area.verticalScrollBar().value = widget.mapTo(area.widget(), qt.QPoint(0, 0)).y()
