"""What is in an archive, and how it is stored: in a folder or in a bucket. `archive` fills it; others read it.

Needs the extra `archive`, except for `storage`, `extra` and `open_source`.
"""
