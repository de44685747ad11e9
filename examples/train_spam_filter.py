"""Trains the spam filter on the messages below and writes `examples/spam_filter.joblib`.

    python -m examples.train_spam_filter

Two dozen messages are enough for an example, not for a reliable filter.
"""

from pathlib import Path

import joblib
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

SPAM = [
    "You won a free holiday, claim your prize now",
    "Congratulations, your number was drawn: collect 5,000 in cash today",
    "Cheap loans without any questions, apply now",
    "Lose ten kilos in a week with this one free pill",
    "Your account is locked, click this link and confirm your password",
    "Limited offer: designer watches, 90 % off, buy now",
    "Work from home and earn 900 a day, no experience needed",
    "Claim your free gift card before midnight",
    "Hot stock tip: buy now and double your money",
    "Win a new phone, just click the link and enter your card number",
    "Final notice: your prize expires today, claim it now",
    "Free entry in our cash draw, text WIN now",
]
HAM = [
    "Are we still meeting for lunch on Friday?",
    "I put the minutes of yesterday's meeting in the shared folder",
    "Could you pick up some bread on your way home?",
    "The train is late, I'll be there around eight",
    "Thanks for the book, I finished it over the weekend",
    "The plumber is coming on Tuesday morning, can you let him in?",
    "Mum asks whether you are coming for dinner on Sunday",
    "Please review my changes to the report before you leave",
    "Happy birthday! See you at the party tonight",
    "The meeting has moved to room 12, same time",
    "I forgot my keys at the office, are you still there?",
    "The children loved the zoo, here are the photos",
]


def train(path: Path) -> None:
    """Fits a logistic regression to words and pairs of words, and saves vectorizer and model as one file."""
    model: Pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=30.0)
    )
    model.fit(SPAM + HAM, [1] * len(SPAM) + [0] * len(HAM))
    joblib.dump(model, path)


if __name__ == "__main__":
    target = Path(__file__).with_name("spam_filter.joblib")
    train(target)
    print(f"wrote {target}")
