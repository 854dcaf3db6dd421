from mmsr_example_backbone import register_backbones

from mmsr_core.plugin.testing import check_backbone


def test_the_backbone_keeps_its_contract():
    for backbone in register_backbones():
        check_backbone(backbone)
