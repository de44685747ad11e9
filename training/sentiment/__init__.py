"""Makes `models/sentiment`, the demo classifier; run it with `python -m training.sentiment`.

The steps, one module each:

1. `sources` fetches the rated reviews and the starting model, and checks their hashes.
2. `data` reads the reviews and divides them into training, development and test sets.
3. `learning` fits a classifier to soft targets; teacher and student use the same loop.
4. `distill` fits the teacher, the whole starting model, to the ratings.
5. `vocabulary` and `shrink` cut the teacher down to the student.
6. `distill` has the student learn from the ratings and from the teacher.
7. `export` writes the Hugging Face folder, `evaluate` scores what was written.
8. `card` writes the model card from the figures.

`run` is these steps in order; `__main__` is the command line.
"""
