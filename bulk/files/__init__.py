"""Uploaded files and files of answers: records in Redis, contents in `bulk.storage`; quotas and lifetimes."""
