"""Draw how well new targets are learned from few rows, from docs/notes/new_tasks.md."""

from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).parent
ROWS = (10, 20, 50, 100)
TITLES = {"wq": "river water", "oes97": "employment", "hepatic": "assays", "osales": "sales"}


def read_table():
    """Mean R^2 of `adapt` and of the best peer, by data set."""
    lines = (HERE.parent / "notes" / "new_tasks.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| table | `adapt`, mean"))
    found = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return found
        name, ours, peer = (cell.strip() for cell in line.strip("|").split("|")[:3])
        found[name] = [[float(x) for x in cell.split("/")] for cell in (ours, peer)]
    return found


def main():
    """Write new_targets.png beside this file."""
    figures = read_table()
    _, axes = plt.subplots(1, len(figures), figsize=(10, 2.9), layout="constrained")
    for ax, (name, (ours, peer)) in zip(axes, figures.items(), strict=True):
        ax.plot(ROWS, ours, "o-", color="C0", label="adapt")
        ax.plot(ROWS, peer, "s--", color="0.5", label="best of nine usual models")
        ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        ax.set(xscale="log", xticks=ROWS, title=TITLES[name], xlabel="labelled rows")
        ax.set_xticklabels([str(n) for n in ROWS])
        ax.minorticks_off()
    axes[0].set_ylabel("mean R² of new targets")
    axes[1].legend(fontsize=8, loc="lower right")
    plt.savefig(HERE / "new_targets.png", dpi=120)


if __name__ == "__main__":
    main()
