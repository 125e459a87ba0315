"""The memory plan that a training will probably choose, before anything is loaded."""

from icdcli.config.schema import Config
from icdcli.data.batching import Ids
from icdcli.profiling.fake_run import NOT_SIMULATED, PassSizes, Simulation
from icdcli.training.memory.formula import ON_CPU, fits_easily, tokens_that_fit
from icdcli.training.memory.plan import MeasuredPass, MemoryPlan, StepSizes, choose_plan
from icdcli.training.memory.planning import SAFE
from icdcli.training.memory.recomputation import Recomputation, all_recomputed, recompute


def expected_plan(
    config: Config,
    simulation: Simulation,
    lengths: Ids,
    ranks: int,
    device: str,
    free: int,
    to_come: int,
) -> MemoryPlan:
    """Return the plan that `icdcli.training.memory.planning.plan_memory` will probably choose.

    It is chosen in the same way, but from simulated passes.

    Args:
        config: The run's configuration.
        simulation: The network.
        lengths: Tokens of each training document.
        ranks: The number of processes that share a step.
        device: ``cpu``, ``cuda`` or ``mps``.
        free: Bytes that are free when the weights are loaded; negative if too few or unknown.
        to_come: Bytes of gradients and of the optimizer's state.
    """
    train, network = config.train, simulation.network
    everything = Recomputation(0, 0) if network.frozen else all_recomputed(network)
    nothing = Recomputation(0, everything.total)
    sizes = StepSizes.of(lengths, train.batch_size, ranks, train.micro_batch_tokens)
    choice, sharded = train.gradient_checkpointing, ranks > 1 and train.strategy == "fsdp"
    if choice == "auto" and device == "cuda" and not sharded and not train.torch_compile:
        room = int(SAFE * free) - to_come
        if room <= 0:
            return MemoryPlan(everything, train.micro_batch_tokens or sizes.longest)
        try:
            return choose_plan(_Passes(simulation, sizes), everything, room, sizes)
        except NOT_SIMULATED:
            return MemoryPlan(everything, tokens_that_fit(network, True, free))
    if choice == "auto" and not sharded:
        easily = fits_easily(network, sizes, train.rdrop_alpha > 0, free / 2 - to_come)
        choice = not train.torch_compile and not easily
    estimated = tokens_that_fit(network, bool(choice), free) if device == "cuda" else ON_CPU
    return MemoryPlan(everything if choice else nothing, train.micro_batch_tokens or estimated)


class _Passes:
    """Measures simulated passes: one for each recomputation, since simulating takes seconds."""

    def __init__(self, simulation: Simulation, sizes: StepSizes) -> None:
        self._simulation, self._sizes = simulation, sizes
        self._known: dict[Recomputation, float] = {}

    def __call__(self, tokens: int, recomputation: Recomputation) -> MeasuredPass:
        if recomputation not in self._known:
            recompute(self._simulation.network, recomputation)
            count, length = self._sizes.shapes(self._sizes.needed)[0]
            documents = (length,) * count
            found = self._simulation.training(PassSizes(documents, documents))
            self._known[recomputation] = (found.peak - found.gradients) / sum(documents)
        return MeasuredPass(tokens, int(tokens * self._known[recomputation]))
