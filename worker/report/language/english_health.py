"""English sentences about models that are not sound, about a busy machine, and about what a comparison rests on."""

from __future__ import annotations

SENTENCES = {
    "basis.paired": "answered rightly by one alone: <one> and <other> pictures, McNemar's exact p = <p_value>",
    "basis.paired_tiny": "answered rightly by one alone: <one> and <other> pictures, McNemar's exact p < <p_value>",
    "basis.not_recorded": (
        "not paired: the counts are taken as independent, since answers were not kept picture by picture"
    ),
    "basis.other_pictures": "not paired: the counts are taken as independent, since the pictures are not the same",
    "health.one_class": (
        "Not sound: <model> answers *<class>* to <share> % of the validation pictures, whatever they show. Its size and its "
        "drop say nothing good of it."
    ),
    "health.chance": (
        "Not sound: <model> is right on <accuracy> % of the validation pictures, not distinguishably more often than whoever "
        "always answers the most frequent class (<largest> %). Its size and its drop say nothing good of it."
    ),
    "health.dead_layer": "Not sound: nothing passes <layers> of <model>, where the output is the same for every picture.",
    "health.not_finite": "Not sound: <model> answers numbers that are not finite to <pictures> pictures.",
    "channels.busy": (
        "While these times were taken, others kept <cores> cores of the machine busy. Both networks took turns, so that the "
        "factor holds; the milliseconds themselves may be too many."
    ),
    "channels.jostled": (
        "While these times were taken, the process did not have a core of its own. Both networks took turns, so that the "
        "factor holds; the milliseconds themselves may be too many."
    ),
}
