"""OpenAI's interface under /v1: embeddings, models, moderations, completions and chats.

Each call is a job. Its requests have OpenAI's fields; a field that would change the answer and is not
supported is refused rather than ignored.
"""
