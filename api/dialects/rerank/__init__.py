"""The rerank interface of Cohere and Jina: `POST /v1/rerank` and `POST /v2/rerank`.

requests   the request's body, and the texts of its documents
answers    the answer: the documents, best first
errors     problems as errors of this interface
routes     the endpoints; `description` describes them
interface  the dialect
"""
