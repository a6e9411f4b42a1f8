"""
A training in one process or in several
=======================================

Run the script directly, or let torchrun start several processes, called ranks, on one or more
machines::

    python examples/many_processes.py
    torchrun --standalone --nproc-per-node=2 examples/many_processes.py

Every rank has the same data and the same parameters. In each step a rank encodes a part of the
rows. The statistics and gradients of the parts are added, so that all ranks end with the model that
one process would have. Only rank 0 prints and writes files. If a run is killed, the same command
goes on from its checkpoint.
"""

# sphinx_gallery_thumbnail_path = "images/card_ranks.png"

import argparse
import os
from datetime import timedelta

import torch

from sklearn_sparsedis import SparseDisentangledRepresentation, save_model
from sklearn_sparsedis.callbacks import Checkpoint
from sklearn_sparsedis.datasets import make_sparse_multitask


def main():
    """Train on synthetic tasks, and store the model."""
    parser = argparse.ArgumentParser(description="Train in one process or in several.")
    parser.add_argument("--max-iter", type=int, default=500)
    parser.add_argument("--model", default="model.safetensors")
    parser.add_argument("--checkpoint", default="training.safetensors")
    options = parser.parse_args()

    shared = "LOCAL_RANK" in os.environ  # which torchrun sets
    if shared:
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        # a rank that dies makes the others stop at once, one that hangs after this time
        torch.distributed.init_process_group(
            "nccl" if on_gpu else "gloo", timeout=timedelta(minutes=5)
        )

    data = make_sparse_multitask(2000, 100, random_state=0)
    model = SparseDisentangledRepresentation(
        6,
        max_iter=options.max_iter,
        callbacks=[Checkpoint(options.checkpoint, every=100)],
        random_state=0,
    )
    model.fit(data.X[:1500], data.Y[:1500])

    if not shared or torch.distributed.get_rank() == 0:
        save_model(model, options.model)
        print(f"R^2 on held-out rows: {model.score(data.X[1500:], data.Y[1500:]):.4f}")
    if shared:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
