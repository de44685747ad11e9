"""Media: pictures, sounds and videos as bytes, from a request to the engine. Nothing here decodes them.

formats   recognises a format by its first bytes
sizes     pixels, seconds and sample rate in a header; `ogg` for one format
encoded   base64 and data URLs in JSON -> bytes
files     the files of outputs: content types, names and addresses
values    the forms that a medium has within a job's inputs: bytes, a Link, a Stored reference

A medium is never base64 in the queue. Only the engine decodes pixels and samples.
"""
