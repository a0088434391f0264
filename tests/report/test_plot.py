"""Learning curves from the ledger."""

import re

import pytest
import yaml

from seqbench.errors import UserError
from seqbench.report.ledger import write_record
from seqbench.report.plot import build_plots

pytest.importorskip("matplotlib")
DECLARED = {
    "tables": [
        {
            "name": "copy",
            "title": "Copying",
            "columns": [{"heading": "Steps", "metric": "steps", "format": ",.0f"}],
            "rows": [
                {"label": "the model", "experiment": "copy/model"},
                {"label": "not run", "experiment": "copy/other"},
            ],
        }
    ]
}


@pytest.fixture
def results(tmp_path, make_record):
    (tmp_path / "tables.yaml").write_text(yaml.safe_dump(DECLARED))
    for seed in (0, 1):
        curve = {"steps": [10, 20, 30], "nll": [0.5, 0.1, 0.02 + seed / 100]}
        record = make_record(f"run{seed}", seed=seed) | {"curve": curve}
        record["metrics"] = {**record["metrics"], "baseline": {"nll": 0.2}}
        write_record(record, tmp_path / "runs")
    return tmp_path


def compose_for(make_record):
    config = make_record("any")["config"]

    def compose(experiment, overrides):
        return config if experiment == "copy/model" else {**config, "model": {"_target_": "another"}}

    return compose


def test_a_plot_has_a_line_a_seed_and_the_baseline(results, make_record):
    compose = compose_for(make_record)
    (path,) = build_plots(results / "tables.yaml", results / "runs", results / "plots", compose)
    text = path.read_text()
    assert path.name == "copy.svg"
    assert len(re.findall(r'id="line2d_\d+"', text)) > 3
    assert "the model (2 seeds)" in text and "baseline without memory" in text and "not run" not in text


def test_a_partial_row_is_drawn_unless_its_model_went_on(results, make_record):
    partial = {"label": "the model", "experiment": "copy/model", "partial": "1 of 2"}
    for rows, drawn in (([partial], True), ([*DECLARED["tables"][0]["rows"], partial], False)):
        (results / "tables.yaml").write_text(yaml.safe_dump({"tables": [{**DECLARED["tables"][0], "rows": rows}]}))
        (path,) = build_plots(results / "tables.yaml", results / "runs", results / "plots", compose_for(make_record))
        assert ("the model (partial: 1 of 2) (2 seeds)" in path.read_text()) == drawn
        assert ("the model (2 seeds)" in path.read_text()) != drawn


@pytest.mark.parametrize("length", [10, 25, 60])
def test_the_legend_fits_into_the_figure(results, make_record, length, monkeypatch):
    from matplotlib.figure import Figure

    place = []
    save = Figure.savefig

    def measured(figure, *arguments, **settings):
        save(figure, *arguments, **settings)
        place.append((figure.legends[0].get_window_extent(), figure.bbox))

    monkeypatch.setattr(Figure, "savefig", measured)
    rows = [{"label": f"{number:0{length}}", "experiment": "copy/model"} for number in range(4)]
    (results / "tables.yaml").write_text(yaml.safe_dump({"tables": [{**DECLARED["tables"][0], "rows": rows}]}))
    build_plots(results / "tables.yaml", results / "runs", results / "plots", compose_for(make_record))
    ((legend, figure),) = place
    assert 0 <= legend.x0 < legend.x1 <= figure.width


def test_drawing_again_changes_nothing(results, make_record):
    compose, texts = compose_for(make_record), []
    for _ in range(2):
        (path,) = build_plots(results / "tables.yaml", results / "runs", results / "plots", compose)
        texts.append(path.read_bytes())
    assert texts[0] == texts[1]


def test_what_cannot_be_drawn_is_said(results, make_record):
    place = (results / "tables.yaml", results / "runs", results / "plots", compose_for(make_record))
    with pytest.raises(UserError, match=r"There is no table cpoy \(did you mean copy\?\)"):
        build_plots(*place, ["cpoy"])
    for path in (results / "runs").iterdir():
        path.unlink()
    assert build_plots(*place) == []
    with pytest.raises(UserError, match="No finished run of the table copy has a learning curve"):
        build_plots(*place, ["copy"])


def axes_of(monkeypatch, results, make_record, **settings):
    """The first panel, before it is written."""
    from matplotlib.figure import Figure

    seen = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *rest, **more: (seen.append(figure), save(figure, *rest, **more))
    )
    (path,) = build_plots(
        results / "tables.yaml", results / "runs", results / "plots", compose_for(make_record), **settings
    )
    return seen[0].axes[0], path


def test_seeds_are_a_mean_in_a_band(results, make_record, monkeypatch):
    axes, _ = axes_of(monkeypatch, results, make_record)
    assert list(axes.lines[0].get_ydata()) == pytest.approx([0.5, 0.1, 0.025])
    (band,) = axes.collections
    assert sorted(set(band.get_paths()[0].vertices[:, 1].round(6))) == [0.02, 0.03, 0.1, 0.5]


def test_the_scale_is_logarithmic_where_losses_span_a_decade(results, make_record, monkeypatch):
    assert axes_of(monkeypatch, results, make_record)[0].get_yscale() == "log"
    for path in (results / "runs").iterdir():
        path.write_text(path.read_text().replace("0.02", "0.09").replace("0.03", "0.09"))
    assert axes_of(monkeypatch, results, make_record)[0].get_yscale() == "linear"


def test_over_hours_it_is_another_file(results, make_record, monkeypatch):
    axes, path = axes_of(monkeypatch, results, make_record, x="hours")
    assert (path.name, axes.get_xlabel()) == ("copy.hours.svg", "hours of training")
    with pytest.raises(UserError, match=r"x is one of steps, tokens, hours, not 'hour' \(did you mean hours\?\)"):
        build_plots(results / "tables.yaml", results / "runs", results / "plots", compose_for(make_record), x="hour")
