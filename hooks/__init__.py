"""Webhooks: signed events about the ends of jobs and batches, delivered at least once.

service      what the API uses: endpoints, secrets, deliveries
allowance    how much of that an owner may ask for in a minute
endpoints    the records of endpoints and secrets; `store` keeps them in Redis
listeners    which owners have endpoints, so that the ends of their jobs are written to the outbox
urls         which addresses are accepted
outbox       entries of the outbox, which the script that ends a job or batch writes; `events`: made of them
moving       moves entries from the outbox of each shard to deliveries in shard 0
backlog      what no sender has taken from the outboxes yet
deliveries   what is to be sent, and what was: leases, tries, the log
sender       sends what is due: `posting` one try, `signing`, `retries`, `breakers`

`python -m hooks` runs one sender by itself. The process `bulk` runs one too. No torch, no HTTP server.
"""
