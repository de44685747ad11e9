"""The contents of files as objects in a folder or in S3, Google Cloud Storage or Azure. No records: see
`bulk.files`."""
