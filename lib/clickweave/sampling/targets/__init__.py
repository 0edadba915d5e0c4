"""Events that were asked for by what they are: a plan, then draws that meet it."""
