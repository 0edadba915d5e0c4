"""F2, F5 and F6: histories as a whole, and what a page draws of them."""
