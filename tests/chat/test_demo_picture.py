import io

from PIL import Image

from chat.demo_picture import HEIGHT, WIDTH, lake


def test_the_picture_is_a_small_jpeg_of_many_colours():
    data = lake()
    assert len(data) < 200_000
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (WIDTH, HEIGHT))
        colours = picture.getcolors(WIDTH * HEIGHT)
        assert colours
        assert len(colours) > 1_000
