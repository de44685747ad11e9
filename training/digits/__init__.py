"""Trains `models/digits`, a small classifier of handwritten digits; run it with `python -m training.digits`.

1. `data` reads scikit-learn's digits and splits them into training and test sets.
2. `learning` trains a vision transformer from random weights on them.
3. `card` writes the model card from the figures.

`__main__` is the command line; it writes the folder and scores the written model.
"""
