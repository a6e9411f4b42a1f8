"""Encoders, and heads that solve an inner problem."""

from sklearn_sparsedis.nn._common_head import CommonHead
from sklearn_sparsedis.nn._component_statistics import component_statistics, some_statistics
from sklearn_sparsedis.nn._encoders import (
    ENCODERS,
    ConvNetwork,
    Encoder,
    LinearNetwork,
    MLPNetwork,
    build_network,
    column_moments,
    column_scale,
    constant_columns,
    image_shape,
    linear_path,
)
from sklearn_sparsedis.nn._episode_heads import (
    EPISODE_HEADS,
    START_SCALES,
    EpisodeHeads,
    FewShotHead,
)
from sklearn_sparsedis.nn._generators import (
    Generators,
    current_generators,
    diverted_draws,
    seeded,
)
from sklearn_sparsedis.nn._head_parts import head_statistics, merge_heads
from sklearn_sparsedis.nn._heads import (
    GramStatistics,
    HeadProblem,
    Heads,
    HeadTargets,
)
from sklearn_sparsedis.nn._image_encoders import (
    EPISODE_ENCODERS,
    Conv4Network,
    DropBlock,
    ResNet12Network,
)
from sklearn_sparsedis.nn._image_input import ImageInput, with_image_input
from sklearn_sparsedis.nn._observed_rows import (
    observed_gram,
    observed_predictions,
    packs_of_rows,
)
from sklearn_sparsedis.nn._stored_encoder import check_stored_encoder, put_together, take_apart

__all__ = [
    "CommonHead",
    "Conv4Network",
    "ConvNetwork",
    "DropBlock",
    "ENCODERS",
    "EPISODE_ENCODERS",
    "EPISODE_HEADS",
    "Encoder",
    "EpisodeHeads",
    "FewShotHead",
    "Generators",
    "GramStatistics",
    "HeadProblem",
    "HeadTargets",
    "Heads",
    "ImageInput",
    "LinearNetwork",
    "MLPNetwork",
    "ResNet12Network",
    "START_SCALES",
    "build_network",
    "check_stored_encoder",
    "column_moments",
    "column_scale",
    "component_statistics",
    "constant_columns",
    "current_generators",
    "diverted_draws",
    "head_statistics",
    "image_shape",
    "linear_path",
    "merge_heads",
    "observed_gram",
    "observed_predictions",
    "packs_of_rows",
    "put_together",
    "seeded",
    "some_statistics",
    "take_apart",
    "with_image_input",
]
