"""The ledger: all receipts of a run with its manifest, under `_labelmill/` of the output directory.

It promises that every split has at most one part and one receipt that counts, whatever is killed
and whoever else works on the run, and that everything it knows can be read back from the store
alone. It does not know Ray, models or tasks, and it never opens a part except to take its checksum.

What lies where, each file created whole and only if absent, JSON inside (gzip'd lines where many):

    manifest                       what the run is; written first, never changed
    shards/<sequence>              shard records, appended: 000000, 000001, ...
    attempts/<attempt>             who tried, when and where
    prepared/<split>@<attempt>-..  receipts whose part may not be there yet
    receipts/<split>               receipts, until they are compacted
    segments/<attempt>-<n>         many receipts each, without the text of their rejects
    volumes/<attempt>-<n>          many segments each
    rejects/<attempt>-<n>          the rejects of the segment of the same name
    voids/<attempt>                receipts that no longer count, because their part is gone
    sealed/<records>-<voids>       the run was whole at that many shard records and voids
"""
