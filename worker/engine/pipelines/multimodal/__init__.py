"""Tasks whose inputs combine a medium and a text.

processors            what loads an image processor together with a tokenizer
generating            generation by rows of one shape: lengths, ends, steps
zero_shot             labels that the request names, for images and for objects in them
visual_questions      a question about a picture
document_questions    a question about a page
image_text_to_text    captions, continuations and chats
"""
