"""The upload service: takes files in, looks what they are, keeps them, and hands them out to those who may see them.

May import the core (chat/); the core imports nothing from here. `images`, `survey`, `blocks`, `inspection` and
`storage` know no event loop, because Celery uses them too; whatever blocks is run by `workshop`. The files lie in the
data directory, or in a bucket.
"""
