"""U2, U3, U4, D1 and R1: what recommenders are worth that were trained on these rows."""
