from __future__ import annotations

from msae.plots.curves import DASHES, Curve, curves_figure
from msae.plots.theme import PALETTE


def test_subjects_share_a_colour_and_aspects_a_dash():
    curves = [
        Curve(subject=subject, aspect=aspect, x=[1, 2], y=[3.0, 4.0])
        for subject in ("ours", "theirs")
        for aspect in ("level 0", "level 1")
    ]
    figure = curves_figure(curves, title="T", x="tokens", y="FVU", y_scale="log")
    looks = [(trace.line.color, trace.line.dash) for trace in figure.data]
    assert looks == [(PALETTE[i], DASHES[j]) for i in (0, 1) for j in (0, 1)]
    assert [trace.name for trace in figure.data][:2] == ["ours, level 0", "ours, level 1"]
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("linear", "log")
    assert list(figure.data[0].y) == [3.0, 4.0]


def test_there_can_be_more_curves_than_looks():
    many = [Curve(subject=str(i), aspect=str(i), x=[0], y=[1]) for i in range(2 * len(PALETTE) + 1)]
    figure = curves_figure(many, title="", x="", y="")
    assert len({trace.name for trace in figure.data}) == len(many)
    assert figure.data[0].line.color == figure.data[len(PALETTE)].line.color
