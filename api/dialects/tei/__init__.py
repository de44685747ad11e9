"""The interface of text-embeddings-inference (TEI): embed, rerank, predict, similarity, info, health.

requests   the bodies, and the jobs that they become
answers    the jobs' outputs in TEI's form
errors     problems as TEI's errors
serving    which model a path names, what it is, and whether it is served
routes     the endpoints, at the root and below `/tei/{name}`; `description` describes them
interface  the dialect

TEI serves one model on each port. Here `/tei/{name}` takes the place of its address; the same paths at the
root are for the first model with the call's task (docs/decisions/053).
"""
