"""Draw how far identified components can be trusted, from docs/notes/calibration.md."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(__file__).parent


def read_table(title):
    """Cells of the rows of a table, by its first heading."""
    lines = (HERE.parent / "notes" / "calibration.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {title} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def share(cell):
    """The number of "0.95 of 120"."""
    return float(cell.split(" of ")[0])


def main():
    """Write calibration.png beside this file."""
    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
    left.plot([0, 1], [0, 1], color="0.8", zorder=0)
    for columns, style, label in (((1, 2), "s--", "before"), ((3, 4), "o-", "now")):
        rows = [row for row in read_table("stability") if row[columns[0]] != "-"]
        x, y = ([share(row[column]) for row in rows] for column in columns)
        colour = "0.6" if label == "before" else "C0"
        left.plot(x, y, style, color=colour, label=label)
    left.set(xlabel="stability", ylabel="share of components that are right")
    left.set(xlim=(0, 1.02), ylim=(0, 1.02))
    left.legend()
    rows = read_table("heads")
    place = np.arange(len(rows))
    for i, label in enumerate(("of identified: right", "of right: identified")):
        right.barh(place + (i - 0.5) * 0.38, [share(row[i + 1]) for row in rows], 0.38, label=label)
    right.axvline(0.95, color="0.5", linestyle=":")
    right.set(yticks=place, yticklabels=[row[0] for row in rows], xlim=(0, 1), xlabel="share")
    right.invert_yaxis()
    right.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    plt.savefig(HERE / "calibration.png", dpi=120)


if __name__ == "__main__":
    main()
