"""Draw where old tasks save labels of a new one, from docs/notes/learning_curves.md."""

from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).parent
SIZES = ("10", "20", "50", "100", "all")


def read_table():
    """Scores of ours and of the best model of a task alone, by data set."""
    lines = (HERE.parent / "notes" / "learning_curves.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| table | score"))
    found = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return found
        name, score, *curves = (cell.strip() for cell in line.strip("|").split("|")[:4])
        found[name] = score, [[float(x) for x in curve.split("/")] for curve in curves]
    return found


def main():
    """Write learning_curves.png beside this file."""
    figures = read_table()
    figure, axes = plt.subplots(1, len(figures), figsize=(12, 3.1), layout="constrained")
    for ax, (name, (score, (ours, alone))) in zip(axes, figures.items(), strict=True):
        for values, style, colour, label in (
            (ours, "o-", "C0", "with old tasks"),
            (alone, "s--", "0.5", "best model of the task alone"),
        ):
            few = len(SIZES) - 1
            ax.plot(range(few), values[:few], style, color=colour, label=label)
            ax.plot([few], values[few:], style[0], color=colour)
        ax.set(xticks=range(len(SIZES)), xticklabels=SIZES, title=name, ylabel=score)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    axes[len(axes) // 2].set_xlabel("labels of the new task")
    plt.savefig(HERE / "learning_curves.png", dpi=120)


if __name__ == "__main__":
    main()
