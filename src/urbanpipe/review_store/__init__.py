"""What people decide about proposals: an append-only log in SQLite, and the state that follows from it.

The software's findings are never changed; a decision refers to a video by its digest and to an item by its key.
"""
