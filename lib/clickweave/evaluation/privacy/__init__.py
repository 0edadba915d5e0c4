"""P1 to P4: does what was generated tell of the people it was made from?"""
