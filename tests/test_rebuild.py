"""The recipes of the embedded models, trained on this machine: whatever the seed, they can do what they should."""

import pytest

import bases
from rationem.world import BASES
from rationem.world.bases import find


@pytest.mark.rebuild
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", sorted(BASES))
def test_a_model_built_on_this_machine_can_do_what_it_should(name, seed, tmp_path):
    bases.check(name, find(BASES[name], seed=seed, rebuild=True, cache=tmp_path))
