"""English sentences about trainings that did not go as asked."""

from __future__ import annotations

SENTENCES = {
    "training.gentler": (
        "Training <stage> of the step *<step>* began anew at a learning rate of <kept> instead of <rate>, at which <reason>."
    ),
    "training.no_better": (
        "Training <stage> of the step *<step>* is kept as it went at a learning rate of <rate>, although <reason> there: what "
        "was tried instead was no better."
    ),
    "training.as_it_went": (
        "Training <stage> of the step *<step>* is kept as it went at a learning rate of <rate>, although <reason> there."
    ),
    "training.start_kept": (
        "Training <stage> of the step *<step>* did not learn: at a learning rate of <rate>, <reason> (rates tried: <rates>, the "
        "lowest <lowest>). The weights that it began with are kept, <start> % right on validation."
    ),
    "training.not_learned": (
        "Training <stage> of the step *<step>* did not learn: at a learning rate of <rate>, <reason> (rates tried: <rates>, the "
        "lowest <lowest>). It went from <start> to <accuracy> % on validation, where the largest class alone makes <chance> %."
    ),
}
TERMS = {
    "trouble.loss_not_finite": "the loss was not finite",
    "trouble.forgot_what_it_knew": "the network forgot most of what it knew",
    "trouble.worse_than_start": "the network ended worse than it began",
    "trouble.at_chance": "the network was not better than guessing the largest class",
    "trouble.loss_above_guessing": "the loss rose above that of guessing",
}
"""Of values of `worker.core.learning.Trouble`."""
