"""What pre-training settings need and cost: parameters, tokens, work, memory, disk, hours."""

from m2d.common.cli import run
from m2d.training.plan import PlanOptions, show_plan

if __name__ == "__main__":
    run(PlanOptions, show_plan, __doc__)
