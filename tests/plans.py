"""Plans that no router makes."""

from mmsr_core.runtime.plan import BLOCK, Block, Costs, Plan, make_plan, only
from mmsr_core.runtime.tiles import Grid


def uniform_plan(grid: Grid, costs: Costs, route: int, block: Block = BLOCK) -> Plan:
    """One route everywhere, cut only as far as memory asks for."""
    return make_plan(only(route, grid.rows * grid.columns, costs), grid, costs, 1.0, block)
