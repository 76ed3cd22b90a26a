"""Models in Keras's own files, both ways, without Keras."""
