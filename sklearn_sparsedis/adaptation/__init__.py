"""Heads of new tasks from few rows, with a prior that old tasks give."""

from sklearn_sparsedis.adaptation._design import Design, TaskRows
from sklearn_sparsedis.adaptation._evidence import Scales, Strengths, log_evidence
from sklearn_sparsedis.adaptation._learn import learn_common_prior, learn_prior
from sklearn_sparsedis.adaptation._prior import NewHeads, TaskPrior
from sklearn_sparsedis.adaptation._rows import draw_rows, rows_of_tasks

__all__ = [
    "Design",
    "NewHeads",
    "Scales",
    "Strengths",
    "TaskPrior",
    "TaskRows",
    "draw_rows",
    "learn_common_prior",
    "learn_prior",
    "log_evidence",
    "rows_of_tasks",
]
