"""Registry of the functions that draw each class, and of the rules for their places."""

from urbanpipe.simulate.defects import (
    cracks,
    crust,
    hanging,
    joints,
    leak,
    obstacle,
    openings,
    remains,
    scum,
    section,
    sediment,
)
from urbanpipe.simulate.defects.spot import Rule

DEFECTS: dict[str, Rule] = {
    "QF": Rule(section.sag, "invert", extent=2.5),
    "FZ": Rule(scum.scum, "invert", extent=1.5),
    "BX": Rule(section.deformation, "upper", extent=1.5),
    "CK": Rule(joints.displaced_joint, "any", at_joint=True, extent=0.6),
    "TJ": Rule(joints.separated_joint, "any", at_joint=True, extent=0.7),
    "AJ": Rule(openings.side_connection, "sides", extent=0.8),
    "FS": Rule(crust.corrosion, "upper", extent=1.6),
    "JG": Rule(crust.scaling, "any", extent=1.0),
    "PL": Rule(cracks.cracks, "any", extent=1.4),
    "CJ": Rule(sediment.sediment, "invert", extent=1.8),
    "CQ": Rule(remains.wall_remains, "invert", extent=0.4),
    "ZW": Rule(obstacle.obstacle, "invert", extent=0.7),
    "CR": Rule(openings.foreign_object, "upper", extent=1.0),
    "SG": Rule(hanging.roots, "upper", at_joint=True, extent=0.9),
    "TL": Rule(hanging.hanging_seal, "upper", at_joint=True, extent=0.4),
    "SL": Rule(leak.leak, "upper", extent=0.5),
}
"""The defects in drawing order: those that move the section or raise the water first, those that lie in it later."""

LOOKALIKES: tuple[Rule, ...] = (
    Rule(cracks.like_crack_line, "any", extent=0.9),
    Rule(crust.like_rough, "upper", extent=1.6),
    Rule(crust.like_film, "any", extent=1.2),
    Rule(openings.like_clean_lateral, "sides", extent=0.7),
    Rule(openings.like_rung, "any", extent=0.4),
    Rule(joints.like_wide_joint, "any", at_joint=True, extent=0.5),
    Rule(joints.like_stained_joint, "upper", at_joint=True, extent=0.6),
    Rule(section.like_narrow_ring, "any", extent=0.6),
    Rule(section.like_puddle, "invert", extent=1.85),
    Rule(sediment.like_thin_dirt, "invert", extent=0.8),
    Rule(sediment.like_leaves, "invert", extent=0.4),
    Rule(leak.like_wet_wall, "upper", extent=0.4),
    Rule(scum.like_glints, "invert", extent=0.5),
)
"""Harmless objects that look like a defect."""
