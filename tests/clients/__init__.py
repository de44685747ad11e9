"""The official clients of other interfaces, unchanged, against a real API and worker.

They are installed in an environment of their own (`requirements.txt`, `make test`), because they must not
become dependencies of the project. `process.py` runs functions of `calls/` there; only those import a client.
"""
