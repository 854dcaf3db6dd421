import pytest

from mmsr_core.cluster.many import crew_for
from mmsr_core.errors import DeviceError


@pytest.mark.parametrize(
    ("nodes", "images", "options", "expected"),
    [
        ([{"CPU": 16}] * 3, 100, {}, (12, 4, 0, 4)),
        ([{"CPU": 16}, {"CPU": 6}], 100, {}, (11, 2, 0, 2)),  # nothing is left idle
        ([{"CPU": 7}], 100, {}, (7, 1, 0, 1)),
        ([{"CPU": 16}], 2, {}, (2, 4, 0, 4)),  # no more than images
        ([{"CPU": 16}], 100, {"cores": 8, "jobs": 2}, (2, 8, 0, 2)),
        ([{"CPU": 16, "GPU": 4}, {"CPU": 64}], 100, {}, (4, 4, 1, 3)),
        ([{"CPU": 16, "GPU": 4}], 100, {"on_cpu": True}, (4, 4, 0, 4)),
        ([{"CPU": 2, "GPU": 8}], 100, {}, (8, 0, 1, 3)),
    ],
)
def test_actors_share_the_nodes(nodes, images, options, expected):
    crew = crew_for(nodes, images, **options)
    assert (crew.actors, crew.cores, crew.gpus, crew.at_once) == expected


def test_more_cores_than_any_node_has_are_refused():
    with pytest.raises(DeviceError, match=r"8 CPU cores, and no node .* has more than 3"):
        crew_for([{"CPU": 3}], 10, cores=8)
