"""English sentences about the reserve that `compress` keeps: in pictures, and as a share of the drop as it was earlier."""

from __future__ import annotations

SENTENCES = {
    "protocol.reserve": (
        "Two decisions use the drop differently. Sparsities and bit widths are chosen right up to the limit. When compression "
        "chooses the smallest of its candidates, it keeps <share> % of the allowed drop in reserve, so that at most "
        "<safe> points are accepted, and <rounded_share> % for files that are rounded for fewer bits after training (at most "
        "<rounded> points): the smallest of several tends to be one that was lucky on validation. Only where no candidate is "
        "that good, or the smallest that is would be several times as large, the smallest within the whole drop is taken."
    ),
    "final.reserve": (
        "A smaller candidate of <kilobytes> KB was within the allowed <limit> points as well, with a validation drop of <drop> "
        "points. It was not taken: for a file of its kind <share> % of the drop is a reserve, which leaves <safe> points."
    ),
    "protocol.bound": (
        "Two decisions use the drop differently. Sparsities and bit widths are chosen right up to the limit. When compression "
        "chooses the smallest of its candidates, it asks for a reserve, counted in pictures: that the drop on pictures that "
        "nobody has seen stay within <limit> points too, with a one-sided confidence of <confidence> %. What bounds it are "
        "the validation pictures that only the baseline answers rightly and those that only the candidate does (Tango, 1998); "
        "that the smallest of several was chosen, which tends to be one that was lucky on validation, is not in the bound. "
        "Only where no candidate is that good, or the smallest that is would be several times as large, the smallest within "
        "the drop on validation is taken."
    ),
    "protocol.undecidable": (
        "Two decisions use the drop differently. Sparsities and bit widths are chosen right up to the limit. When compression "
        "chooses the smallest of its candidates, it would ask for a reserve as well: that the drop on pictures that nobody has "
        "seen stay within <limit> points, with a one-sided confidence of <confidence> %. The <pictures> validation pictures of "
        "this study are too few to tell that of any file (of one that answers all of them as the baseline does, the bound is "
        "<smallest> points), so that no reserve was asked for and the smallest within the drop on validation was taken."
    ),
    "final.bound_kept": (
        "It keeps the reserve that was asked for: with <confidence> % confidence, one-sided, its drop on pictures that nobody "
        "has seen is at most <bound> points (of <pictures> validation pictures, the baseline alone answers <lost> rightly, and "
        "the file alone <gained>)."
    ),
    "final.bound_missed": (
        "No candidate keeps the reserve that was asked for: with <confidence> % confidence, one-sided, nothing better than "
        "<bound> points can be said of its drop on pictures that nobody has seen, and that it stays within <limit> with "
        "<reached> % alone."
    ),
    "final.bound_forgone": (
        "It is without the reserve that was asked for, since the smallest candidate that keeps it, of <kilobytes> KB, is "
        "<factor> times as large: with <confidence> % confidence, one-sided, its drop on pictures that nobody has seen is at "
        "most <bound> points, and that it stays within <limit> can be said with <reached> % alone."
    ),
    "final.bound_undecidable": (
        "Whether its drop on pictures that nobody has seen stays within <limit> points, <pictures> validation pictures are too "
        "few to tell: with <confidence> % confidence, one-sided, it is at most <bound> points."
    ),
    "final.bound_not_taken": (
        "A smaller candidate of <kilobytes> KB was within the allowed <limit> points on validation as well, with <drop>. It was "
        "not taken: on pictures that nobody has seen its drop may be up to <bound> points."
    ),
}
