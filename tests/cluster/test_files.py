"""Files in a cluster: their records are in the slot of the first shard."""

from bulk.files.cleaning import Cleaned
from bulk.files.files import Files
from bulk.storage.storage import Storage
from jobs.ledger import keys
from jobs.ledger.shards import Shards
from jobs.settings import Settings
from jobs.store.store import Store
from tests.bulk.files.test_files import upload


async def test_files_are_stored_listed_deleted_and_cleaned_in_a_cluster(
    store: Store, settings: Settings
) -> None:
    files = Files(Shards(store, settings).first, Storage(settings))
    one, other = await upload(files), await upload(files, lifetime=3600.0)
    assert await files.get(one.id, sees="alice") == one
    page = await files.page(1, sees="alice")
    assert page.has_more
    rest = await files.page(1, after=page.files[0].id, sees=None, purpose="batch")
    assert {file.id for file in (*page.files, *rest.files)} == {one.id, other.id}
    await files.delete(one.id, sees="alice")
    client = store.client(keys.tag(0, clustered=True))
    await client.zadd("batchline:bulk-expiry:{0}", {other.id: 1})
    assert await files.clean() == Cleaned(expired=1)
    left = [key async for key in client.scan_iter("batchline:bulk-*")]
    assert {key.partition(b"}")[0] + b"}" for key in left} == {b"batchline:bulk-cleaned:{0}"}
