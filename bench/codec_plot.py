"""The result of bench_codec as a picture: ours against the best peer, cell by cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["draw"]


def draw(result: dict[str, Any], path: Path) -> None:
    """Two panels of bars, encode and decode; 1.0 is the best peer of the cell.  The suffix of *path* is the format."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    families = list(dict.fromkeys(cell["family"] for cell in result["cells"]))
    sizes = list(dict.fromkeys(cell["size"] for cell in result["cells"]))
    figure, panels = pyplot.subplots(2, 1, figsize=(11, 7), layout="constrained", sharex=True)
    width = 0.8 / len(sizes)
    for panel, way in zip(panels, ("encode", "decode"), strict=True):
        for number, size in enumerate(sizes):
            heights = []
            for family in families:
                cell = next(each for each in result["cells"] if each["family"] == family and each["size"] == size)
                times = cell["times"][way]
                heights.append(min(taken for name, taken in times.items() if name != "rat") / times["rat"])
            places = [index + (number - (len(sizes) - 1) / 2) * width for index in range(len(families))]
            panel.bar(places, heights, width * 0.92, label=size, color=pyplot.get_cmap("viridis")(number / len(sizes)))
        panel.axhline(1.0, color="black", linewidth=0.8)
        panel.set_ylabel(f"{way}: times the speed\nof the best peer")
        panel.set_xticks(range(len(families)), families)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(ncols=len(sizes), frameon=False, fontsize=9)
    summary = result["summary"]["best peer of each cell"]
    means = ", ".join(f"{way} {figures['mean']:.2f}x" for way, figures in summary.items())
    figure.suptitle(f"CPython {result['versions']['python']}, 1 KB to 1 MB: {means}", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    pyplot.close(figure)
