import torch

from fundus_uda.translation.image_pool import ImagePool


def images(*values):
    return torch.stack([torch.full((3, 1, 1), float(value)) for value in values])


def values(batch):
    return [int(image[0, 0, 0]) for image in batch]


def test_new_images_are_given_back_until_the_pool_is_full():
    pool = ImagePool(3)
    assert values(pool.exchange(images(1, 2), seed=0)) == [1, 2]
    assert values(pool.images) == [1, 2]


def test_then_about_every_other_image_is_swapped_for_an_older_one():
    pool = ImagePool(3)
    pool.exchange(images(1, 2, 3), seed=0)
    new = list(range(4, 204))
    given = values(pool.exchange(images(*new), seed=1))
    older = sum(one != other for one, other in zip(given, new, strict=True))
    assert 70 < older < 130
    assert sorted([*given, *values(pool.images)]) == [1, 2, 3, *new]  # none lost, none twice


def test_a_pool_of_none_gives_the_batch_back():
    assert values(ImagePool(0).exchange(images(1, 2), seed=0)) == [1, 2]
