"""Keys of stored files."""

from uploads.storage.keys import SHARDS, key_of, thumbnail_key_of

NAME = "ab" + "0" * 30


def test_keys_say_the_kind_and_nothing_of_the_user() -> None:
    assert key_of("image", NAME, ".jpg") == f"images/{NAME}.jpg"
    assert key_of("file", NAME, ".bin") == f"file/{NAME}.bin"
    assert thumbnail_key_of(NAME) == f"thumbnails/{NAME}_thumb.jpg"


def test_every_name_belongs_to_one_of_256_shards() -> None:
    assert len(SHARDS) == len(set(SHARDS)) == 256
    assert NAME[:2] in SHARDS
