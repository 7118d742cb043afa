"""Keys of a bucket: their paths, their order, their listing."""
