"""The Hugging Face interface: `POST /models/{name}` for every task, as `InferenceClient` sends and reads it.

shapes    Shape: how the requests and answers of a task differ from those of `/v1/jobs`
tasks     the shape of each task
parsing   a body becomes inputs and parameters
answers   outputs become an answer
file_answers  answers with masks, pictures and sounds
streaming  a text as it grows
errors    problems become errors
calls     the routes
"""
