"""Frame features of a speech model: the teacher, or "offline network", of M2D-S (M2D-S paper, section 3.3)."""
