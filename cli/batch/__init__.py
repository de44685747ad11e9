"""`batchline batch`: runs a table through a model on a server, as batches of OpenAI's Batch API.

A client of the HTTP interface only. `command` is the program and `arguments` its options. `tables` reads the
input, `requests` makes the lines of batches from its rows, `parts` cuts them into files, `server` calls the
interface, `run` submits and follows, `state` is what a second start continues from, `progress` is the bar.
`answers` reads the downloaded files, `output` and `parquet` write the result. `lock` keeps a second command
away from the same result, `replacement` puts a file in the place of another.
"""
