"""Known variants of data sets, and how an unknown copy differs from them."""
