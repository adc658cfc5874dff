"""Keras Transformer Course: build attention, the Transformer and BERT with your own hands.

Importing this package imports nothing heavy: no Keras, no TensorFlow, no JAX.
"""

__version__ = "0.1.0"
