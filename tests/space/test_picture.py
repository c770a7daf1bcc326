"""Pictures of genomes: no overlaps, file types, and an error without matplotlib."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from rosearch.errors import MissingResourceError
from rosearch.space import SearchSpace, TextEncoding, templates


@pytest.mark.usefixtures("encodings")
@pytest.mark.parametrize("count", [0, 3, 12, 24])
def test_labels_and_boxes_do_not_overlap(count: int) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patches import FancyBboxPatch

    for seed in range(4):
        space = SearchSpace(nodes=(count, count), encodings=["merged", "shortened"])
        genome = space.sample(seed=seed)
        figure = genome.draw()
        renderer = FigureCanvasAgg(figure).get_renderer()
        (axes,) = figure.axes
        boxes = [p.get_window_extent(renderer) for p in axes.patches
                 if isinstance(p, FancyBboxPatch)]  # fmt: skip
        assert len(boxes) == len(genome.encodings) + count + 2
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        texts = [t.get_window_extent(renderer) for t in axes.texts if t.get_text()]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(texts, 2))
        inside = [t for t in texts if any(b.y0 <= t.y0 and t.y1 <= b.y1 for b in boxes)]
        for text in inside:
            assert any(b.x0 <= text.x0 and text.x1 <= b.x1 for b in boxes)
        page = figure.bbox
        for extent in (*boxes, *texts):
            assert extent.x0 >= page.x0
            assert extent.x1 <= page.x1
            assert extent.y0 >= page.y0
            assert extent.y1 <= page.y1


def test_no_edge_crosses_a_box() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.patches import FancyBboxPatch, PathPatch

    for seed in range(6):
        (axes,) = SearchSpace(nodes=(14, 20)).sample(seed=seed).draw().axes
        boxes = [p.get_bbox() for p in axes.patches if isinstance(p, FancyBboxPatch)]
        for patch in axes.patches:
            if isinstance(patch, PathPatch):
                (points,) = patch.get_path().interpolated(4).to_polygons(closed_only=False)
                for x, y in points[1:-1]:
                    assert not any(b.x0 < x < b.x1 and b.y0 < y < b.y1 for b in boxes)


def test_file_type_follows_the_suffix(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    genome = templates.text_cnn()
    genome.draw(tmp_path / "graph.svg")
    genome.draw(str(tmp_path / "graph.png"))
    assert (tmp_path / "graph.svg").read_text().lstrip().startswith("<?xml")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="not supported"):
        genome.draw(tmp_path / "graph.doc")


def test_title() -> None:
    pytest.importorskip("matplotlib")
    genome = templates.bag_of_words()
    assert any(genome.key in text.get_text() for text in genome.draw().axes[0].texts)


def test_draw_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingResourceError, match=r"pip install 'rosearch\[plot\]'"):
        templates.text_cnn().draw()


def test_matplotlib_is_imported_lazily() -> None:
    code = (
        "import sys, rosearch; print(rosearch.SearchSpace().sample(seed=0)); "
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.usefixtures("encodings")
def test_encodings_stand_above_the_embedding() -> None:
    pytest.importorskip("matplotlib")
    encodings = TextEncoding("lower_case"), TextEncoding("merged")
    texts = templates.text_cnn(encodings=encodings).draw().axes[0].texts
    place = {text.get_text(): text.get_position() for text in texts}
    chain = ["lower_case", "merged", "subword_embedding", "max pooling"]
    heights = [place[name][1] for name in chain]
    assert heights == sorted(heights, reverse=True)
    assert len({place[name][0] for name in chain[:3]}) == 1
    assert "strength 0.05" in place


def test_notebooks_show_it_without_pyplot() -> None:
    pytest.importorskip("matplotlib")
    code = (
        "import sys, rosearch as rs\n"
        "figure = rs.templates.text_cnn().draw()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert figure._repr_png_().startswith(b'\\x89PNG')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
