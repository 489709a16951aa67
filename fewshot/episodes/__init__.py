"""Episodes: the images that each one has, and those images on a device."""
