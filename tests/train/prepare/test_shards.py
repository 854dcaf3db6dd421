from hypothesis import example, given
from hypothesis import strategies as st

from mmsr_core.train.prepare.shards import LARGE, MOST, plan

SIZES = st.sampled_from([LARGE // 10, LARGE // 3 + 1, LARGE * 2, 3000])
COUNTS = st.lists(st.integers(0, 12), min_size=1, max_size=60).filter(any)


@given(COUNTS, SIZES)
def test_shards_hold_all_photographs_in_their_order(counts, tile_bytes):
    shards = plan(counts, tile_bytes)
    assert [count for shard in shards for count in shard.counts] == counts
    assert [shard.first for shard in shards[1:]] == [shard.last for shard in shards[:-1]]
    assert [shard.number for shard in shards] == list(range(len(shards)))


@example([1] * (MOST + 1), 2 * LARGE)  # so many that a shard may hold two
@given(COUNTS, SIZES)
def test_no_shard_is_empty_or_larger_than_it_should_be(counts, tile_bytes):
    limit = max(LARGE, -(-sum(counts) // MOST) * tile_bytes)
    for shard in plan(counts, tile_bytes):
        large = shard.tiles * tile_bytes > limit
        assert shard.tiles > 0
        assert not large or sum(count > 0 for count in shard.counts) == 1


def test_a_huge_store_has_larger_shards_not_more():
    assert MOST / 2 < len(plan([1] * 100_000, LARGE // 8)) <= MOST
