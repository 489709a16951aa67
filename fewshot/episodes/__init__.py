"""Which images an episode has, and those images on a device."""
