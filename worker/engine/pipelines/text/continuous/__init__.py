"""Text generation with continuous batching: rows join and leave between two steps (decisions/044).

pipeline        the task's class: rows, joining, steps, answers
support         whether a model can be run so: what its configuration says, and a trial
decoder         the model with the rows that it continues: joins, steps
prompts         the passes over prompts: together, on top of what is known, in pieces
prefixes        keys and values of what prompts begin with, for those that share it
forward         the arguments of a pass
slot_cache      keys and values of the rows, and what each row may see of them
room            how many positions of keys and values may be in memory
choice          the next token of each row, by transformers' own logits processors
text_stream     the text of a row, token by token, and the strings that end it
row             one prompt with its parameters and its progress
"""
