"""Text generation with continuous batching: rows join and leave between two steps (decisions/044).

pipeline        the task's class: rows, joining, steps, answers
support         whether a model can be run so: what its configuration says, and a trial
decoder         the model with the rows that it continues: prompts, steps
slot_cache      keys and values of the rows, and what each row may see of them
room            how many positions of keys and values may be in memory
choice          the next token of each row, by transformers' own logits processors
text_stream     the text of a row, token by token, and the strings that end it
row             one prompt with its parameters and its progress
"""
