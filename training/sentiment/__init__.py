"""Trains `models/sentiment`, the demo classifier; run it with `python -m training.sentiment`.

The steps and their modules:

1. `sources` downloads the rated reviews and the starting model, and checks their hashes.
2. `data` reads the reviews and splits them into training, development and test sets.
3. `learning` fits a classifier to soft targets; teacher and student use the same loop.
4. `distill` fits the teacher, the complete starting model, to the ratings.
5. `vocabulary` and `shrink` reduce the teacher to the student.
6. `distill` trains the student with the ratings and the teacher's answers.
7. `export` writes the Hugging Face folder, `evaluate` scores the written model.
8. `card` writes the model card from the figures.

`run` runs these steps in order; `__main__` is the command line.
"""
